//! Mute rules as they hold now: which failures of a build people have muted, and what is wrong with the files in which they did.
//!
//! The files are named by the configuration: by the server's for all repositories, by a repository's own file, as it is on its default
//! branch, for that repository alone. A change under test has no say. A file with a mistake mutes nothing.

use std::sync::{Arc, Mutex, PoisonError};

use buildenv::{Config, MuteFile};
use dashboard::api::{Cause, TestResult};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use store::Micros;
use triage::MuteRules;
use triage::mute::{self, Muted, Place};
pub use triage::mute::{Expired, MuteProblem};

use crate::samples::{Told, is_bad};

/// What there is to be said about the files of mute rules of a configuration.
#[derive(Debug, Clone, Default)]
pub struct MuteCheck {
    /// Mistakes of the files that server files name.
    pub server: Vec<MuteProblem>,
    /// Mistakes of those of repositories.
    pub projects: Vec<MuteProblem>,
    /// Rules that mute nothing any more.
    pub expired: Vec<Expired>,
}

/// Looks what is wrong with the files of mute rules of a configuration, on a day (UTC's).
#[must_use]
pub fn check_mutes(config: &Config, today: Date) -> MuteCheck {
    let mut check = MuteCheck::default();
    Rules::read(config.mutes(), today, &mut check);
    check
}

/// The rules that hold on a day.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    today: Date,
    /// With the repository that a file is for; nothing for all.
    files: Vec<(Option<String>, MuteRules)>,
}

impl Rules {
    fn read(files: &[MuteFile], today: Date, check: &mut MuteCheck) -> Rules {
        let mut rules = Rules { today, files: Vec::new() };
        for file in files {
            let read = match &file.text {
                Some(text) => MuteRules::read(&[mute::MuteFile { name: &file.file, text }], today),
                None => Err(vec![MuteProblem {
                    place: Place { file: file.file.clone(), line: 1, column: 1 },
                    message: "there is no such file".into(),
                    remedy: format!("make it, or do not name it at {}", file.at),
                }]),
            };
            match read {
                Ok(read) => {
                    check.expired.extend(read.expired(today));
                    rules.files.push((file.repo.as_ref().map(ToString::to_string), read));
                }
                Err(problems) if file.repo.is_some() => check.projects.extend(problems),
                Err(problems) => check.server.extend(problems),
            }
        }
        rules
    }

    /// Whether there is none, so that nothing has to be looked into.
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(|(_, rules)| rules.rules().is_empty())
    }

    /// What is said of a failing test of a repository's build, if it is muted.
    fn of(&self, repo: &str, builder: &str, test: &TestResult) -> Option<String> {
        let text = test.message.as_deref().unwrap_or_default();
        let failure = Muted { test: &test.id, builder, text };
        let fits = self.files.iter().filter(|(of, _)| of.as_deref().is_none_or(|of| of == repo));
        let rule = fits.filter_map(|(_, rules)| rules.mutes(&failure, self.today)).next()?;
        let reason = rule.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
        let (test, place, until, owner) = (&test.id, &rule.place, rule.until, &rule.owner);
        Some(format!("{test} is muted by {}:{} until {until}, owner {owner}{reason}", place.file, place.line))
    }

    /// What of a build's failures is muted.
    pub fn of_build(&self, repo: &str, builder: &str, told: &Told) -> MutedIn {
        let mut muted = MutedIn::default();
        if self.is_empty() || told.outcome != "failed" {
            return muted;
        }
        let bad: Vec<&TestResult> = told.tests.iter().filter(|test| is_bad(test)).collect();
        for test in &bad {
            if let Some(said) = self.of(repo, builder, test) {
                muted.tests.push((test.id.clone(), test.variant.clone(), said));
            }
        }
        let (after, rest): (Vec<&TestResult>, Vec<&TestResult>) = bad
            .iter()
            .copied()
            .filter(|test| muted.says(&test.id, &test.variant).is_none())
            .partition(|test| follows(test, &bad, &muted));
        muted.whole = !muted.tests.is_empty() && rest.is_empty() && by_itself(&told.cause) && !told.cut_short;
        muted.after = after.into_iter().map(|test| (test.id.clone(), test.variant.clone())).collect();
        muted
    }
}

/// Whether a step ended as one does whose tests failed: not by a signal, and with a code that a shell does not make of one.
fn by_itself(cause: &Cause) -> bool {
    let code = cause.detail.rsplit_once("exit status ").and_then(|(_, code)| code.parse::<u32>().ok());
    cause.kind == "exit" && code.is_some_and(|code| (1..=125).contains(&code))
}

/// Whether something failed for nothing but that its tests did, and those are all muted: a package of Go's.
fn follows(whole: &TestResult, bad: &[&TestResult], muted: &MutedIn) -> bool {
    let prefix = format!("{}.", whole.id);
    let mut parts = bad.iter().filter(|test| test.id.starts_with(&prefix)).peekable();
    // What failed beside its tests says so itself.
    whole.outcome == "failed"
        && whole.message.is_none()
        && parts.peek().is_some()
        && parts.all(|test| muted.says(&test.id, &test.variant).is_some())
}

/// What of a build's failures is muted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MutedIn {
    /// Test and variant, and what is said of it.
    pub tests: Vec<(String, String, String)>,
    /// What failed for nothing but that these did.
    after: Vec<(String, String)>,
    /// Whether nothing else failed: no other test, no step that was ended or left out.
    pub whole: bool,
}

impl MutedIn {
    /// What is said of a test, if it is muted.
    pub fn says(&self, test: &str, variant: &str) -> Option<&str> {
        let found = self.tests.iter().find(|(id, of, _)| id == test && of == variant);
        found.map(|(_, _, said)| said.as_str())
    }

    /// Whether nothing has to be known of something that failed: it is muted, or follows from what is.
    pub fn covers(&self, test: &str, variant: &str) -> bool {
        self.says(test, variant).is_some() || self.follows(test, variant)
    }

    /// Whether something failed for nothing but that muted tests did.
    pub fn follows(&self, test: &str, variant: &str) -> bool {
        self.after.iter().any(|(id, of)| id == test && of == variant)
    }
}

/// Gives the rules that hold now. What is wrong is logged when the configuration or the day changes.
#[derive(Debug, Default)]
pub(crate) struct Mutes(Mutex<Option<Known>>);

#[derive(Debug)]
struct Known {
    files: Arc<[MuteFile]>,
    rules: Arc<Rules>,
}

impl Mutes {
    /// The rules of a configuration at a time.
    pub fn rules(&self, config: &Config, now: Micros) -> Arc<Rules> {
        let today = day(now);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known
            && known.rules.today == today
            && (Arc::ptr_eq(&known.files, config.mutes()) || known.files == *config.mutes())
        {
            return Arc::clone(&known.rules);
        }
        let mut check = MuteCheck::default();
        let rules = Arc::new(Rules::read(config.mutes(), today, &mut check));
        for problem in check.server.iter().chain(&check.projects) {
            tracing::warn!("a file of mute rules mutes nothing: {problem}");
        }
        for expired in &check.expired {
            tracing::warn!(owner = expired.owner, "{}", expired.sentence);
        }
        *known = Some(Known { files: Arc::clone(config.mutes()), rules: Arc::clone(&rules) });
        rules
    }
}

fn day(now: Micros) -> Date {
    let time = jiff::Timestamp::from_microsecond(now.0).unwrap_or_default();
    time.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "[[mute]]\ntest = \"net.TestDial*\"\ntext = \"refused\"\nowner = \"anna\"\nuntil = 2027-01-31\nreason = \"issue 7\"\n";

    /// A configuration whose server names a file of rules, and whose repository names another.
    fn config(server: &str, project: Option<&str>) -> Config {
        let text = "mute = \"mute.toml\"\n[repo.one]\nurl = \"one\"\n[repo.two]\nurl = \"two\"\n";
        let sources = [
            buildenv::embedded("linux", "amd64"),
            buildenv::Source::server("server.toml", text),
            buildenv::Source::project(
                "one".parse().unwrap(),
                "one:bellwether.toml",
                "mute = [\"ci/mute.toml\"]\n",
            ),
        ];
        let config = buildenv::load(&sources, &|_| Ok(server.to_owned()), None).unwrap();
        let mut files = config.mutes().to_vec();
        for file in files.iter_mut().filter(|file| file.repo.is_some()) {
            file.text = project.map(str::to_owned);
        }
        config.with_mutes(files)
    }

    fn now() -> Micros {
        Micros("2026-11-28T12:00:00Z".parse::<jiff::Timestamp>().unwrap().as_microsecond())
    }

    fn told(kind: &str, tests: &[(&str, &str, Option<&str>)]) -> Told {
        let one = |(id, outcome, message): &(&str, &str, Option<&str>)| TestResult {
            id: (*id).into(),
            outcome: (*outcome).into(),
            message: message.map(str::to_owned),
            ..TestResult::default()
        };
        Told {
            outcome: "failed".into(),
            cause: Cause { kind: kind.into(), detail: "test: exit status 1".into() },
            tests: tests.iter().map(one).collect(),
            ..Told::default()
        }
    }

    #[test]
    fn a_build_is_muted_where_nothing_else_failed() {
        let config = config(RULES, Some(""));
        let rules = Mutes::default().rules(&config, now());
        let whole = |kind: &str, tests: &[(&str, &str, Option<&str>)]| {
            let muted = rules.of_build("two", "linux", &told(kind, tests));
            (muted.tests.len(), muted.whole)
        };
        let dial = ("net.TestDial", "failed", Some("dial: refused"));
        assert_eq!(whole("exit", &[dial, ("net.TestRead", "ok", None)]), (1, true));
        assert_eq!(whole("exit", &[dial, ("net", "failed", None)]), (1, true), "its package follows");
        assert_eq!(whole("exit", &[dial, ("net", "failed", Some("exit status 2"))]), (1, false));
        assert_eq!(whole("exit", &[dial, ("os", "failed", None)]), (1, false), "another package");
        assert_eq!(
            whole("exit", &[dial, ("net.TestRead", "failed", None), ("net", "failed", None)]),
            (1, false)
        );
        assert_eq!(whole("exit", &[dial, ("net.TestRead", "unfinished", None)]), (1, false));
        assert_eq!(whole("timeout", &[dial]), (1, false));
        for (detail, cut_short, whole) in [
            ("a: exit status 125", false, true),
            ("a: exit status 137", false, false),
            ("a: exit status 1", true, false),
        ] {
            let mut failure = told("exit", &[dial]);
            (failure.cause.detail, failure.cut_short) = (detail.into(), cut_short);
            assert_eq!(rules.of_build("two", "linux", &failure).whole, whole, "{detail}");
        }
        assert_eq!(whole("exit", &[("net.TestDial", "failed", Some("reset"))]), (0, false));
        assert_eq!(whole("exit", &[]), (0, false), "the build as a whole is nobody's test");
        let muted = rules.of_build("two", "linux", &told("exit", &[dial]));
        let said = "net.TestDial is muted by mute.toml:1 until 2027-01-31, owner anna (issue 7)";
        assert_eq!(muted.says("net.TestDial", ""), Some(said));
    }

    #[test]
    fn a_repository_mutes_its_own_tests_alone_and_a_bad_file_nothing() {
        let own = RULES.replace("net.TestDial*", "os.TestPipe");
        let of = |server: &str, project: Option<&str>, repo: &str| {
            let config = config(server, project);
            let rules = Mutes::default().rules(&config, now());
            let tests =
                [("net.TestDial", "failed", Some("refused")), ("os.TestPipe", "failed", Some("refused"))];
            let muted = rules.of_build(repo, "linux", &told("exit", &tests));
            let check = check_mutes(&config, day(now()));
            let names: Vec<_> = muted.tests.into_iter().map(|(test, _, _)| test).collect();
            (names.join(" "), check.server.len(), check.projects.len())
        };
        assert_eq!(of(RULES, Some(&own), "one"), ("net.TestDial os.TestPipe".into(), 0, 0));
        assert_eq!(of(RULES, Some(&own), "two"), ("net.TestDial".into(), 0, 0));
        assert_eq!(of(&format!("{RULES}x = 1\n"), Some(&own), "one"), ("os.TestPipe".into(), 1, 0));
        assert_eq!(of(RULES, None, "one"), ("net.TestDial".into(), 0, 1));
    }

    #[test]
    fn a_rule_ends_with_its_day() {
        let config = config(RULES, Some(""));
        let mutes = Mutes::default();
        let failure = told("exit", &[("net.TestDial", "failed", Some("refused"))]);
        let last = Micros("2027-01-31T23:59:59Z".parse::<jiff::Timestamp>().unwrap().as_microsecond());
        assert!(mutes.rules(&config, last).of_build("two", "linux", &failure).whole);
        let after = mutes.rules(&config, Micros(last.0 + 1_000_000));
        assert!(!after.of_build("two", "linux", &failure).whole);
        assert_eq!(check_mutes(&config, day(Micros(last.0 + 1_000_000))).expired[0].owner, "anna");
    }
}
