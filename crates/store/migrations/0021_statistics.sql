-- What statistics, alarms and messages about builders go by.

-- One row an attempt of a build that is done, as it was reported: the dashboard's.
CREATE TABLE attempt_stats (
    build_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    builder TEXT NOT NULL,
    repo TEXT NOT NULL,
    revision TEXT NOT NULL,
    host TEXT NOT NULL,
    machine TEXT NOT NULL,
    -- Whether the machine lost it.
    lost BIGINT NOT NULL,
    -- Whether it failed, and one after it at the same build did not.
    flaked BIGINT NOT NULL,
    -- When the build was made.
    created_us BIGINT NOT NULL,
    waited_us BIGINT NOT NULL,
    took_us BIGINT NOT NULL,
    PRIMARY KEY (build_id, number)
);

-- How a builder does on a branch: the coordinator's.
CREATE TABLE standings (
    builder TEXT NOT NULL,
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    -- Empty where there is none.
    toolchain_branch TEXT NOT NULL,
    -- ok; suspect: it failed once, which may be a flake; failed: it failed again
    state TEXT NOT NULL,
    -- Whether it was ever ok.
    was_ok BIGINT NOT NULL,
    -- Whether it was told that it is broken.
    told BIGINT NOT NULL,
    -- The newest build that counts, and the time of its commit.
    build TEXT NOT NULL,
    newest_us BIGINT NOT NULL,
    -- The first build of this state (of `failed`: of `suspect` before it), and when that ended.
    since_build TEXT NOT NULL,
    since_revision TEXT NOT NULL,
    since_us BIGINT NOT NULL,
    PRIMARY KEY (builder, repo, branch, toolchain_branch)
);

-- What is wrong with machines and builders now, and what was: the coordinator's.
CREATE TABLE alarms (
    -- machine_retries, builder_retries, budget, silent, short
    kind TEXT NOT NULL,
    -- `HOST/MACHINE`, or the builder.
    subject TEXT NOT NULL,
    began_us BIGINT NOT NULL,
    -- NULL while it goes on.
    ended_us BIGINT,
    -- In words, as it was when it began.
    detail TEXT NOT NULL,
    PRIMARY KEY (kind, subject, began_us)
);
CREATE UNIQUE INDEX alarms_live ON alarms (kind, subject) WHERE ended_us IS NULL;
CREATE INDEX alarms_ended ON alarms (ended_us);

-- Which builders had a build done of late.
CREATE INDEX builds_ended ON builds (ended_us);
