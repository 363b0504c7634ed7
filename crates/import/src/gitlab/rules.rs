//! `rules`, `only` and `except`: after which commits a job runs. The usual forms are understood, the rest is named.

use crate::draft::is_pattern;
use crate::ledger::Ledger;
use crate::yaml::Entry;

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    pub branches: Vec<String>,
    pub pushed: bool,
    pub review: bool,
    pub comments: Vec<String>,
}

impl Default for When {
    /// Without any rule a job runs for branches, and not for merge requests.
    fn default() -> Self {
        Self { branches: vec!["*".into()], pushed: true, review: false, comments: Vec::new() }
    }
}

impl When {
    /// What both let through.
    pub fn and(self, other: &Self) -> Self {
        let all = |list: &[String]| list.is_empty() || list == ["*"];
        let branches = if all(&self.branches) { other.branches.clone() } else { self.branches };
        Self { branches, pushed: self.pushed && other.pushed, review: self.review, comments: self.comments }
    }

    fn nothing() -> Self {
        Self { branches: Vec::new(), pushed: false, review: false, comments: Vec::new() }
    }

    fn let_in(&mut self, what: What) {
        match what {
            What::Everything => (self.pushed, self.review, self.branches) = (true, true, vec!["*".into()]),
            What::Branches => (self.pushed, self.branches) = (true, vec!["*".into()]),
            What::Branch(pattern) => {
                self.pushed = true;
                if self.branches != ["*"] {
                    self.branches.push(pattern);
                }
            }
            What::Review => self.review = true,
            // Its name is in no file: one of the two usual ones.
            What::Default => {
                self.pushed = true;
                if self.branches != ["*"] {
                    self.branches.extend(["main".into(), "master".into()]);
                }
            }
            What::Never => {}
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Everything,
    Branches,
    /// The default branch.
    Default,
    Branch(String),
    Review,
    /// Tags, the clock, other pipelines: none of them makes a build here.
    Never,
}

const BY_HAND: &str =
    "say it with branches, policy, post_submit and try of the builder: docs/CONFIG.md, Who builds what";

pub fn rules(entry: &Entry, ledger: &mut Ledger) -> When {
    ledger.enter(entry);
    let mut found = When::nothing();
    let mut open = false;
    // Rules are asked in order: what a `never` took away stays away.
    let mut gone: Vec<What> = Vec::new();
    // After a rule without a condition no other is asked.
    let mut decided = false;
    for rule in entry.node.many() {
        let when = rule.get("when").and_then(|when| when.node.text()).unwrap_or("on_success").to_owned();
        let what = match rule.get("if") {
            Some(condition) => {
                let text = condition.node.text().unwrap_or_default();
                let what = self::condition(text);
                match &what {
                    Some(What::Never) => {
                        ledger.meaningless(condition, format!("{text}: makes no build here"))
                    }
                    Some(_) => ledger.carried(condition, "branches, post_submit and try of the builder"),
                    None => {
                        open = true;
                        ledger.open(condition, format!("the condition {text:?}"), BY_HAND);
                    }
                }
                what
            }
            None => Some(What::Everything),
        };
        for key in rule.entries() {
            match key.key.as_str() {
                "changes" | "exists" => ledger.open(
                    key,
                    "every commit is built, whatever files it changed",
                    "let a first step end the build where nothing of interest changed",
                ),
                "variables" => ledger.open(
                    key,
                    "variables for some commits only",
                    "set them in the step, by its own test",
                ),
                "allow_failure" | "interruptible" => {
                    ledger.meaningless(key, "no builder keeps another from being built")
                }
                "needs" => {
                    ledger.open(key, "builders do not wait for one another", "make their steps one recipe")
                }
                "when" => match when.as_str() {
                    "on_success" | "always" => ledger.carried(key, "the builder builds then"),
                    "never" => ledger.carried(key, "the builder does not build then"),
                    "manual" => ledger.open(
                        key,
                        "builds that wait for somebody's word",
                        "post_submit = false, and `bellwether build --builder NAME` by hand",
                    ),
                    _ => ledger.open(key, format!("when: {when}"), BY_HAND),
                },
                "start_in" => ledger.open(key, "builds are not put off", "take it away"),
                _ => {}
            }
        }
        match (what, when.as_str()) {
            _ if decided => {}
            (Some(What::Everything), "never") => decided = true,
            (Some(what), "never") => gone.push(what),
            (Some(_), "manual" | "delayed" | "on_failure") => {}
            (Some(What::Everything), _) => {
                found.let_in(What::Everything);
                gone.iter().for_each(|what| take_away(&mut found, what));
                decided = true;
            }
            (Some(what), _) if gone.contains(&what) => {}
            (Some(what), _) => found.let_in(what),
            (None, _) => {}
        }
    }
    if open && !found.pushed && !found.review {
        found
            .comments
            .push("Its rules could not be carried over: nothing builds it until you say when.".into());
    }
    found
}

fn take_away(found: &mut When, what: &What) {
    match what {
        What::Review => found.review = false,
        What::Branches => found.pushed = false,
        What::Branch(pattern) => without(found, pattern),
        What::Default => ["main", "master"].iter().for_each(|name| without(found, name)),
        What::Everything | What::Never => {}
    }
}

fn without(found: &mut When, pattern: &str) {
    // A list that only takes away holds all the rest.
    if found.branches == ["*"] {
        found.branches.clear();
    }
    found.branches.push(format!("!{pattern}"));
}

fn condition(text: &str) -> Option<What> {
    let compact: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((left, right)) = compact.split_once(" || ") {
        // Two that come to the same, or of which one makes no build.
        return match (condition(left)?, condition(right)?) {
            (What::Never, other) | (other, What::Never) => Some(other),
            (a, b) if a == b => Some(a),
            (What::Branches, What::Review) | (What::Review, What::Branches) => Some(What::Everything),
            _ => None,
        };
    }
    let compact = compact.trim_start_matches('(').trim_end_matches(')').replace('\'', "\"");
    if let Some((left, right)) = compact.split_once("=~") {
        let name = left.trim();
        let pattern = expression(right.trim())?;
        return match name {
            "$CI_COMMIT_BRANCH" | "$CI_COMMIT_REF_NAME" => Some(What::Branch(pattern)),
            "$CI_COMMIT_TAG" => Some(What::Never),
            _ => None,
        };
    }
    if let Some((left, right)) = compact.split_once("==") {
        let (name, value) = (left.trim(), right.trim());
        let quoted = value.trim_matches('"');
        return match (name, value) {
            ("$CI_COMMIT_BRANCH" | "$CI_COMMIT_REF_NAME", "$CI_DEFAULT_BRANCH") => Some(What::Default),
            ("$CI_DEFAULT_BRANCH", "$CI_COMMIT_BRANCH") => Some(What::Default),
            ("$CI_COMMIT_BRANCH" | "$CI_COMMIT_REF_NAME", value) if value.starts_with('"') => {
                Some(What::Branch(quoted.to_owned())).filter(|_| is_pattern(quoted))
            }
            ("$CI_PIPELINE_SOURCE", _) => match quoted {
                "merge_request_event" => Some(What::Review),
                "push" => Some(What::Branches),
                "schedule" | "web" | "api" | "trigger" | "pipeline" | "parent_pipeline" | "chat" => {
                    Some(What::Never)
                }
                _ => None,
            },
            _ => None,
        };
    }
    match compact.as_str() {
        "$CI_COMMIT_BRANCH" => Some(What::Branches),
        "$CI_COMMIT_TAG" => Some(What::Never),
        "$CI_MERGE_REQUEST_IID" | "$CI_MERGE_REQUEST_ID" => Some(What::Review),
        _ => None,
    }
}

/// A regular expression as a pattern, if it is a simple one: `/^release-.*$/`.
pub fn expression(text: &str) -> Option<String> {
    let inner = text.strip_prefix('/')?;
    let inner = inner.strip_suffix("/i").or_else(|| inner.strip_suffix('/'))?;
    pattern(inner)
}

/// The same without the slashes around it.
pub fn pattern(inner: &str) -> Option<String> {
    let (begin, rest) = inner.strip_prefix('^').map_or(("*", inner), |rest| ("", rest));
    let (end, rest) = rest.strip_suffix('$').map_or(("*", rest), |rest| ("", rest));
    let rest = rest.replace(".*", "*").replace(".+", "?*").replace(r"\d+", "[0-9]*").replace(r"\d", "[0-9]");
    let rest =
        rest.replace(r"\.", "\u{1}").replace(r"\/", "/").replace(r"\-", "-").replace("[0-9]+", "[0-9]*");
    if rest.contains(['\\', '(', ')', '|', '+', '{', '}', '.', '^', '$']) {
        return None;
    }
    let pattern = format!("{begin}{}{end}", rest.replace('\u{1}', ".")).replace("**", "*");
    pattern.parse::<buildenv::Pattern>().is_ok().then_some(pattern)
}

pub fn only(only: Option<&Entry>, except: Option<&Entry>, ledger: &mut Ledger) -> When {
    let mut found = if only.is_some() { When::nothing() } else { When::default() };
    let refs = |entry: &Entry, ledger: &mut Ledger| {
        let Some(inner) = entry.node.get("refs") else {
            if !entry.node.is_map() {
                return Some((entry.clone(), entry.node.texts()));
            }
            keys(entry, ledger);
            return None;
        };
        keys(entry, ledger);
        Some((inner.clone(), inner.node.texts()))
    };
    if let Some(entry) = only {
        match refs(entry, ledger) {
            Some((at, names)) => {
                for name in names {
                    match reference(&name) {
                        Some(what) => {
                            ledger.carried(
                                &at,
                                format!("{name}: branches, post_submit and try of the builder"),
                            );
                            found.let_in(what);
                        }
                        None => ledger.open(&at, format!("{name:?}"), BY_HAND),
                    }
                }
            }
            None => found = When::default(),
        }
    }
    if let Some((at, names)) = except.and_then(|entry| refs(entry, ledger)) {
        for name in names {
            match reference(&name) {
                Some(What::Never) => ledger.meaningless(&at, format!("{name}: makes no build here")),
                Some(what) => {
                    ledger.carried(&at, format!("{name}: left out"));
                    take_away(&mut found, &what);
                }
                None => ledger.open(&at, format!("{name:?}"), BY_HAND),
            }
        }
    }
    found
}

fn keys(entry: &Entry, ledger: &mut Ledger) {
    ledger.enter(entry);
    for key in entry.node.entries().iter().filter(|key| key.key != "refs") {
        ledger.open(key, "commits are not chosen by variables or changed files", BY_HAND);
    }
}

fn reference(name: &str) -> Option<What> {
    match name {
        "branches" | "pushes" => Some(What::Branches),
        "tags" | "schedules" | "triggers" | "web" | "api" | "pipelines" | "external" | "chat" => {
            Some(What::Never)
        }
        "merge_requests" | "external_pull_requests" => Some(What::Review),
        _ if name.starts_with('/') => expression(name).map(What::Branch),
        _ if name.contains(['$', '@']) => None,
        _ => Some(What::Branch(name.to_owned())).filter(|_| is_pattern(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_conditions_are_understood() {
        let branch = |text: &str| Some(What::Branch(text.into()));
        assert_eq!(condition("$CI_COMMIT_BRANCH == \"main\""), branch("main"));
        assert_eq!(condition("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"), Some(What::Default));
        assert_eq!(condition("$CI_COMMIT_BRANCH =~ /^release-\\d+\\.x$/"), branch("release-[0-9]*.x"));
        assert_eq!(condition("$CI_PIPELINE_SOURCE == 'merge_request_event'"), Some(What::Review));
        assert_eq!(condition("$CI_COMMIT_TAG || $CI_COMMIT_BRANCH"), Some(What::Branches));
        assert_eq!(condition("$DEPLOY == \"yes\""), None);
        assert_eq!(pattern("^(a|b)$"), None);
    }
}
