-- How long what the coordinator runs takes, as it has measured it: tests, and what comes before them.

CREATE TABLE durations (
    builder TEXT NOT NULL,
    repo TEXT NOT NULL,
    -- `test`: one of the listed tests; `tests`: from the lease until tests can run; `helper`: from the ask for a further
    -- machine until it is there, where `name` is the host.
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    -- The latest times in microseconds, the newest last, separated by spaces.
    samples TEXT NOT NULL,
    -- The middle one of them.
    median_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (builder, repo, kind, name)
);
CREATE INDEX durations_updated ON durations (updated_us);
