-- Builds that are made by a file of rules that has not landed: that of the change which is tried.

CREATE TABLE own_rules (
    -- SHA-256, in hex, of the repo's name, a line feed and the text.
    digest TEXT PRIMARY KEY,
    repo TEXT NOT NULL,
    -- The repository's own file as it would be once the change has landed.
    file_text TEXT NOT NULL,
    noted_us BIGINT NOT NULL
);

-- By which of these a build is made; '' for the rules that are in effect.
ALTER TABLE builds ADD COLUMN rules TEXT NOT NULL DEFAULT '';
