-- Builds whose machines are to be held as they are, if they fail. A row goes when its build has ended.

CREATE TABLE wanted_holds (
    build TEXT PRIMARY KEY,
    -- Who is to have the machine.
    owner TEXT NOT NULL,
    wanted_us BIGINT NOT NULL
);
