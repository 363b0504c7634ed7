-- Whether a branch is open for changes, how long the steps of builds take, and the noise of what the original measures.

-- What somebody set by hand. It counts until it ends or is released.
CREATE TABLE tree_orders (
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    status TEXT NOT NULL,               -- open | throttled | closed
    owner TEXT NOT NULL,
    reason TEXT NOT NULL,
    since_us BIGINT NOT NULL,
    until_us BIGINT,
    PRIMARY KEY (repo, branch)
);

-- Every change of a branch's status, by hand or by the rules, counted from 1.
CREATE TABLE tree_changes (
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    n BIGINT NOT NULL,
    time_us BIGINT NOT NULL,
    status TEXT NOT NULL,               -- open | throttled | closed
    owner TEXT,                         -- who set it; null if the rules did
    reason TEXT NOT NULL,
    until_us BIGINT,
    PRIMARY KEY (repo, branch, n)
);

-- The builds that wait, by branch.
CREATE INDEX results_queued ON results (repo, branch) WHERE state = 'queued';

-- How long the timed parts of a build's last attempt took, once it is done.
CREATE TABLE step_times (
    build_id TEXT NOT NULL,
    n BIGINT NOT NULL,
    builder TEXT NOT NULL,
    repo TEXT NOT NULL,
    step TEXT NOT NULL,
    took_us BIGINT NOT NULL,
    PRIMARY KEY (build_id, n)
);

-- What of the original's measurements is chance: the change of a metric, in percent, that says nothing.
CREATE TABLE legacy_noise (
    dash TEXT NOT NULL,
    builder TEXT NOT NULL,
    benchmark TEXT NOT NULL,
    metric TEXT NOT NULL,
    percent DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (dash, builder, benchmark, metric)
);
