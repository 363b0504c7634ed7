-- What the dashboard knows: repos and their commits, results of builds, logs, tests, artefacts, and who did what.
-- Times are microseconds since 1970 UTC, truths are 0 or 1, lists and documents are JSON.

CREATE TABLE repos (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL,                -- ok | blocked
    reason TEXT,                        -- why it is blocked
    default_branch TEXT,
    head TEXT,                          -- of the default branch
    visibility TEXT NOT NULL,           -- public | private
    updated_us BIGINT NOT NULL
);

CREATE TABLE branches (
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    head TEXT,                          -- null once it is deleted
    is_default BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (repo, branch)
);

CREATE TABLE commits (
    repo TEXT NOT NULL,
    hash TEXT NOT NULL,
    parents TEXT NOT NULL,              -- hashes, a space between, first parent first
    author_name TEXT NOT NULL,
    author_email TEXT,
    time_us BIGINT NOT NULL,            -- committer's time
    message TEXT NOT NULL,
    PRIMARY KEY (repo, hash)
);

-- The first-parent line of each branch. Positions only order: a newer commit has a higher one. After a
-- force-push the rows that are no longer on the line stay, marked.
CREATE TABLE branch_commits (
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    position BIGINT NOT NULL,
    hash TEXT NOT NULL,
    reachable BIGINT NOT NULL,
    PRIMARY KEY (repo, branch, position)
);
CREATE UNIQUE INDEX branch_commits_hash ON branch_commits (repo, hash, branch);

-- The newest report of each build, as its owner sent it.
CREATE TABLE results (
    build_id TEXT PRIMARY KEY,
    builder TEXT NOT NULL,
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    subject TEXT NOT NULL,              -- commit of the revision's first repo
    revision TEXT NOT NULL,             -- sync@40hex+go@40hex
    class TEXT NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT,
    cause TEXT,
    recipe TEXT,                        -- its digest
    attempts BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    started_us BIGINT,
    ended_us BIGINT,
    expected_us BIGINT,
    doc TEXT NOT NULL
);
CREATE INDEX results_cell ON results (builder, revision);
CREATE INDEX results_subject ON results (repo, subject);
CREATE INDEX results_builder ON results (builder, build_id);
CREATE INDEX results_ended ON results (builder, outcome, ended_us);

CREATE TABLE logs (
    attempt TEXT PRIMARY KEY,
    build_id TEXT NOT NULL,
    fence BIGINT NOT NULL,
    next_n BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    lines BIGINT NOT NULL,              -- ends of lines so far
    raw_end BIGINT NOT NULL,            -- how far the worker's own output is in it
    finished BIGINT NOT NULL,
    gap_first BIGINT NOT NULL,          -- bytes [gap_first, gap_end) are not kept; equal if all are
    gap_end BIGINT NOT NULL,
    gap_first_line BIGINT NOT NULL,
    gap_end_line BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);
CREATE INDEX logs_build ON logs (build_id, created_us);

CREATE TABLE log_chunks (
    attempt TEXT NOT NULL,
    n BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    first_byte BIGINT NOT NULL,
    first_line BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    raw_end BIGINT NOT NULL,
    crc32c BIGINT NOT NULL,             -- of the bytes as written
    time_us BIGINT NOT NULL,
    inline {BLOB},                      -- a zstd frame, or
    object TEXT,                        -- the object that is one
    PRIMARY KEY (attempt, n)
);
CREATE INDEX log_chunks_byte ON log_chunks (attempt, first_byte);

CREATE TABLE test_results (
    attempt TEXT NOT NULL,
    id TEXT NOT NULL,
    variant TEXT NOT NULL,
    kind TEXT NOT NULL,                 -- test | benchmark
    build_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    duration_us BIGINT,
    first_byte BIGINT,                  -- where in the attempt's log
    last_byte BIGINT,
    value DOUBLE PRECISION,             -- of a benchmark
    unit TEXT,
    message TEXT,
    PRIMARY KEY (attempt, id, variant, kind)
);
CREATE INDEX test_results_build ON test_results (build_id);

CREATE TABLE artifacts (
    attempt TEXT NOT NULL,
    name TEXT NOT NULL,
    build_id TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    object TEXT NOT NULL,
    time_us BIGINT NOT NULL,
    PRIMARY KEY (attempt, name)
);
CREATE INDEX artifacts_build ON artifacts (build_id);

-- Each row's hash covers the row before it, so that none can be changed or left out unseen.
CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    time_us BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);
-- Row 0 is before the first; whoever appends locks it, so that there is one last row.
INSERT INTO audit (seq, time_us, actor, action, target, detail, prev_hash, hash)
    VALUES (0, 0, '', '', '', '', '', '');
