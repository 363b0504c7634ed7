-- Test results by what failed alike, by what is bad, and the names of tests for whoever looks for one.

-- Of failures: their test and what they said, without what differs from run to run (crate testresults).
ALTER TABLE test_results ADD COLUMN signature TEXT;
CREATE INDEX test_results_signature ON test_results (signature, build_id) WHERE signature IS NOT NULL;

-- How many there are of each outcome is counted in the index alone; so they are listed, and those that failed are found
-- among a hundred thousand that did not.
DROP INDEX test_results_build;
CREATE INDEX test_results_outcome ON test_results (build_id, outcome, id);

-- One row a test of a repo, while there is a result of it.
CREATE TABLE test_names (
    repo TEXT NOT NULL,
    id TEXT NOT NULL,
    -- The newest build that ran it.
    last_build TEXT NOT NULL,
    PRIMARY KEY (repo, id)
);
CREATE INDEX test_names_last ON test_names (last_build);
INSERT INTO test_names (repo, id, last_build)
    SELECT results.repo, test_results.id, MAX(test_results.build_id) FROM test_results
    JOIN results ON results.build_id = test_results.build_id GROUP BY results.repo, test_results.id;
