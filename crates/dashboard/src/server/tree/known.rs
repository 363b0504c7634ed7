//! What is kept in memory of each tree: the newest commits of its branch and what was said of them. A report changes it
//! in place, so that no statement is run over builds of other builders; everything else lets go of it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use buildenv::Config;
use store::results::ResultRow;
use store::{BuildId, Reader, branch_commits, branches, repos, results};

use super::super::Dashboard;
use super::super::cells::Heads;
use super::super::plan::plan;
use super::super::refusal::Answer;
use super::rules::Verdict;

/// So many of the newest commits are looked at for what a builder said.
const LINE: u32 = 32;
/// Of branches with more builders than this only so many.
const MANY: usize = 300;
const SHORT_LINE: u32 = 4;
/// So many of the newest commits of a toolchain's branch count as built against it.
const MEMBERS: u32 = 1000;
/// Another dashboard on the same database may have written: nothing is believed for longer.
const LONGEST: Duration = Duration::from_secs(30);
/// So many reports are kept for whoever reads a branch at this moment.
const RECENT: usize = 256;
/// So many trees are kept.
const KEPT: usize = 1000;
/// Builds of this class are of changes that are not in the tree.
const TRY: &str = "try";

/// The trees by repo and branch.
#[derive(Debug, Default)]
pub(crate) struct TreeCache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    trees: HashMap<(String, String), Arc<Known>>,
    /// Counts reports and changes.
    seq: u64,
    /// The last change that let go of everything.
    forgotten: u64,
    recent: VecDeque<(u64, ResultRow)>,
}

/// A branch against one branch of its toolchain, or by itself.
#[derive(Debug, Clone)]
struct Pairing {
    builders: Vec<String>,
    /// Commits of the toolchain's branch.
    members: Option<HashSet<String>>,
}

/// A build that said something of one of the newest commits.
#[derive(Debug, Clone)]
struct Said {
    builder: String,
    /// The commit's place, the newest is 0.
    at: usize,
    /// The commit of its toolchain.
    toolchain: Option<String>,
    red: bool,
}

/// What is known of a tree.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    read: Instant,
    config: Arc<Config>,
    line: Vec<String>,
    pairings: Vec<Pairing>,
    /// The repos that it is built from.
    repos: Vec<String>,
    builds: HashMap<BuildId, Said>,
}

impl Known {
    /// Takes in the newest report of a build.
    fn take(&mut self, row: &ResultRow) {
        let red = match row.outcome.as_deref() {
            Some("failed") => Some(true),
            Some("ok") => Some(false),
            _ => None,
        };
        let at = self.line.iter().position(|hash| *hash == row.subject);
        let mut parts = row.revision.split('+').filter_map(|part| part.split_once('@'));
        let ours = parts.clone().all(|(repo, _)| self.repos.iter().any(|known| known == repo));
        let (Some(red), Some(at), true) = (red, at, ours && row.class != TRY) else {
            self.builds.remove(&row.build);
            return;
        };
        let toolchain = parts.nth(1).map(|(_, commit)| commit.to_owned());
        self.builds.insert(row.build, Said { builder: row.builder.clone(), at, toolchain, red });
    }

    /// What each builder says: red if it failed the newest commit that it judged, against any branch of the toolchain.
    pub(crate) fn verdicts(&self) -> BTreeMap<String, Verdict> {
        let mut of: HashMap<&str, Vec<(BuildId, &Said)>> = HashMap::new();
        for (build, said) in &self.builds {
            of.entry(&said.builder).or_default().push((*build, said));
        }
        let mut verdicts = BTreeMap::new();
        for pairing in &self.pairings {
            for builder in &pairing.builders {
                let fits = |said: &Said| match (&pairing.members, &said.toolchain) {
                    (Some(members), Some(commit)) => members.contains(commit),
                    (None, None) => true,
                    _ => false,
                };
                let own = of.get(builder.as_str()).into_iter().flatten().filter(|(_, said)| fits(said));
                // Of one commit the newest build counts.
                let newest = own.min_by_key(|(build, said)| (said.at, std::cmp::Reverse(*build)));
                let Some((build, said)) = newest else { continue };
                if said.red {
                    verdicts.insert(builder.clone(), Verdict::Red(*build, self.line[said.at].clone()));
                } else {
                    verdicts.entry(builder.clone()).or_insert(Verdict::Green);
                }
            }
        }
        verdicts
    }

    /// The configuration that it was read with.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }
}

impl TreeCache {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A repo or a branch was posted.
    pub(crate) fn forget(&self) {
        let mut kept = self.kept();
        kept.seq += 1;
        kept.forgotten = kept.seq;
        kept.trees.clear();
    }

    /// A build was reported.
    pub(crate) fn reported(&self, row: &ResultRow) {
        let mut kept = self.kept();
        kept.seq += 1;
        let seq = kept.seq;
        kept.recent.push_back((seq, row.clone()));
        if kept.recent.len() > RECENT {
            kept.recent.pop_front();
        }
        for (_, known) in kept.trees.iter_mut().filter(|((repo, _), _)| *repo == row.repo) {
            Arc::make_mut(known).take(row);
        }
    }

    fn get(&self, config: &Arc<Config>, key: &(String, String)) -> Result<Arc<Known>, u64> {
        let kept = self.kept();
        let fresh =
            |known: &&Arc<Known>| known.read.elapsed() < LONGEST && Arc::ptr_eq(&known.config, config);
        kept.trees.get(key).filter(fresh).cloned().ok_or(kept.seq)
    }

    /// Keeps what was read, with the reports since `seq`, unless too much happened meanwhile.
    fn put(&self, key: (String, String), seq: u64, mut known: Known) -> Arc<Known> {
        let mut kept = self.kept();
        let missed = kept.recent.front().is_some_and(|(first, _)| *first > seq + 1) && kept.seq > seq;
        for (_, row) in kept.recent.iter().filter(|(at, row)| *at > seq && row.repo == key.0) {
            known.take(row);
        }
        let known = Arc::new(known);
        if kept.forgotten <= seq && !missed {
            if kept.trees.len() >= KEPT {
                kept.trees.clear();
            }
            kept.trees.insert(key, known.clone());
        }
        known
    }
}

/// Returns what is known of a branch's tree, if the branch is built.
pub(crate) async fn known(dashboard: &Dashboard, repo: &str, branch: &str) -> Answer<Option<Arc<Known>>> {
    let config = dashboard.config();
    let key = (repo.to_owned(), branch.to_owned());
    let seq = match dashboard.trees().get(&config, &key) {
        Ok(known) => return Ok(Some(known)),
        Err(seq) => seq,
    };
    let mut reader = dashboard.db().read().await?;
    let read = read(&mut reader, config, repo, branch).await?;
    Ok(read.map(|known| dashboard.trees().put(key, seq, known)))
}

async fn read(reader: &mut Reader, config: Arc<Config>, repo: &str, branch: &str) -> Answer<Option<Known>> {
    let Some(configured) = config.repo(repo) else { return Ok(None) };
    if branches::get(reader, repo, branch).await?.is_none_or(|row| row.deleted) {
        return Ok(None);
    }
    let default = repos::get(reader, repo).await?.and_then(|row| row.default_branch);
    if !configured.builds_branch(branch, default.as_deref()) {
        return Ok(None);
    }
    let heads = Heads { repos: Vec::new(), branches: branches::list(reader).await? };
    let planned = plan(&config, repo, branch, default.as_deref(), |other| heads.live(other));
    let many = planned.pairings.iter().map(|pairing| pairing.builders.len()).sum::<usize>() > MANY;
    let line = branch_commits::line(reader, repo, branch, if many { SHORT_LINE } else { LINE }).await?;
    let line: Vec<String> = line.into_iter().map(|place| place.hash).collect();
    let mut pairings = Vec::new();
    for pairing in planned.pairings {
        let members = match &pairing.toolchain {
            Some((other, on)) => {
                let line = branch_commits::line(reader, other, on, MEMBERS).await?;
                Some(line.into_iter().map(|place| place.hash).collect())
            }
            None => None,
        };
        pairings.push(Pairing { builders: pairing.builders, members });
    }
    let needs = configured.needs.iter().map(ToString::to_string);
    let mut known = Known {
        read: Instant::now(),
        repos: std::iter::once(repo.to_owned()).chain(needs).collect(),
        line,
        pairings,
        builds: HashMap::new(),
        config,
    };
    let hashes: Vec<String> = known.line.clone();
    let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
    for row in results::of_subjects(reader, repo, &hashes).await? {
        known.take(&row);
    }
    Ok(Some(known))
}
