-- Whose the database is: at most one row.
CREATE TABLE environment (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    since_us BIGINT NOT NULL
);
