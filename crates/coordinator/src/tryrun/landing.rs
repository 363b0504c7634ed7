//! What branches would be after all changes of a subject had landed: merged by the mirrors of their repos, on no branch.

use std::collections::BTreeMap;

use buildenv::Config;
use http::Method;
use serde::Deserialize;
use transport::{CallError, Service};

use super::asked::{Asked, Review};
use super::chosen::Branches;
use super::subject::Hindrance;

/// A repo's branches.
#[derive(Debug, Clone, Default, Deserialize)]
struct Refs {
    #[serde(default)]
    default_branch: Option<String>,
    refs: BTreeMap<String, String>,
}

impl Refs {
    fn heads(&self) -> Branches {
        let branch = |(name, commit): (&String, &String)| {
            Some((name.strip_prefix("refs/heads/")?.to_owned(), commit.clone()))
        };
        self.refs.iter().filter_map(branch).collect()
    }
}

#[derive(Deserialize)]
struct Merged {
    #[serde(default)]
    commit: Option<String>,
    #[serde(default)]
    conflicts: Vec<String>,
}

/// What a change is built of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trees {
    /// The branches of its toolchain, with what they would be.
    pub toolchain: Branches,
    /// The names of the branches of its own repo, where it was asked for them.
    pub own_branches: Vec<String>,
    /// What its own branch would be, where that is another commit than its own.
    pub tree: Option<String>,
    /// The default branch of each further repo, with what it would be.
    pub further: BTreeMap<String, (String, String)>,
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
#[error("what is to be built of {repo} is not known: {source}")]
pub struct Unknown {
    repo: String,
    source: CallError,
}

/// Finds what a change is built of, with further repos that are built against it.
///
/// # Errors
/// A mirror can't say. That changes conflict is no error, and is what stands in the way.
pub async fn land(
    mirror: &Service,
    config: &Config,
    asked: &Asked,
    further: &[String],
) -> Result<Result<Trees, Hindrance>, Unknown> {
    let lands = Lands { mirror, asked };
    let mut trees = Trees::default();
    if let Some(toolchain) = config.toolchain_of(&asked.repo) {
        let repo = toolchain.name.as_str();
        trees.toolchain = lands.refs(repo).await?.heads();
        for branch in asked.subject.branches_of(repo) {
            let tip = trees.toolchain.get(&branch).cloned();
            match lands.merged(repo, &branch, tip).await? {
                Ok(commit) => drop(trees.toolchain.insert(branch, commit)),
                Err(hindrance) => return Ok(Err(hindrance)),
            }
        }
    }
    let own = asked.subject.lands(asked, &asked.repo, &asked.branch);
    let alone = matches!(own.as_slice(), [(_, commit)] if *commit == asked.commit);
    if !alone || !further.is_empty() {
        let heads = lands.refs(&asked.repo).await?.heads();
        // What was approved is built as it is where nothing else goes to its branch.
        if !alone {
            match lands.merged(&asked.repo, &asked.branch, heads.get(&asked.branch).cloned()).await? {
                Ok(commit) => trees.tree = Some(commit),
                Err(hindrance) => return Ok(Err(hindrance)),
            }
        }
        trees.own_branches = heads.into_keys().collect();
    }
    for repo in further {
        let refs = lands.refs(repo).await?;
        let Some(branch) = refs.default_branch.clone() else { continue };
        let tip = refs.heads().get(&branch).cloned();
        match lands.merged(repo, &branch, tip).await? {
            Ok(commit) => drop(trees.further.insert(repo.clone(), (branch, commit))),
            Err(hindrance) => return Ok(Err(hindrance)),
        }
    }
    Ok(Ok(trees))
}

struct Lands<'a> {
    mirror: &'a Service,
    asked: &'a Asked,
}

impl Lands<'_> {
    async fn refs(&self, repo: &str) -> Result<Refs, Unknown> {
        let found = self.mirror.get_json::<Refs>(&format!("/mirror/{repo}/refs")).await;
        found.map_err(|source| Unknown { repo: repo.to_owned(), source })
    }

    /// A branch with all that lands on it.
    async fn merged(
        &self,
        repo: &str,
        branch: &str,
        tip: Option<String>,
    ) -> Result<Result<String, Hindrance>, Unknown> {
        let all = self.asked.subject.lands(self.asked, repo, branch);
        let about = all.first().map_or(&self.asked.review, |(review, _)| review);
        let Some(mut at) = tip else {
            let why = format!("is to go to branch {branch} of {repo}, which is not there");
            return Ok(Err(Hindrance::new(about, why)));
        };
        let mut before: Vec<&Review> = Vec::new();
        for (review, commit) in &all {
            let path = format!("/mirror/{repo}/merge?onto={at}&commit={commit}");
            let merged = self.mirror.call_json::<(), Merged>(Method::POST, &path, None).await;
            let merged = merged.map_err(|source| Unknown { repo: repo.to_owned(), source })?;
            match merged.commit {
                Some(commit) => at = commit,
                None => {
                    return Ok(Err(Hindrance::new(
                        review,
                        conflict(repo, branch, &before, &merged.conflicts),
                    )));
                }
            }
            before.push(review);
        }
        Ok(Ok(at))
    }
}

/// In words, behind the name of the change that does not go on the branch.
fn conflict(repo: &str, branch: &str, before: &[&Review], files: &[String]) -> String {
    let with = match before {
        [] => String::new(),
        all => format!(" with {}", all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    match files {
        [] => format!("can't be merged onto {branch} of {repo}{with}: they have no commit in common"),
        files => format!("conflicts with {branch} of {repo}{with} in {}: rebase it", files.join(", ")),
    }
}
