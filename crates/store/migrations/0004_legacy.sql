-- The original's dashboard API: what its own clients post, apart from what we built ourselves.
-- `dash` is which of its dashboards: go or gccgo. `package` is an import path, empty for the main repository.

CREATE TABLE legacy_packages (
    dash TEXT NOT NULL,
    package TEXT NOT NULL,
    next_num BIGINT NOT NULL,           -- of the next commit
    PRIMARY KEY (dash, package)
);

CREATE TABLE legacy_commits (
    dash TEXT NOT NULL,
    package TEXT NOT NULL,
    hash TEXT NOT NULL,
    parent TEXT NOT NULL,
    num BIGINT NOT NULL,
    author TEXT NOT NULL,
    description TEXT NOT NULL,          -- at most 500 bytes
    time_us BIGINT NOT NULL,
    branch TEXT NOT NULL,
    bench BIGINT NOT NULL,              -- whether it is to be measured
    try_patch BIGINT NOT NULL,
    notified BIGINT NOT NULL,           -- whether a failure of it was told
    PRIMARY KEY (dash, package, hash)
);
CREATE INDEX legacy_commits_num ON legacy_commits (dash, package, num);
CREATE INDEX legacy_commits_time ON legacy_commits (dash, package, time_us);
CREATE INDEX legacy_commits_parent ON legacy_commits (dash, package, parent);

CREATE TABLE legacy_results (
    dash TEXT NOT NULL,
    package TEXT NOT NULL,
    hash TEXT NOT NULL,
    builder TEXT NOT NULL,
    go_hash TEXT NOT NULL,              -- of the main repository, empty for its own results
    seq BIGINT NOT NULL,                -- order of the first results of a commit
    ok BIGINT NOT NULL,
    log_hash TEXT NOT NULL,             -- SHA-1, or empty
    run_time_ns BIGINT NOT NULL,
    time_us BIGINT NOT NULL,
    PRIMARY KEY (dash, package, hash, builder, go_hash)
);

CREATE TABLE legacy_tags (
    dash TEXT NOT NULL,
    id TEXT NOT NULL,                   -- tip, or release-NAME
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (dash, id)
);

CREATE TABLE legacy_building (
    dash TEXT NOT NULL,
    hash TEXT NOT NULL,
    go_hash TEXT NOT NULL,
    builder TEXT NOT NULL,
    url TEXT NOT NULL,
    until_us BIGINT NOT NULL,
    PRIMARY KEY (dash, hash, go_hash, builder)
);

-- Logs that were posted whole, by the SHA-1 of their text.
CREATE TABLE legacy_logs (
    sha1 TEXT PRIMARY KEY,
    bytes BIGINT NOT NULL,
    inline {BLOB},                      -- a zstd frame, or
    object TEXT,                        -- the object that is one
    time_us BIGINT NOT NULL
);

-- What is to be told about the first failure of a commit; nothing is sent from here.
CREATE TABLE legacy_notices (
    dash TEXT NOT NULL,
    hash TEXT NOT NULL,
    builder TEXT NOT NULL,
    log_hash TEXT NOT NULL,
    time_us BIGINT NOT NULL,
    PRIMARY KEY (dash, hash)
);

CREATE TABLE legacy_bench_results (
    dash TEXT NOT NULL,
    hash TEXT NOT NULL,
    builder TEXT NOT NULL,
    benchmark TEXT NOT NULL,
    seq BIGINT NOT NULL,
    data TEXT NOT NULL,                 -- JSON: ok, metrics, hashes of files
    PRIMARY KEY (dash, hash, builder, benchmark)
);
CREATE INDEX legacy_bench_results_pair ON legacy_bench_results (dash, builder, benchmark);

-- Commits that a builder is to measure: numbers with spaces between, the last one next.
CREATE TABLE legacy_bench_queues (
    dash TEXT NOT NULL,
    builder TEXT NOT NULL,
    nums TEXT NOT NULL,
    PRIMARY KEY (dash, builder)
);

-- The SHA-1 of each finished log of our own builds, as it is shown.
CREATE TABLE log_digests (
    attempt TEXT PRIMARY KEY,
    build_id TEXT NOT NULL,
    sha1 TEXT NOT NULL
);
CREATE INDEX log_digests_sha1 ON log_digests (sha1);
CREATE INDEX log_digests_build ON log_digests (build_id);
