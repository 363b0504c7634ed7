//! Cells: computed from configuration × commits × results, never stored.
//!
//! The empty ones are asked for after every hint and every few seconds, so what they are computed from is kept per
//! branch, and a change lets go only of the branches it touches. Where nothing changed the last answer is given again.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use buildenv::Config;
use schemars::JsonSchema;
use serde::Deserialize;
use store::branches::BranchRow;
use store::repos::RepoRow;
use store::results::ResultRow;
use store::{Reader, branch_commits, commits, results};

use super::Dashboard;
use super::plan::{Planned, plan};
use super::refusal::{Answer, Query, Refusal};
use crate::api::{EmptyCell, EmptyCells};

/// Another dashboard on the same database may have written: nothing is believed for longer.
const LONGEST: Duration = Duration::from_secs(30);
const POST_SUBMIT: &str = "post_submit";

/// What cells are computed from, and the last answer.
#[derive(Debug, Default)]
pub(super) struct CellCache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Counts changes: what was read before one is not kept after it.
    generation: u64,
    since: Option<Instant>,
    heads: Option<Arc<Heads>>,
    views: HashMap<(String, String), Arc<View>>,
    answer: Option<(Arc<Config>, Arc<Vec<EmptyCell>>)>,
}

/// All repos and their branches.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) repos: Vec<RepoRow>,
    pub(super) branches: Vec<BranchRow>,
}

impl Heads {
    pub(super) fn live(&self, repo: &str) -> Vec<String> {
        let live = self.branches.iter().filter(|branch| branch.repo == repo && !branch.deleted);
        let mut names: Vec<_> = live.map(|branch| (!branch.is_default, branch.branch.clone())).collect();
        names.sort();
        names.into_iter().map(|(_, name)| name).collect()
    }

    pub(super) fn head(&self, repo: &str, branch: &str) -> Option<&str> {
        let of = |row: &&BranchRow| row.repo == repo && row.branch == branch && !row.deleted;
        self.branches.iter().find(of)?.head.as_deref()
    }

    pub(super) fn repo(&self, name: &str) -> Option<&RepoRow> {
        self.repos.iter().find(|repo| repo.name == name)
    }
}

/// The newest commits of a branch and their builds.
#[derive(Debug, Default)]
struct View {
    /// Hash and time (µs), newest first, at least as many as the horizon.
    line: Vec<(String, i64)>,
    /// Builders and revisions that have a build, by subject.
    filled: HashMap<String, Vec<(String, String)>>,
    /// All commits of the branch, if others are built against it.
    members: HashSet<String>,
}

impl CellCache {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A repo was posted.
    pub(super) fn repos_changed(&self) {
        let mut kept = self.kept();
        kept.generation += 1;
        kept.heads = None;
        kept.answer = None;
    }

    /// A branch moved.
    pub(super) fn branch_changed(&self, repo: &str, branch: &str) {
        let mut kept = self.kept();
        kept.generation += 1;
        kept.heads = None;
        kept.answer = None;
        kept.views.remove(&(repo.to_owned(), branch.to_owned()));
    }

    /// A build was reported. Only the first report of a build changes which cells are empty.
    pub(super) fn build_changed(&self, row: &ResultRow) {
        let mut kept = self.kept();
        let cell = (row.builder.clone(), row.revision.clone());
        let mut touched = Vec::new();
        for (key, view) in &kept.views {
            let on_line = key.0 == row.repo && view.line.iter().any(|(hash, _)| *hash == row.subject);
            if on_line && !view.filled.get(&row.subject).is_some_and(|cells| cells.contains(&cell)) {
                touched.push(key.clone());
            }
        }
        kept.generation += 1;
        if !touched.is_empty() {
            kept.answer = None;
        }
        for key in touched {
            kept.views.remove(&key);
        }
    }
}

/// Query of the empty cells.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct EmptyQuery {
    /// At most so many, 100 if not given.
    #[schemars(range(min = 1, max = 100_000))]
    limit: Option<u32>,
}

/// `GET /api/v1/cells/empty`
pub(super) async fn empty(
    State(dashboard): State<Dashboard>,
    Query(query): Query<EmptyQuery>,
) -> Answer<Json<EmptyCells>> {
    let limit = Refusal::limit(query.limit, 100, 100_000)? as usize;
    let all = all_empty(&dashboard).await?;
    let cells: Vec<_> = all.iter().take(limit).cloned().collect();
    let more = (all.len() - cells.len()) as u64;
    Ok(Json(EmptyCells { cells, more }))
}

async fn all_empty(dashboard: &Dashboard) -> Answer<Arc<Vec<EmptyCell>>> {
    let config = dashboard.config();
    let (generation, heads, mut views) = {
        let mut kept = dashboard.cells().kept();
        if kept.since.is_none_or(|since| since.elapsed() > LONGEST) {
            *kept = Kept { generation: kept.generation, since: Some(Instant::now()), ..Kept::default() };
        }
        if let Some((of, answer)) = &kept.answer
            && Arc::ptr_eq(of, &config)
        {
            return Ok(answer.clone());
        }
        (kept.generation, kept.heads.clone(), kept.views.clone())
    };
    let mut reader = dashboard.db().read().await?;
    let heads = match heads {
        Some(heads) => heads,
        None => Arc::new(Heads {
            repos: store::repos::list(&mut reader).await?,
            branches: store::branches::list(&mut reader).await?,
        }),
    };
    let mut plans = Vec::new();
    for branch in heads.branches.iter().filter(|branch| !branch.deleted) {
        let row = heads.repo(&branch.repo);
        let default = row.and_then(|repo| repo.default_branch.as_deref());
        let mut planned = plan(&config, &branch.repo, &branch.branch, default, |repo| heads.live(repo));
        if !is_read(&config, row) {
            planned.pairings.clear();
        }
        let needed = config.repo(&branch.repo).is_some_and(|repo| config.is_toolchain(&repo.name));
        if planned.pairings.is_empty() && !needed {
            continue;
        }
        let key = (branch.repo.clone(), branch.branch.clone());
        let usable = |view: &&Arc<View>| {
            (view.line.len() >= planned.horizon as usize || view.line.len() == view.members.len())
                && (!needed || !view.members.is_empty())
        };
        if views.get(&key).filter(usable).is_none() {
            let view = read_view(&mut reader, branch, planned.horizon, needed).await?;
            views.insert(key, Arc::new(view));
        }
        plans.push((branch, planned));
    }
    drop(reader);
    let answer = Arc::new(compute(&heads, &plans, &views));
    let mut kept = dashboard.cells().kept();
    if kept.generation == generation {
        kept.answer = Some((config, answer.clone()));
        kept.heads = Some(heads);
        kept.views = views;
    }
    Ok(answer)
}

/// Whether the repo's own configuration is known as it is at its head, and good: until then nothing of it is due, since
/// it would be built by the rules of the commit before.
fn is_read(config: &Config, repo: Option<&RepoRow>) -> bool {
    let (Some(repo), Some(project)) = (repo, repo.and_then(|repo| config.project(&repo.name))) else {
        return true;
    };
    project.at == repo.head && project.blocked.is_none()
}

async fn read_view(on: &mut Reader, branch: &BranchRow, horizon: u32, needed: bool) -> Answer<View> {
    let (repo, name) = (&*branch.repo, &*branch.branch);
    let places = branch_commits::line(on, repo, name, horizon).await?;
    let short = places.len() < horizon as usize;
    let hashes: Vec<&str> = places.iter().map(|place| place.hash.as_str()).collect();
    let times: HashMap<String, i64> = commits::many(on, repo, &hashes)
        .await?
        .into_iter()
        .map(|commit| (commit.hash, commit.time.0))
        .collect();
    let mut filled: HashMap<String, Vec<(String, String)>> = HashMap::new();
    for row in results::of_subjects(on, repo, &hashes).await? {
        filled.entry(row.subject).or_default().push((row.builder, row.revision));
    }
    let members = if needed {
        branch_commits::reachable(on, repo, name).await?.into_iter().collect()
    } else if short {
        hashes.iter().map(|hash| (*hash).to_owned()).collect()
    } else {
        HashSet::new()
    };
    let line = hashes.iter().map(|hash| ((*hash).to_owned(), times.get(*hash).copied().unwrap_or(0)));
    Ok(View { line: line.collect(), filled, members })
}

/// The pure part.
fn compute(
    heads: &Heads,
    plans: &[(&BranchRow, Planned)],
    views: &HashMap<(String, String), Arc<View>>,
) -> Vec<EmptyCell> {
    let mut cells = Vec::new();
    let mut seen = HashSet::new();
    let none = Arc::new(View::default());
    let view_of =
        |repo: &str, branch: &str| views.get(&(repo.to_owned(), branch.to_owned())).unwrap_or(&none);
    let mut plans: Vec<_> = plans.iter().collect();
    // A commit that lies on several branches is built as one of the default branch.
    plans.sort_by_key(|(branch, _)| (&branch.repo, !branch.is_default, &branch.branch));
    for (branch, planned) in plans {
        if heads.repo(&branch.repo).is_some_and(|repo| repo.state != "ok") {
            continue;
        }
        let view = view_of(&branch.repo, &branch.branch);
        for pairing in &planned.pairings {
            let toolchain = pairing.toolchain.as_ref().map(|(repo, name)| (repo, name, view_of(repo, name)));
            let with =
                pairing.toolchain.as_ref().and_then(|(repo, name)| Some((repo, heads.head(repo, name)?)));
            if toolchain.is_some() && with.is_none() {
                continue;
            }
            for (position, (hash, time)) in view.line.iter().take(planned.horizon as usize).enumerate() {
                let revision = revision(&branch.repo, hash, with);
                for builder in &pairing.builders {
                    let members = toolchain.as_ref().map(|(repo, _, view)| (repo.as_str(), &view.members));
                    if is_filled(view, hash, builder, &revision, members.filter(|_| position > 0)) {
                        continue;
                    }
                    if !seen.insert((builder.clone(), revision.clone())) {
                        continue;
                    }
                    cells.push(EmptyCell {
                        builder: builder.clone(),
                        repo: branch.repo.clone(),
                        branch: branch.branch.clone(),
                        revision: revision.clone(),
                        class: POST_SUBMIT.to_owned(),
                        commit_time_us: *time,
                        position: position as u32,
                        toolchain_branch: pairing.toolchain.as_ref().map(|(_, branch)| branch.clone()),
                    });
                }
            }
        }
    }
    cells.sort_by_key(|cell| (cell.position, Reverse(cell.commit_time_us)));
    cells
}

pub(super) fn revision(repo: &str, hash: &str, with: Option<(&String, &str)>) -> String {
    match with {
        Some((other, head)) => format!("{repo}@{hash}+{other}@{head}"),
        None => format!("{repo}@{hash}"),
    }
}

/// A head is to be built against its toolchain's newest; an older commit against any commit of that branch.
fn is_filled(
    view: &View,
    hash: &str,
    builder: &str,
    revision: &str,
    any_of: Option<(&str, &HashSet<String>)>,
) -> bool {
    let Some(cells) = view.filled.get(hash) else { return false };
    cells.iter().filter(|(of, _)| of == builder).any(|(_, filled)| {
        filled == revision || any_of.is_some_and(|(repo, members)| has_member(filled, repo, members))
    })
}

fn has_member(revision: &str, repo: &str, members: &HashSet<String>) -> bool {
    let mut parts = revision.split('+').skip(1).filter_map(|part| part.split_once('@'));
    parts.any(|(name, commit)| name == repo && members.contains(commit))
}
