-- Machines that people hold. A row exists once there is a machine; whoever waits for one holds a connection.

CREATE TABLE gomotes (
    -- What the scheduler knows it by.
    id TEXT PRIMARY KEY,
    -- What people know it by; one that has ended may lend it to another.
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    -- The repo whose builder it is; empty for one of the server's.
    repo TEXT NOT NULL,
    builder TEXT NOT NULL,
    worker TEXT NOT NULL,
    host TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    ended_us BIGINT,
    -- Why it ended.
    cause TEXT
);
CREATE INDEX gomotes_live ON gomotes (ended_us);
