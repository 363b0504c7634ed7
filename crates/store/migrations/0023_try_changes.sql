-- The changes that a try run's own change is tried together with.

CREATE TABLE try_changes (
    try_run TEXT NOT NULL,
    -- As `try_runs.review` names it.
    review TEXT NOT NULL,
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    patch_set BIGINT NOT NULL,
    -- 40 hex digits; empty where it is in the run's way.
    commit_hash TEXT NOT NULL,
    -- Why it is: chain, depends or topic; refused, where it is what the run could not be made for.
    how TEXT NOT NULL,
    -- Whether somebody had approved that very patch set by itself.
    approved BIGINT NOT NULL,
    PRIMARY KEY (try_run, review, how)
);

CREATE INDEX try_changes_review ON try_changes (review, try_run);

-- The rules by which a run's build is to be made: those that were approved with it. Empty where they are not known.
ALTER TABLE try_builds ADD COLUMN rules TEXT NOT NULL DEFAULT '';
