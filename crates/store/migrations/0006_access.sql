-- Who somebody is. No secret is kept: only its SHA-256, in hexadecimal digits.

-- What programs and machines show.
CREATE TABLE tokens (
    hash TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    -- Names of the only repos that it is about, apart by spaces; empty for all.
    scope TEXT NOT NULL,
    maker TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    -- The last time it was shown, to the minute.
    used_us BIGINT,
    expires_us BIGINT,
    revoked_us BIGINT
);
-- A name can be given again once its token is revoked.
CREATE UNIQUE INDEX tokens_name ON tokens (name) WHERE revoked_us IS NULL;

-- What browsers hold.
CREATE TABLE sessions (
    hash TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    role TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL
);
CREATE INDEX sessions_expiry ON sessions (expires_us);

-- What makes a session, once.
CREATE TABLE login_links (
    hash TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    role TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    used_us BIGINT
);
CREATE INDEX login_links_expiry ON login_links (expires_us);
