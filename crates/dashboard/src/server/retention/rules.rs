//! How long what is kept, as a function of the configuration and what is known of a build. No I/O.

use std::time::Duration;

use buildenv::Retention;
use store::Micros;
use store::retention::Held;

/// What can go by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Logs,
    Artifacts,
    Tests,
}

/// How long something is kept, and which key of `[retention]` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Forever(&'static str),
    Until(Micros, &'static str),
}

impl Keep {
    pub(super) fn is_over(self, now: Micros) -> bool {
        matches!(self, Self::Until(end, _) if end < now)
    }

    pub(super) fn rule(self) -> &'static str {
        match self {
            Self::Forever(rule) | Self::Until(_, rule) => rule,
        }
    }
}

fn age(rules: &Retention, kind: Kind) -> (Option<Duration>, &'static str) {
    match kind {
        Kind::Logs => (rules.logs, "logs"),
        Kind::Artifacts => (rules.artifacts, "artifacts"),
        Kind::Tests => (rules.tests, "tests"),
    }
}

/// How long a build's logs, artefacts or test results are kept. `newest_green` is whether the build is one of the last
/// green ones of its builder on its branch.
pub(super) fn keep(rules: &Retention, kind: Kind, build: &Held, newest_green: bool) -> Keep {
    let (age, rule) = age(rules, kind);
    let Some(age) = age else { return Keep::Forever("no age is set") };
    // No patterns would be all branches.
    if !rules.branches.is_empty() && rules.branches.matches(&build.branch) {
        return Keep::Forever("branches");
    }
    if newest_green {
        return Keep::Forever("last_green");
    }
    let (age, rule) = match rules.failed {
        Some(longer) if build.outcome != "ok" && longer > age => (longer, "failed"),
        _ => (age, rule),
    };
    Keep::Until(after(build.ended, age), rule)
}

fn after(moment: Micros, age: Duration) -> Micros {
    Micros(moment.0.saturating_add(i64::try_from(age.as_micros()).unwrap_or(i64::MAX)))
}

/// Nothing goes of a build that ended after this moment; nothing at all if there is none.
pub(super) fn horizon(rules: &Retention, now: Micros) -> Option<Micros> {
    let shortest = [rules.logs, rules.artifacts, rules.tests].into_iter().flatten().min()?;
    Some(Micros(now.0.saturating_sub(i64::try_from(shortest.as_micros()).unwrap_or(i64::MAX))))
}

/// The repo and the commit of a snapshot, by its object's path: `snapshots/TRUST/BUILDER/REPO@COMMIT/DIGEST.tar.gz`.
pub(super) fn snapshot_of(path: &str) -> Option<(&str, &str)> {
    let mut parts = path.split('/').skip(3);
    let revision = parts.next()?;
    parts.next()?;
    revision.split_once('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn build(branch: &str, outcome: &str) -> Held {
        Held {
            build: store::BuildId::new(Micros(5), &mut |to: &mut [u8]| to.fill(1)),
            builder: "b".into(),
            repo: "r".into(),
            branch: branch.into(),
            outcome: outcome.into(),
            ended: Micros(0),
            logs: (1, 1),
            artifacts: (1, 1),
            tests: 1,
        }
    }

    #[test]
    fn the_longest_of_what_is_said_counts() {
        let days = |n: u64| Some(Duration::from_secs(n * DAY));
        let rules = Retention {
            logs: days(90),
            artifacts: days(10),
            failed: days(30),
            branches: buildenv::Patterns::of(["release-*"]).unwrap(),
            ..Retention::default()
        };
        let until = |n: u64, rule| Keep::Until(Micros((n * DAY) as i64 * 1_000_000), rule);
        assert_eq!(keep(&rules, Kind::Logs, &build("main", "ok"), false), until(90, "logs"));
        assert_eq!(keep(&rules, Kind::Logs, &build("main", "failed"), false), until(90, "logs"));
        assert_eq!(keep(&rules, Kind::Artifacts, &build("main", "ok"), false), until(10, "artifacts"));
        assert_eq!(keep(&rules, Kind::Artifacts, &build("main", "infra_failed"), false), until(30, "failed"));
        assert_eq!(keep(&rules, Kind::Tests, &build("main", "ok"), false), Keep::Forever("no age is set"));
        assert_eq!(keep(&rules, Kind::Logs, &build("release-1", "ok"), false), Keep::Forever("branches"));
        assert_eq!(keep(&rules, Kind::Logs, &build("main", "ok"), true), Keep::Forever("last_green"));
        let now = Micros(100 * DAY as i64 * 1_000_000);
        assert_eq!(horizon(&rules, now), Some(Micros(90 * DAY as i64 * 1_000_000)));
        assert_eq!(horizon(&Retention::default(), now), None);
    }

    #[test]
    fn a_snapshot_names_its_commit() {
        let path = "snapshots/trusted/go.linux/go@0123/abc.tar.gz";
        assert_eq!(snapshot_of(path), Some(("go", "0123")));
        for other in ["snapshots/trusted/x", "snapshots/trusted/b/go@1", "logs/a/b/c/d", "x"] {
            assert_eq!(snapshot_of(other), None, "{other}");
        }
    }
}
