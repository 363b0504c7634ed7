-- Builds that are made to tell why another one failed, and what they told: verdicts of try runs, and bisections.

-- Such a build is beside the one of its cell: whose it is, and which; '' for the cell's own.
ALTER TABLE builds ADD COLUMN sample TEXT NOT NULL DEFAULT '';
-- The worker that another is to be taken than, if one can be had; '' for any.
ALTER TABLE builds ADD COLUMN avoid TEXT NOT NULL DEFAULT '';
DROP INDEX builds_cell;
CREATE UNIQUE INDEX builds_cell_sample ON builds (builder, revision, sample);
CREATE INDEX builds_outcome ON builds (outcome, ended_us);

-- Whether a result is none of its cell, and hence in no list.
ALTER TABLE results ADD COLUMN sample BIGINT NOT NULL DEFAULT 0;

-- Whose fault a failure in a try run is.
CREATE TABLE verdicts (
    -- The attempt that failed.
    attempt TEXT NOT NULL,
    -- '' for the build as a whole, of which no test is known.
    test TEXT NOT NULL,
    variant TEXT NOT NULL,
    try_run TEXT NOT NULL,
    build TEXT NOT NULL,
    builder TEXT NOT NULL,
    signature TEXT NOT NULL,
    -- What it is compared with, as a revision; '' if there is nothing.
    base TEXT NOT NULL,
    -- caused, flaky, broken_at_base, unknown, muted; NULL while it is sought
    verdict TEXT,
    -- The same for people, with the numbers.
    sentence TEXT NOT NULL,
    -- JSON: the case with all its runs.
    doc TEXT NOT NULL,
    began_us BIGINT NOT NULL,
    ended_us BIGINT,
    PRIMARY KEY (attempt, test, variant)
);
CREATE INDEX verdicts_run ON verdicts (try_run, build);

-- The builds that were made for a failed attempt, or for a bisection.
CREATE TABLE samples (
    build TEXT PRIMARY KEY,
    -- The attempt, or the bisection.
    owner TEXT NOT NULL,
    -- changed, base, or probe
    place TEXT NOT NULL,
    -- Counts those of an owner.
    n BIGINT NOT NULL,
    -- Whether its owner knows what came of it.
    counted BIGINT NOT NULL
);
CREATE INDEX samples_owner ON samples (owner, n);

-- Which landed commit broke a builder.
CREATE TABLE bisections (
    id TEXT PRIMARY KEY,
    builder TEXT NOT NULL,
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    -- The build that failed first, and its attempt.
    build TEXT NOT NULL,
    attempt TEXT NOT NULL,
    -- What failed; '' for the build as a whole.
    test TEXT NOT NULL,
    signature TEXT NOT NULL,
    -- confirming, running, done
    state TEXT NOT NULL,
    -- culprit, one_of, builder, gone, gave_up, flake, failed; NULL while it is sought
    answer TEXT,
    culprit TEXT,
    sentence TEXT NOT NULL,
    -- JSON: the range with all that is known of it.
    doc TEXT NOT NULL,
    began_us BIGINT NOT NULL,
    ended_us BIGINT
);
CREATE INDEX bisections_state ON bisections (state, id);
CREATE INDEX bisections_builder ON bisections (builder, repo, branch, id);
