//! What ran, what was left out and why, the ten slowest, and the closing line.

use std::time::Duration;

use super::run::{Ran, Test, Verdict};

/// Slowest tests that are named.
const SLOWEST: usize = 10;

#[derive(Default)]
pub(super) struct Report {
    tests: Vec<Test>,
    left_out: Vec<String>,
}

impl Report {
    pub(super) fn add(&mut self, ran: Ran) {
        self.tests.extend(ran.tests);
    }

    /// Notes what this kind of run does not do.
    pub(super) fn left_out(&mut self, long: bool) {
        if !long {
            self.left_out
                .push("4,096 cases of each random test (256 ran, of the scheduler's day 24): --long".into());
            self.left_out.push(
                "12 minutes of each soak (10 rounds of random deaths and 4 of calm ran): --long".into(),
            );
            self.left_out.push("the fixture with Go built by make.bash, about 15 minutes: --long".into());
            self.left_out
                .push("the script of a real Gerrit by itself (maintner followed one): --long".into());
            self.left_out.push("bellwether-query: --long".into());
            self.left_out
                .push("a minute of each fuzz target (its seeds and 256 random inputs ran): --long".into());
        }
        for test in self.tests.iter().filter(|test| test.verdict == Verdict::Ignored) {
            self.left_out.push(format!("{}: ignored (that fails the run)", test.name));
        }
    }

    fn count(&self, wanted: fn(&Verdict) -> bool) -> usize {
        self.tests.iter().filter(|test| wanted(&test.verdict)).count()
    }

    /// Tests named after a database, by that database.
    fn on(&self, database: &str) -> usize {
        let word = format!("{database}::");
        self.tests.iter().filter(|test| test.name.contains(&word) || test.name.ends_with(database)).count()
    }

    /// Whether the run passes; a whole run also needs the same tests on both databases.
    pub(super) fn good(&self, whole: bool) -> bool {
        let failed = self.count(|verdict| matches!(verdict, Verdict::Failed(_)));
        let ignored = self.count(|verdict| *verdict == Verdict::Ignored);
        let even = !whole || self.on("sqlite") == self.on("postgres");
        failed == 0 && ignored == 0 && even && !self.tests.is_empty()
    }

    pub(super) fn print(&mut self, took: Duration) {
        for test in &self.tests {
            if let Verdict::Failed(text) = &test.verdict {
                println!("\n---- {} ----\n{}", test.name, text.trim_end());
            }
        }
        self.tests.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        println!("\nslowest:");
        for test in self.tests.iter().take(SLOWEST) {
            println!("  {:>7.2} s  {}", test.seconds, test.name);
        }
        println!("left out:");
        for line in &self.left_out {
            println!("  {line}");
        }
        let (sqlite, postgres) = (self.on("sqlite"), self.on("postgres"));
        println!("databases: {sqlite} tests on SQLite, {postgres} on PostgreSQL");
        if sqlite != postgres {
            println!("  not the same number: a whole run fails");
        }
        for test in self.tests.iter().filter(|test| matches!(test.verdict, Verdict::Failed(_))) {
            println!("FAILED {}", test.name);
        }
        println!("took {} min {} s", took.as_secs() / 60, took.as_secs() % 60);
        let passed = self.count(|verdict| *verdict == Verdict::Passed);
        let failed = self.count(|verdict| matches!(verdict, Verdict::Failed(_)));
        println!("{passed} passed, {failed} failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(tests: &[(&str, Verdict)]) -> Report {
        let test = |(name, verdict): &(&str, Verdict)| Test {
            name: (*name).to_owned(),
            verdict: verdict.clone(),
            seconds: 0.0,
        };
        Report { tests: tests.iter().map(test).collect(), left_out: Vec::new() }
    }

    #[test]
    fn a_whole_run_needs_both_databases_alike() {
        let uneven = report(&[("sqlite::a", Verdict::Passed)]);
        assert!(!uneven.good(true));
        assert!(uneven.good(false));
        assert!(report(&[("sqlite::a", Verdict::Passed), ("postgres::a", Verdict::Passed)]).good(true));
    }

    #[test]
    fn nothing_ignored_or_failed_passes() {
        assert!(!report(&[]).good(true));
        assert!(!report(&[("a", Verdict::Ignored)]).good(true));
        assert!(!report(&[("a", Verdict::Failed(String::new()))]).good(true));
    }
}
