//! `retrybuilds`: queues builds again that failed in some way; by the original's flags (spec/coordinator.md §6.1), and by text,
//! test and machine.

mod flaky;
mod posted;

use std::collections::HashSet;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dashboard::api::{BuildReport, BuildSummary, Failure, Outcome};
use futures::StreamExt as _;
use jiff::Timestamp;
use regex::Regex;
use serde::Serialize;

use super::client::{Remote, print_json, short_revision};
use super::greplogs;
use crate::api::{GetBuildLogQuery, ListBuildsQuery, SearchLogsQuery};
use crate::args::Retrybuilds;
use crate::terminal::plain;

/// More than so many are asked about first.
const MANY: usize = 10;
/// Requests at a time.
const AT_ONCE: usize = 8;
/// So much of a log is read for --redo-flaky.
const LOG: usize = 4 << 20;
/// The longest that logs are searched, and most of them that are found.
const SEARCH: Duration = Duration::from_secs(300);
/// Texts are cut to so many characters.
const WIDTH: usize = 200;

pub async fn run(args: &Retrybuilds) -> Result<ExitCode> {
    if args.masterkey.is_some() || args.key.is_some() || args.builder_prefix.is_some() {
        return posted::run(args).await;
    }
    let wanted = Wanted::of(args, Timestamp::now())?;
    let remote = Remote::new(&args.server)?;
    let found = find(&remote, args, &wanted).await?;
    if !args.server.json {
        found.builds.iter().for_each(|one| println!("{}", one.line()));
    }
    if found.builds.is_empty() {
        eprintln!("of {} failed builds that were looked at none is of this kind", found.looked_at);
        said(args, &found)?;
        return Ok(ExitCode::from(1));
    }
    if args.dry_run {
        eprintln!(
            "{} of {} failed builds; without --dry-run they are queued again",
            found.builds.len(),
            found.looked_at
        );
        said(args, &found)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !may_go_on(args, found.builds.len(), "builds are queued again")? {
        return Ok(ExitCode::SUCCESS);
    }
    let found = retry(&remote, found).await;
    said(args, &found)?;
    let failed = found.builds.iter().filter(|one| one.error.is_some()).count();
    eprintln!("{} of {} are queued again", found.builds.len() - failed, found.builds.len());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn said(args: &Retrybuilds, found: &Found) -> Result<()> {
    if args.server.json {
        print_json(found)?;
    }
    Ok(())
}

/// Asks before many are done. `--yes` is the answer of whoever is not there.
fn may_go_on(args: &Retrybuilds, many: usize, what: &str) -> Result<bool> {
    if args.yes || many <= MANY {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        bail!("{many} {what}: more than {MANY} need --yes, or a terminal to answer at; --dry-run says which");
    }
    let mut out = std::io::stderr();
    let _ = write!(out, "{many} {what}. Go on? [y/N] ").and_then(|()| out.flush());
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// What is asked for.
struct Wanted {
    since: Timestamp,
    outcomes: Vec<Outcome>,
    failure: Option<Regex>,
    test: Option<Regex>,
}

impl Wanted {
    fn of(args: &Retrybuilds, now: Timestamp) -> Result<Wanted> {
        let texts = [
            &args.builder,
            &args.hash,
            &args.loghash,
            &args.failure,
            &args.log,
            &args.test,
            &args.machine,
            &args.host,
        ];
        if !args.redo_flaky && texts.iter().all(|text| text.is_none()) {
            bail!(
                "say which: --builder, --hash, --loghash, --redo-flaky, --failure, --log, --test, --machine or --host \
                 (--failure '' is everything that failed and says where)"
            );
        }
        let digits =
            |text: &str| (4..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        for (flag, text) in [("--hash", &args.hash), ("--loghash", &args.loghash)] {
            if let Some(text) = text.as_deref().filter(|text| !digits(text)) {
                bail!("{flag}: {text:?} is not 4 to 40 hexadecimal digits");
            }
        }
        let outcomes = match args.outcome.as_deref() {
            None => vec![Outcome::Failed, Outcome::InfraFailed],
            Some(text) => match text.parse() {
                Ok(outcome @ (Outcome::Failed | Outcome::InfraFailed)) => vec![outcome],
                _ => bail!("--outcome: {text} is neither failed nor infra_failed"),
            },
        };
        let regex = |flag: &str, text: &Option<String>| {
            let built = text.as_deref().map(Regex::new).transpose();
            built.with_context(|| format!("{flag} is not a regular expression"))
        };
        Ok(Wanted {
            since: greplogs::since(&args.since, now)?,
            outcomes,
            failure: regex("--failure", &args.failure)?,
            test: regex("--test", &args.test)?,
        })
    }
}

/// A build that is to be done again.
#[derive(Debug, Clone, Serialize)]
struct One {
    build: String,
    builder: String,
    repo: String,
    revision: String,
    outcome: Option<Outcome>,
    created: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    queued_again: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl One {
    fn of(build: &BuildSummary) -> One {
        One {
            build: build.id.clone(),
            builder: build.builder.clone(),
            repo: build.repo.clone(),
            revision: build.revision.clone(),
            outcome: build.outcome,
            created: build.created,
            failure: None,
            machine: None,
            queued_again: false,
            error: None,
        }
    }

    fn line(&self) -> String {
        let outcome = self.outcome.map_or("", |outcome| outcome.as_str());
        let (revision, said) = (short_revision(&self.revision), self.failure.as_deref().unwrap_or_default());
        let machine = self.machine.as_deref().unwrap_or_default();
        plain(&format!("{}  {revision}  {}  {outcome}  {machine}  {said}", self.build, self.builder), WIDTH)
    }
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Found {
    builds: Vec<One>,
    looked_at: usize,
    dry_run: bool,
}

async fn find(remote: &Remote, args: &Retrybuilds, wanted: &Wanted) -> Result<Found> {
    let mut builds = failed(remote, args, wanted).await?;
    let looked_at = builds.len();
    if let Some(hash) = &args.hash {
        let hash = hash.to_ascii_lowercase();
        builds.retain(|build| commits(&build.revision).any(|commit| commit.starts_with(&hash)));
    }
    if let Some(log) = &args.loghash {
        let branch = args.branch.as_deref().unwrap_or("all");
        let list = remote.hint_any(posted::failures(&remote.api, "/dash", branch).await)?;
        let named: HashSet<(String, String)> = list
            .into_iter()
            .filter(|one| one.log.starts_with(&log.to_ascii_lowercase()))
            .map(|one| (one.hash, one.builder))
            .collect();
        let fits = |build: &BuildSummary| {
            commits(&build.revision)
                .next()
                .is_some_and(|commit| named.contains(&(commit.to_owned(), build.builder.clone())))
        };
        builds.retain(fits);
    }
    if let Some(log) = &args.log {
        let with = with_log(remote, args, wanted, log).await?;
        builds.retain(|build| with.contains(&build.id));
    }
    let one = |build: BuildSummary| async move { looked_into(remote, args, wanted, &build).await };
    let looked: Vec<Result<Option<One>>> =
        futures::stream::iter(builds.into_iter().map(one)).buffered(AT_ONCE).collect().await;
    let builds = looked.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    Ok(Found { builds, looked_at, dry_run: args.dry_run })
}

fn commits(revision: &str) -> impl Iterator<Item = &str> {
    revision.split('+').filter_map(|part| Some(part.split_once('@')?.1))
}

/// Lists builds that failed, the newest first, one of each revision and builder.
async fn failed(remote: &Remote, args: &Retrybuilds, wanted: &Wanted) -> Result<Vec<BuildSummary>> {
    let mut builds = Vec::new();
    for outcome in &wanted.outcomes {
        let (mut cursor, mut asked) = (None, 0);
        loop {
            let query = ListBuildsQuery {
                repo: args.repo.clone(),
                builder: args.builder.clone(),
                branch: args.branch.clone(),
                outcome: Some(*outcome),
                limit: Some((args.limit - asked).min(500)),
                cursor,
                ..ListBuildsQuery::default()
            };
            let list = remote.hint(remote.api.list_builds(&query).await)?;
            asked += list.builds.len() as u32;
            let old = list.builds.last().is_some_and(|build| build.created < wanted.since);
            builds.extend(list.builds.into_iter().filter(|build| build.created >= wanted.since));
            cursor = list.next_cursor;
            if asked >= args.limit && cursor.is_some() && !old {
                eprintln!(
                    "only the newest {} that are {outcome} are looked at: --limit looks at more",
                    args.limit
                );
            }
            if cursor.is_none() || old || asked >= args.limit {
                break;
            }
        }
    }
    builds.sort_by(|one, other| other.id.cmp(&one.id));
    let mut seen = HashSet::new();
    builds.retain(|build| seen.insert((build.revision.clone(), build.builder.clone())));
    Ok(builds)
}

/// Finds builds by their logs, through the index.
async fn with_log(
    remote: &Remote,
    args: &Retrybuilds,
    wanted: &Wanted,
    log: &str,
) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for outcome in &wanted.outcomes {
        let query = SearchLogsQuery {
            q: log.to_owned(),
            repo: args.repo.clone(),
            builder: args.builder.clone(),
            branch: args.branch.clone(),
            outcome: Some(*outcome),
            since: Some(wanted.since.to_string()),
            lines: Some(1),
            limit: Some(200),
            ..SearchLogsQuery::default()
        };
        let logs = greplogs::search(remote, query, args.limit as usize, SEARCH, |_| ()).await?;
        if logs.next_cursor.is_some() || logs.unread > 0 {
            bail!(
                "not all logs were looked at ({} looked at, {} could not be read): say more of which, by --builder or --since",
                logs.looked_at,
                logs.unread
            );
        }
        found.extend(logs.logs.into_iter().map(|log| log.build));
    }
    Ok(found)
}

/// Looks at what only a build's own report says, where that is asked for.
async fn looked_into(
    remote: &Remote,
    args: &Retrybuilds,
    wanted: &Wanted,
    build: &BuildSummary,
) -> Result<Option<One>> {
    let report = remote.hint(remote.api.get_build(&build.id).await)?;
    let failure = report.failure.as_ref();
    if let Some(regex) = &wanted.failure
        && !failure.is_some_and(|failure| fits(regex, failure))
    {
        return Ok(None);
    }
    if (args.machine.is_some() || args.host.is_some())
        && !was_on(&report, args.machine.as_deref(), args.host.as_deref())
    {
        return Ok(None);
    }
    if let Some(regex) = &wanted.test {
        let named =
            failure.and_then(|failure| failure.test.as_deref()).is_some_and(|test| regex.is_match(test));
        if !named && !has_failed_test(remote, build, regex).await? {
            return Ok(None);
        }
    }
    if args.redo_flaky && !looks_flaky(remote, build).await? {
        return Ok(None);
    }
    let mut one = One::of(build);
    one.failure = failure.map(|failure| failure.headline.clone());
    one.machine = report.attempts.last().and_then(|attempt| {
        let called = attempt.inputs.get("machine").and_then(serde_json::Value::as_str);
        called.map(str::to_owned).or_else(|| attempt.worker.clone())
    });
    Ok(Some(one))
}

/// Whether an expression fits the test, or one of the lines.
fn fits(regex: &Regex, failure: &Failure) -> bool {
    let texts = [&failure.headline].into_iter().chain(&failure.test);
    texts.chain(failure.lines.iter().map(|line| &line.text)).any(|text| regex.is_match(text))
}

/// Whether the last attempt was on this machine, or one of this host.
fn was_on(report: &BuildReport, machine: Option<&str>, host: Option<&str>) -> bool {
    let Some(attempt) = report.attempts.last() else { return false };
    let named = |name: &str| {
        let called = attempt.inputs.get("machine").and_then(serde_json::Value::as_str);
        attempt.worker.as_deref() == Some(name) || called == Some(name)
    };
    machine.is_none_or(named) && host.is_none_or(|host| attempt.host.as_deref() == Some(host))
}

async fn has_failed_test(remote: &Remote, build: &BuildSummary, regex: &Regex) -> Result<bool> {
    let list = remote.hint(remote.api.list_tests(&build.id).await)?;
    Ok(list.tests.iter().any(|test| test.outcome == "failed" && regex.is_match(&test.id)))
}

async fn looks_flaky(remote: &Remote, build: &BuildSummary) -> Result<bool> {
    let query = GetBuildLogQuery { to: Some(LOG as u64), ..GetBuildLogQuery::default() };
    match remote.api.get_build_log(&build.id, &query).await {
        // It has none, or none is kept.
        Err(error)
            if error.is_status(http::StatusCode::NOT_FOUND) || error.is_status(http::StatusCode::GONE) =>
        {
            Ok(false)
        }
        body => {
            let bytes = axum::body::to_bytes(remote.hint(body)?, 2 * LOG).await.context("reading a log")?;
            Ok(flaky::is_flaky(&String::from_utf8_lossy(&bytes)))
        }
    }
}

/// Queues them again, several at a time.
async fn retry(remote: &Remote, found: Found) -> Found {
    let one = |mut one: One| async move {
        match remote.hint(remote.api.retry_build(&one.build, None).await) {
            Ok(_) => one.queued_again = true,
            Err(error) => {
                let said = crate::terminal::causes(&error);
                eprintln!("{}: {said}", one.build);
                one.error = Some(said);
            }
        }
        one
    };
    let builds = futures::stream::iter(found.builds.into_iter().map(one)).buffered(AT_ONCE).collect().await;
    Found { builds, ..found }
}

#[cfg(test)]
mod tests;
