-- The coordinator's tables: what is being built, on which machine, under which lease.

-- One row a role: who leads, under which epoch, until when. Every write of a coordinator touches its row first.
CREATE TABLE leadership (
    role TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    holder TEXT NOT NULL,
    until_us BIGINT NOT NULL
);

-- One row a cell (builder, revision) that the scheduler took into its window.
CREATE TABLE builds (
    id TEXT PRIMARY KEY,
    builder TEXT NOT NULL,
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    toolchain_branch TEXT,
    revision TEXT NOT NULL,
    class TEXT NOT NULL,
    priority BIGINT NOT NULL,
    commit_time_us BIGINT NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT,
    cause TEXT,
    fence BIGINT NOT NULL,
    version BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    -- Attempts up to this number lie before the latest retry and do not count against the bound.
    retried_from BIGINT NOT NULL,
    not_before_us BIGINT NOT NULL,
    -- JSON of who asked for the end and why; NULL while nobody did.
    cancel TEXT,
    created_us BIGINT NOT NULL,
    queued_us BIGINT NOT NULL,
    started_us BIGINT,
    ended_us BIGINT,
    -- Whether the dashboard has the final report.
    reported BIGINT NOT NULL
);
CREATE UNIQUE INDEX builds_cell ON builds (builder, revision);
CREATE INDEX builds_open ON builds (reported, state);

CREATE TABLE attempts (
    id TEXT PRIMARY KEY,
    build TEXT NOT NULL,
    number BIGINT NOT NULL,
    lease TEXT NOT NULL,
    worker TEXT NOT NULL,
    host TEXT NOT NULL,
    fence BIGINT NOT NULL,
    state TEXT NOT NULL,
    -- Index of the step that runs, or is to run next.
    step BIGINT NOT NULL,
    outcome TEXT,
    cause TEXT,
    -- JSON: the job as resolved from the configuration when the lease was given.
    job TEXT NOT NULL,
    -- JSON: commits, recipe and configuration digest, host, machine, buildlet version and digest, snapshot.
    inputs TEXT NOT NULL,
    -- JSON list of sentences.
    warnings TEXT NOT NULL,
    started_us BIGINT NOT NULL,
    ended_us BIGINT
);
CREATE UNIQUE INDEX attempts_number ON attempts (build, number);

CREATE TABLE leases (
    id TEXT PRIMARY KEY,
    worker TEXT NOT NULL,
    build TEXT NOT NULL,
    attempt TEXT NOT NULL,
    fence BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    until_us BIGINT NOT NULL,
    ended_us BIGINT
);
CREATE UNIQUE INDEX leases_live ON leases (worker) WHERE ended_us IS NULL;

CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    pool TEXT NOT NULL,
    host TEXT NOT NULL,
    -- JSON: how it is reached and found again, by its pool.
    address TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    created_us BIGINT NOT NULL,
    seen_us BIGINT NOT NULL,
    gone_us BIGINT
);
CREATE INDEX workers_live ON workers (gone_us, pool);

CREATE TABLE spans (
    attempt TEXT NOT NULL,
    n BIGINT NOT NULL,
    name TEXT NOT NULL,
    detail TEXT NOT NULL,
    start_us BIGINT NOT NULL,
    end_us BIGINT,
    error TEXT,
    PRIMARY KEY (attempt, n)
);

-- Every input of the scheduler, in order, kept 90 days.
CREATE TABLE events (
    seq BIGINT PRIMARY KEY,
    time_us BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX events_time ON events (time_us);
