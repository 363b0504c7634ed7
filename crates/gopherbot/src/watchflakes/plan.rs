//! What would be posted (`spec/services.md` §5.4, 5.6, 5.11, 5.12, 5.14).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::block::script_of;
use super::failure::{FIELDS, Failure};
use super::issue::{Issue, builds_in, is_build_id};
use super::rule::Script;
use super::write::{comment_body, complaint, issue_body, new_rule};

/// A build that failed, with what is left of its failures ([`super::coalesce`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its id, as it stands in its address behind [`Config::build_prefix`]: letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// Its failures.
    pub failures: Vec<Failure>,
}

/// What differs from project to project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// What comes before a build's id in its address. A build whose address is on an issue is not posted there again.
    pub build_prefix: String,
    /// The same of former times.
    pub old_prefixes: Vec<String>,
    /// Labels of a new issue.
    pub labels: Vec<String>,
    /// As many new issues in one run are a fault of ours or of the list of issues, and none of them is made.
    pub max_new: usize,
}

impl Config {
    /// The configuration of a server whose builds have such addresses.
    #[must_use]
    pub fn new(build_prefix: &str) -> Self {
        let labels = vec!["Automation".to_owned()];
        Self { build_prefix: build_prefix.to_owned(), old_prefixes: Vec::new(), labels, max_new: 100 }
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "intent")]
pub enum Intent {
    /// Make an issue, and comment on it.
    NewIssue {
        /// Its title.
        title: String,
        /// Its text, with its rule.
        body: String,
        /// Its labels.
        labels: Vec<String>,
        /// The comment with all its failures.
        comment: String,
        /// The builds in it.
        builds: Vec<String>,
    },
    /// Comment on an issue.
    Comment {
        /// The issue.
        issue: u64,
        /// The comment.
        body: String,
        /// Open it again first, as it fails again after it was closed.
        reopen: bool,
        /// The builds in it.
        builds: Vec<String>,
    },
    /// Say on an issue what is wrong with its rules.
    Complain {
        /// The issue.
        issue: u64,
        /// The comment.
        body: String,
    },
    /// Post nothing of a failure, as a rule says so.
    Skip {
        /// The issue that has the rule.
        issue: u64,
        /// The build.
        build: String,
        /// Which of its failures, from 0.
        failure: usize,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Planned {
    /// In this order.
    pub intents: Vec<Intent>,
    /// What rules say that has no meaning yet, for people.
    pub notes: Vec<String>,
}

/// Says why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// So many new issues come of a list of issues that is not whole.
    #[error("{0} new issues in one run: the list of issues can't be whole; look at it, or raise the limit")]
    TooManyNew(usize),
    /// It would not be found again on the issue, and be posted each time.
    #[error("the build id {0:?} has other characters than letters, digits, '-', '_' and '.'")]
    BuildId(String),
    /// The same.
    #[error("no address of builds is configured, so that what was posted would be posted again each time")]
    NoPrefix,
}

/// An issue whose rules are asked.
struct Collecting<'a> {
    /// Nothing for one that is to be made.
    issue: Option<&'a Issue>,
    script: Script,
    /// The script as it stands there.
    text: String,
    mentions: BTreeSet<String>,
    posts: Vec<(&'a str, &'a Failure)>,
    title: String,
    body: String,
}

/// Matches failures to issues, and says what would be posted.
///
/// # Errors
/// If it would be as many new issues as can't be right, or what is posted could not be found again.
pub fn plan(issues: &[Issue], builds: &[Build], config: &Config) -> Result<Planned, PlanError> {
    if config.build_prefix.is_empty() {
        return Err(PlanError::NoPrefix);
    }
    if let Some(odd) = builds.iter().find(|build| !is_build_id(&build.id)) {
        return Err(PlanError::BuildId(odd.id.clone()));
    }
    let mut planned = Planned::default();
    let mut all = collecting(issues, config, &mut planned);
    for build in builds {
        let mut made = false;
        for (number, failure) in build.failures.iter().enumerate() {
            let posts = match decide(&all, failure, &mut planned.notes) {
                Decided::Skip(issue) => {
                    let build = build.id.clone();
                    planned.intents.push(Intent::Skip { issue, build, failure: number });
                    continue;
                }
                Decided::Post(posts) => posts,
                Decided::Nobody if made => continue,
                Decided::Nobody => {
                    made = true;
                    all.push(new_issue(failure));
                    vec![all.len() - 1]
                }
            };
            for at in posts {
                if !all[at].mentions.contains(&build.id) {
                    all[at].posts.push((&build.id, failure));
                }
            }
        }
    }
    let new = all.iter().filter(|one| one.issue.is_none()).count();
    if new >= config.max_new {
        return Err(PlanError::TooManyNew(new));
    }
    planned.intents.extend(all.iter().filter(|one| !one.posts.is_empty()).map(|one| intent(one, config)));
    Ok(planned)
}

/// The issues with a valid script, by number; the others are complained of, once for each edit.
fn collecting<'a>(issues: &'a [Issue], config: &Config, planned: &mut Planned) -> Vec<Collecting<'a>> {
    let prefixes = std::iter::once(&config.build_prefix).chain(&config.old_prefixes);
    let by_number: BTreeMap<u64, &Issue> = issues.iter().map(|issue| (issue.number, issue)).collect();
    let mut all = Vec::new();
    for (number, issue) in by_number {
        let script = script_of(&issue.body).map_err(|error| vec![error.to_string()]).and_then(|text| {
            let parsed = Script::parse("script", &text, FIELDS);
            let parsed = parsed.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>());
            parsed.map(|script| (script, text))
        });
        match script {
            Ok((script, text)) => all.push(Collecting {
                issue: Some(issue),
                script,
                text,
                mentions: issue.mentions(prefixes.clone()),
                posts: Vec::new(),
                title: issue.title.clone(),
                body: String::new(),
            }),
            Err(mistakes) if issue.new_body() => {
                planned.intents.push(Intent::Complain { issue: number, body: complaint(&mistakes) });
            }
            Err(_) => {}
        }
    }
    all
}

enum Decided {
    Skip(u64),
    Post(Vec<usize>),
    Nobody,
}

/// Any `skip` wins, then all that say `post`, then the first that says `default`.
fn decide(all: &[Collecting<'_>], failure: &Failure, notes: &mut Vec<String>) -> Decided {
    let (mut posts, mut default) = (Vec::new(), None);
    for (at, one) in all.iter().enumerate() {
        let number = one.issue.map_or(0, |issue| issue.number);
        match one.script.action(failure) {
            Some("skip") => return Decided::Skip(number),
            Some("post") => posts.push(at),
            Some("default") => default = default.or(Some(at)),
            Some("take") => {
                notes.push(format!("issue {number} would take {}", super::write::header(failure.parts())))
            }
            _ => {}
        }
    }
    match (posts.is_empty(), default) {
        (false, _) => Decided::Post(posts),
        (true, Some(at)) => Decided::Post(vec![at]),
        (true, None) => Decided::Nobody,
    }
}

fn new_issue<'a>(failure: &Failure) -> Collecting<'a> {
    let (rule, title) = new_rule(failure.parts());
    let text = format!("{}\ndefault <- {rule}\n", super::MARKER);
    // We wrote it ourselves; if it can't be read it matches nothing, and the issue says so to whoever opens it.
    let script = Script::parse("script", &text, FIELDS).unwrap_or_default();
    let body = issue_body(&rule, failure);
    Collecting { issue: None, script, text, mentions: BTreeSet::new(), posts: Vec::new(), title, body }
}

/// As many failures of a row that has not ended, the first of them, make an issue's failure consistent.
const CONSISTENT: usize = 4;

fn intent(one: &Collecting<'_>, config: &Config) -> Intent {
    let failures: Vec<&Failure> = one.posts.iter().map(|(_, failure)| *failure).collect();
    let links: Vec<(String, &Failure)> = one
        .posts
        .iter()
        .map(|(build, failure)| (format!("{}{build}", config.build_prefix), *failure))
        .collect();
    let comment = comment_body(&one.text, &links);
    // One that was cut off is not posted, and comes again the next time.
    let here: BTreeSet<String> = builds_in(&comment, [&config.build_prefix]).into_iter().collect();
    let mut builds: Vec<String> = one.posts.iter().map(|(build, _)| (*build).to_owned()).collect();
    builds.retain(|build| here.contains(build));
    builds.dedup();
    let Some(issue) = one.issue else {
        let top = |failure: &&&Failure| failure.parts().top;
        let consistent = failures.first().is_some_and(|first| first.parts().top)
            && failures.iter().filter(top).count() >= CONSISTENT;
        let title = format!("{}{}", one.title, if consistent { " [consistent failure]" } else { "" });
        return Intent::NewIssue {
            title,
            body: one.body.clone(),
            labels: config.labels.clone(),
            comment,
            builds,
        };
    };
    let again = |closed| failures.iter().any(|failure| failure.parts().committed > closed);
    Intent::Comment { issue: issue.number, body: comment, reopen: issue.closed.is_some_and(again), builds }
}
