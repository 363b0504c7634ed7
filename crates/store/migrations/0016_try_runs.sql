-- Try runs: the builds of a change under review, and what became of them.

CREATE TABLE try_runs (
    id TEXT PRIMARY KEY,
    -- The forge's own name of the change: of a Gerrit `SERVER/PROJECT~NUMBER`.
    review TEXT NOT NULL,
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    patch_set BIGINT NOT NULL,
    -- The one commit that was approved, 40 hex digits.
    commit_hash TEXT NOT NULL,
    change_id TEXT NOT NULL,
    title TEXT NOT NULL,
    -- Who approved that commit, as the forge names them.
    asked_by TEXT NOT NULL,
    -- JSON: the terms that were asked for beside the usual builders, and those that nobody knows.
    terms TEXT NOT NULL,
    -- JSON: builders that were left out, each with the reason.
    left_out TEXT NOT NULL,
    -- The configuration by whose rules its builds were chosen.
    rules TEXT NOT NULL,
    -- running, passed, failed, unknown or cancelled
    state TEXT NOT NULL,
    -- Why, in words, where there is more to say.
    reason TEXT,
    -- Whether the answer, or the vote, has been seen to be there and away: the same commit may be asked for again.
    settled BIGINT NOT NULL,
    began_us BIGINT NOT NULL,
    ended_us BIGINT
);

CREATE INDEX try_runs_open ON try_runs (settled, id);
CREATE INDEX try_runs_review ON try_runs (review, id);
CREATE INDEX try_runs_commit ON try_runs (commit_hash, id);

CREATE TABLE try_builds (
    try_run TEXT NOT NULL,
    build TEXT NOT NULL,
    PRIMARY KEY (try_run, build)
);

CREATE INDEX try_builds_build ON try_builds (build);

-- Work that nobody has reviewed: only hosts that take it run it, whoever asks for it once more.
ALTER TABLE builds ADD COLUMN untrusted BIGINT NOT NULL DEFAULT 0;
