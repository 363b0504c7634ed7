-- Which logs can hold what is searched for: a filter of each finished log's groups of three bytes.

CREATE TABLE log_index (
    attempt TEXT PRIMARY KEY,
    -- As `dashboard::grams` makes it; empty for a log that may hold anything.
    filter {BLOB} NOT NULL,
    made_us BIGINT NOT NULL
);

-- Whether it was looked at for the index.
ALTER TABLE logs ADD COLUMN indexed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX logs_to_index ON logs (attempt) WHERE finished = 1 AND indexed = 0 AND expired_us IS NULL;
