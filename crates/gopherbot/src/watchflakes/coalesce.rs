//! Of a build's failing tests, those that say most (`spec/services.md` §5.10).

/// Failures of a build that are kept.
const MOST: usize = 3;

/// A failing test as the build names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestFailure {
    /// The test's id, package and test in one.
    pub id: String,
    /// Its output.
    pub output: String,
    /// The name of its status.
    pub status: String,
}

/// Package and test of a test's id; a test begins with `Test`, `Example` or `Benchmark`.
#[must_use]
pub fn split_test_id(id: &str) -> (&str, &str) {
    for mark in [".Test", ".Example", ".Benchmark"] {
        if let Some(at) = id.find(mark) {
            return (&id[..at], &id[at + 1..]);
        }
    }
    (id, "")
}

/// Takes out what another failure says better, and keeps at most three.
#[must_use]
pub fn coalesce(mut failures: Vec<TestFailure>) -> Vec<TestFailure> {
    failures.sort_by(|a, b| a.id.cmp(&b.id));
    let mut kept: Vec<TestFailure> = Vec::new();
    for failure in failures {
        if kept.last().is_some_and(|last| is_part_of(&last.id, &failure.id)) {
            kept.pop();
        }
        kept.push(failure);
    }
    if kept.len() > MOST {
        kept = most_useful(kept, |id| {
            let (pkg, test) = split_test_id(id);
            test.rsplit_once('/').map(|(parent, _)| (pkg, parent))
        });
    }
    if kept.len() > MOST {
        kept = most_useful(kept, |id| Some((split_test_id(id).0, "")));
    }
    kept.truncate(MOST);
    kept
}

/// Whether a failure fails only because another does.
fn is_part_of(whole: &str, part: &str) -> bool {
    let ((pkg, test), (other_pkg, other)) = (split_test_id(whole), split_test_id(part));
    pkg == other_pkg
        && !other.is_empty()
        && (test.is_empty() || other.strip_prefix(test).is_some_and(|rest| rest.starts_with('/')))
}

/// Of each family the one whose output tells what failed, and tells more.
fn most_useful(failures: Vec<TestFailure>, family: fn(&str) -> Option<(&str, &str)>) -> Vec<TestFailure> {
    let useful = |failure: &TestFailure| (failure.output.contains("--- FAIL"), failure.output.len());
    let mut kept: Vec<TestFailure> = Vec::new();
    for failure in failures {
        let of = family(&failure.id);
        let relative = kept.iter_mut().find(|other| of.is_some() && family(&other.id) == of);
        match relative {
            Some(other) if useful(&failure) > useful(other) => *other = failure,
            Some(_) => {}
            None => kept.push(failure),
        }
    }
    kept
}
