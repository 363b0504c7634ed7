-- Hints that something happened somewhere, as they were published; those of the last hour at least.

CREATE TABLE pubsub_events (
    -- Nanoseconds since 1970-01-01 UTC. No two hints have one time.
    time_ns BIGINT PRIMARY KEY,
    -- Its JSON, as it is answered.
    event TEXT NOT NULL,
    -- What its sender calls this delivery, so that it makes no second hint.
    delivery TEXT
);
