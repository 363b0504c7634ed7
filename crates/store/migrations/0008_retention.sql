-- What is kept no more. A row says so first; what it names is deleted a day later, and then the row says that too.

ALTER TABLE logs ADD COLUMN expired_us BIGINT;
ALTER TABLE logs ADD COLUMN cleared BIGINT NOT NULL DEFAULT 0;
CREATE INDEX logs_to_clear ON logs (expired_us) WHERE expired_us IS NOT NULL AND cleared = 0;

ALTER TABLE artifacts ADD COLUMN expired_us BIGINT;
ALTER TABLE artifacts ADD COLUMN cleared BIGINT NOT NULL DEFAULT 0;
CREATE INDEX artifacts_to_clear ON artifacts (expired_us) WHERE expired_us IS NOT NULL AND cleared = 0;

-- Who else names an object.
CREATE INDEX artifacts_object ON artifacts (object);

-- Which object holds the built tree of a revision. (A tree that was kept before has its key for a name.)
CREATE TABLE snapshots (
    key TEXT PRIMARY KEY,
    object TEXT NOT NULL,
    time_us BIGINT NOT NULL
);
CREATE INDEX snapshots_object ON snapshots (object);
