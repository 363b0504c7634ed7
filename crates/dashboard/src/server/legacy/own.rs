//! What was built here, as the original's overview and log addresses show it: builds of public repositories only, and none of
//! try runs.

use std::collections::{BTreeSet, HashMap};

use buildenv::{Config, Visibility};
use store::branches::BranchRow;
use store::logs::LogRow;
use store::results::ResultRow;
use store::{BuildId, Reader, branch_commits, commits, log_digests, results};

use super::Dash;
use super::answer::Fault;
use super::call::Desk;
use super::input::cut;
use super::overview::{Cell, PAGE, Row, Wanted};

/// Builds of this class are of changes that are not in the tree.
const TRY: &str = "try";

/// Says whether everybody may see a repo.
fn is_public(config: &Config, repo: &str) -> bool {
    config.repo(repo).is_none_or(|repo| repo.visibility == Visibility::Public)
}

async fn is_public_row(reader: &mut Reader, config: &Config, repo: &str) -> Result<bool, Fault> {
    let row = store::repos::get(reader, repo).await?;
    Ok(is_public(config, repo) && row.is_none_or(|row| row.visibility == "public"))
}

/// Keeps builds all of whose repos everybody may see: one that was made with a private toolchain is as private as that.
async fn keep_public(reader: &mut Reader, config: &Config, builds: &mut Vec<ResultRow>) -> Result<(), Fault> {
    let posted = store::repos::list(reader).await?;
    let private = |name: &str| posted.iter().any(|row| row.name == name && row.visibility != "public");
    builds.retain(|build| {
        let mut names = build.revision.split('+').map(|part| part.split('@').next().unwrap_or_default());
        names.all(|name| is_public(config, name) && !private(name))
    });
    Ok(())
}

/// The repo that a package is, if it is one that is watched.
fn repo_of(config: &Config, package: &str) -> Option<String> {
    if package.is_empty() {
        return config.dashboard_main().map(ToString::to_string);
    }
    let found = config.repos().iter().find(|repo| repo.import_path.as_deref() == Some(package));
    found.map(|repo| repo.name.to_string())
}

/// The newest commits of a package, as many as the page's end asks for, without what became of them: see [`complete`].
pub(super) async fn rows(desk: &Desk, wanted: &Wanted<'_>) -> Result<Vec<Row>, Fault> {
    let config = desk.dashboard.config();
    if desk.dash != Dash::Go {
        return Ok(Vec::new());
    }
    let Some(repo) = repo_of(&config, wanted.package) else { return Ok(Vec::new()) };
    let mut reader = desk.dashboard.db().read().await?;
    if !is_public_row(&mut reader, &config, &repo).await? {
        return Ok(Vec::new());
    }
    let mut branches = store::branches::list(&mut reader).await?;
    branches.retain(|branch| branch.repo == repo && !branch.deleted && is_wanted(branch, wanted));
    branches.sort_by_key(|branch| (!branch.is_default, branch.branch.clone()));
    let mut places: Vec<(String, String)> = Vec::new();
    let mut seen = BTreeSet::new();
    for branch in &branches {
        for place in branch_commits::line(&mut reader, &repo, &branch.branch, wanted.skip + PAGE).await? {
            let asked = wanted.hashes.is_empty() || wanted.hashes.contains(&place.hash.as_str());
            if asked && seen.insert(place.hash.clone()) {
                places.push((place.hash, branch.branch.clone()));
            }
        }
    }
    let mut rows = with_commits(&mut reader, &repo, places, "go").await?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.time));
    rows.truncate((wanted.skip + PAGE) as usize);
    Ok(rows)
}

/// Adds to the rows of a page what became of them here; what was posted stays.
pub(super) async fn complete(desk: &Desk, package: &str, rows: &mut [Row]) -> Result<(), Fault> {
    let config = desk.dashboard.config();
    let Some(repo) = repo_of(&config, package) else { return Ok(()) };
    fill(&mut desk.dashboard.db().read().await?, &config, &repo, rows).await
}

/// The original's clients call the default branch master.
fn is_wanted(branch: &BranchRow, wanted: &Wanted<'_>) -> bool {
    let asked = wanted.branch;
    asked.is_empty()
        || !wanted.package.is_empty()
        || branch.branch == asked
        || (branch.is_default && asked == "master")
}

async fn with_commits(
    reader: &mut Reader,
    repo: &str,
    places: Vec<(String, String)>,
    shown_as: &str,
) -> Result<Vec<Row>, Fault> {
    let hashes: Vec<&str> = places.iter().map(|(hash, _)| hash.as_str()).collect();
    let mut known: HashMap<String, _> = commits::many(reader, repo, &hashes)
        .await?
        .into_iter()
        .map(|commit| (commit.hash.clone(), commit))
        .collect();
    let row = |(hash, branch): (String, String)| {
        let commit = known.remove(&hash)?;
        let user = match &commit.author_email {
            Some(email) => format!("{} <{email}>", commit.author_name),
            None => commit.author_name.clone(),
        };
        Some(Row {
            repo: shown_as.to_owned(),
            hash,
            parent: commit.parents.into_iter().next().unwrap_or_default(),
            go_hash: None,
            time: commit.time,
            branch,
            user,
            desc: cut(commit.message.trim().to_owned(), 500),
            cells: HashMap::new(),
            seen: BTreeSet::new(),
        })
    };
    Ok(places.into_iter().filter_map(row).collect())
}

/// Fills in what became of the builds of some rows.
async fn fill(reader: &mut Reader, config: &Config, repo: &str, rows: &mut [Row]) -> Result<(), Fault> {
    let main = config.dashboard_main().map(ToString::to_string).unwrap_or_default();
    let hashes: Vec<&str> = rows.iter().map(|row| row.hash.as_str()).collect();
    let mut builds = results::of_subjects(reader, repo, &hashes).await?;
    builds.retain(|build| build.class != TRY && is_over(build));
    keep_public(reader, config, &mut builds).await?;
    // The newest build of a cell comes first, and stays.
    builds.sort_by_key(|build| std::cmp::Reverse(build.build));
    let failed: Vec<String> = builds
        .iter()
        .filter(|build| build.outcome.as_deref() != Some("ok"))
        .map(|build| build.build.to_string())
        .collect();
    let mut logs: HashMap<BuildId, log_digests::DigestRow> = HashMap::new();
    for digest in log_digests::of_builds(reader, &failed).await? {
        match logs.get(&digest.build) {
            Some(other) if other.attempt > digest.attempt => {}
            _ => {
                logs.insert(digest.build, digest);
            }
        }
    }
    for build in builds {
        let go_hash = go_hash(&build.revision, repo, &main);
        for row in rows.iter_mut().filter(|row| row.hash == build.subject) {
            row.seen.insert(build.builder.clone());
            if row.go_hash.as_deref().unwrap_or_default() != go_hash {
                continue;
            }
            let cell = match build.outcome.as_deref() {
                Some("ok") => Cell::Ok,
                // A log whose digest is not known is found by its build.
                _ => Cell::Failed(
                    logs.get(&build.build).map_or_else(|| build.build.to_string(), |log| log.sha1.clone()),
                ),
            };
            row.cells.entry(build.builder.clone()).or_insert(cell);
        }
    }
    Ok(())
}

/// What was cancelled or skipped has no result; what could not be built has failed.
fn is_over(build: &ResultRow) -> bool {
    matches!(build.outcome.as_deref(), Some("ok" | "failed" | "infra_failed"))
}

/// The main repository's commit in a revision of another.
fn go_hash<'a>(revision: &'a str, repo: &str, main: &str) -> &'a str {
    let parts = revision.split('+').filter_map(|part| part.split_once('@'));
    let found = parts.skip(1).find(|(name, _)| *name == main && repo != main);
    found.map_or("", |(_, commit)| commit)
}

/// Whether a branch has a section of its own. An empty list of patterns would match every name.
pub(super) fn is_release(config: &Config, branch: &str) -> bool {
    let hidden = &config.dashboard().hidden_branches;
    branch.starts_with("release-branch.") && (hidden.is_empty() || !hidden.matches(branch))
}

/// The heads of the repos that need the main one, against its tip (named by nothing) and each of its releases.
pub(super) async fn sections(desk: &Desk) -> Result<Vec<(String, Vec<Row>)>, Fault> {
    let config = desk.dashboard.config();
    let Some(main) = config.dashboard_main() else { return Ok(Vec::new()) };
    let mut reader = desk.dashboard.db().read().await?;
    if !is_public_row(&mut reader, &config, main.as_str()).await? {
        return Ok(Vec::new());
    }
    let branches = store::branches::list(&mut reader).await?;
    let live = |repo: &str| {
        let of: Vec<&BranchRow> =
            branches.iter().filter(|branch| branch.repo == repo && !branch.deleted).collect();
        of
    };
    let mut others: Vec<_> = config
        .repos()
        .iter()
        .filter(|repo| repo.needs.contains(main) && repo.name != *main)
        .filter_map(|repo| Some((repo.import_path.clone()?, repo)))
        .collect();
    others.sort_by(|a, b| a.0.cmp(&b.0));
    let mut sections = Vec::new();
    for branch in live(main.as_str()) {
        let Some(tip) = &branch.head else { continue };
        let release = is_release(&config, &branch.branch);
        if !branch.is_default && !release {
            continue;
        }
        let mut rows = Vec::new();
        for (path, repo) in &others {
            let name = repo.name.as_str();
            if !is_public_row(&mut reader, &config, name).await? {
                continue;
            }
            let head = live(name).into_iter().find(|branch| branch.is_default);
            let Some((hash, on)) = head.and_then(|head| Some((head.head.clone()?, head.branch.clone())))
            else {
                continue;
            };
            let shown_as = path.rsplit('/').next().unwrap_or(path);
            let mut found = with_commits(&mut reader, name, vec![(hash, on)], shown_as).await?;
            found.iter_mut().for_each(|row| row.go_hash = Some(tip.clone()));
            fill(&mut reader, &config, name, &mut found).await?;
            rows.extend(found);
        }
        let name = if branch.is_default { String::new() } else { branch.branch.clone() };
        sections.push((name, rows));
    }
    Ok(sections)
}

/// Finds a finished log of a try run by the beginning of one of its commits, its builder, and the beginning of its SHA-1.
pub(super) async fn try_log(
    desk: &Desk,
    rev: &str,
    builder: &str,
    digits: &str,
) -> Result<Option<LogRow>, Fault> {
    let config = desk.dashboard.config();
    let mut reader = desk.dashboard.db().read().await?;
    for digest in log_digests::by_beginning(&mut reader, digits).await? {
        let mut found: Vec<ResultRow> = results::get(&mut reader, digest.build).await?.into_iter().collect();
        found.retain(|result| {
            let mut commits = result.revision.split('+').filter_map(|part| part.split_once('@'));
            result.class == TRY
                && result.builder == builder
                && commits.any(|(_, commit)| commit.starts_with(rev))
        });
        keep_public(&mut reader, &config, &mut found).await?;
        if found.is_empty() {
            continue;
        }
        let log = store::logs::get(&mut reader, digest.attempt).await?;
        if let Some(log) = log.filter(|log| log.finished) {
            return Ok(Some(log));
        }
    }
    Ok(None)
}

/// Finds a finished log by the SHA-1 of its text, or by its build.
pub(super) async fn log(desk: &Desk, key: &str) -> Result<Option<LogRow>, Fault> {
    let config = desk.dashboard.config();
    let mut reader = desk.dashboard.db().read().await?;
    let found: Vec<(BuildId, Option<store::AttemptId>)> = match key.parse::<BuildId>() {
        Ok(build) => vec![(build, None)],
        Err(_) => log_digests::by_sha1(&mut reader, key)
            .await?
            .into_iter()
            .map(|digest| (digest.build, Some(digest.attempt)))
            .collect(),
    };
    for (build, attempt) in found {
        let mut found: Vec<ResultRow> = results::get(&mut reader, build).await?.into_iter().collect();
        found.retain(|result| result.class != TRY);
        keep_public(&mut reader, &config, &mut found).await?;
        if found.is_empty() {
            continue;
        }
        let log = match attempt {
            Some(attempt) => store::logs::get(&mut reader, attempt).await?,
            None => store::logs::of_build(&mut reader, build).await?.pop(),
        };
        if let Some(log) = log.filter(|log| log.finished) {
            return Ok(Some(log));
        }
    }
    Ok(None)
}
