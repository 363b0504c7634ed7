-- What pages ask for that earlier indexes do not answer, and where builds failed, found once in their logs.

-- The cells of some columns of a grid with ten thousand of them.
CREATE INDEX results_column ON results (repo, subject, builder);

-- The first failure of each build that failed. Builds with one signature failed alike.
CREATE TABLE failures (
    build_id TEXT PRIMARY KEY,
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    builder TEXT NOT NULL,
    subject TEXT NOT NULL,
    signature TEXT NOT NULL,
    test TEXT,                          -- where one is named
    headline TEXT NOT NULL,             -- the line of the log that says it
    line BIGINT NOT NULL                -- its number, from 0
);
CREATE INDEX failures_signature ON failures (signature, build_id);
CREATE INDEX failures_repo ON failures (repo, build_id);

-- A test's history.
CREATE INDEX test_results_id ON test_results (id, build_id);
