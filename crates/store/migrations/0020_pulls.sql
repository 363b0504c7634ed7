-- Pull requests: which commit was asked to be tried. GitHub does not say of a comment what the head was when it was written.

-- The head of each open pull request.
CREATE TABLE pull_heads (
    -- The forge's own name of it: `github.com/OWNER/REPO#NUMBER`.
    review TEXT PRIMARY KEY,
    -- 40 hex digits.
    commit_hash TEXT NOT NULL,
    -- The time of the first answer of GitHub's that had it, by GitHub's own clock: seconds since 1970.
    since_s BIGINT NOT NULL
);

-- What was said of a pull request, by the one commit that it was said of. Kept while the pull request is open.
CREATE TABLE pull_asks (
    review TEXT NOT NULL,
    -- When it was said, and what it is known by. What was said later is greater.
    ask TEXT NOT NULL,
    commit_hash TEXT NOT NULL,
    -- said: a comment; again: somebody pressed the button of a check
    kind TEXT NOT NULL,
    -- Who, as the forge names them.
    asked_by TEXT NOT NULL,
    PRIMARY KEY (review, ask)
);
