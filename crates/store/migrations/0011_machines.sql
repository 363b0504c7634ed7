-- Machines that dial in by a token of their own, and machines that people keep from work. No secret is kept: only its
-- SHA-256, in hexadecimal digits.

CREATE TABLE machine_tokens (
    -- What becomes an identity, once.
    bootstrap TEXT PRIMARY KEY,
    -- What it is bound to.
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    maker TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    -- Until when the bootstrap works.
    expires_us BIGINT NOT NULL,
    -- What the machine shows since then; it has made it itself.
    secret TEXT,
    joined_us BIGINT,
    -- The last time it registered: when, from where, as which version.
    seen_us BIGINT,
    seen_from TEXT,
    version TEXT,
    revoked_us BIGINT
);
CREATE UNIQUE INDEX machine_tokens_secret ON machine_tokens (secret);
-- A name can be given again once its token is revoked.
CREATE UNIQUE INDEX machine_tokens_name ON machine_tokens (name) WHERE revoked_us IS NULL;

CREATE TABLE set_asides (
    host TEXT NOT NULL,
    -- What the machine calls itself, so that it counts for whichever process comes by that name; of one that the server
    -- has made, its id.
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    reason TEXT NOT NULL,
    since_us BIGINT NOT NULL,
    -- When it ends by itself.
    until_us BIGINT,
    PRIMARY KEY (host, name)
);
