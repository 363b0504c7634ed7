-- What happened to builds and branches, in order, for those who follow it.

-- The last number that was given, in a row 1. Its row is what writers wait for, so that numbers become visible in their order.
CREATE TABLE feed_last (
    id BIGINT PRIMARY KEY,
    seq BIGINT NOT NULL
);

CREATE TABLE feed (
    -- From 1, without gaps.
    seq BIGINT PRIMARY KEY,
    time_us BIGINT NOT NULL,
    -- queued, started, finished, commit
    kind TEXT NOT NULL,
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    -- Empty where it is not about a build.
    builder TEXT NOT NULL,
    build_id TEXT NOT NULL,
    -- `repo@commit+repo@commit`: who may not see one of these repos is told of nothing.
    revision TEXT NOT NULL,
    outcome TEXT
);
