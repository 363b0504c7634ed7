//! Asks GitHub for the heads of open pull requests and of merge queues.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use github::model::Pull;
use github::{Client, Repo};
use http::StatusCode;
use tokio::sync::{Notify, watch};

use super::teams::{Members, Teams};

/// The most comments that are looked for at one look.
const LOOKED_FOR: usize = 10;
/// The most pages of pull requests, of 100 each.
const PAGES: usize = 50;
/// The longest that one repository may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How soon it is asked again where somebody waits for it.
const SOON: Duration = Duration::from_secs(1);

/// The head of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its commit.
    pub commit: String,
    /// Where it is to go.
    pub branch: String,
    /// Its title.
    pub title: String,
    /// It is in another repository, where others may push.
    pub fork: bool,
}

/// What a branch would be after those in its merge queue have landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The last pull request of it.
    pub number: i32,
    /// The branch.
    pub branch: String,
    /// The commit.
    pub commit: String,
}

/// What a repository was at one look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// When the look began, by GitHub's clock: seconds since 1970.
    pub date: i64,
    /// By number, each that is open.
    pub pulls: BTreeMap<i32, Head>,
    /// Those of them that only the look before had. A list of several pages loses one where another is closed meanwhile.
    pub lost: BTreeSet<i32>,
    /// Of its merge queues.
    pub groups: Vec<Group>,
    /// Comments that were looked for and are not there any more.
    pub gone: BTreeSet<i64>,
    /// Who is in the teams whose members may ask.
    pub members: Members,
}

/// By `OWNER/REPO`, comments by which something is asked for.
pub type Heeded = BTreeMap<String, BTreeSet<i64>>;

/// By `OWNER/REPO`, those that were read.
pub type Reads = BTreeMap<String, Arc<Read>>;

/// Asks again and again.
pub struct Reader {
    /// Who is asked.
    pub client: Client,
    /// What is watched, and how often.
    pub config: watch::Receiver<Arc<buildenv::Config>>,
    /// Who is told.
    pub to: watch::Sender<Reads>,
    /// Somebody waits for a look.
    pub wanted: Arc<Notify>,
    /// Comments that are looked for, some at each look.
    pub heeded: watch::Receiver<Heeded>,
    /// The last of them that was, by repository.
    last: BTreeMap<String, i64>,
    teams: Teams,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Github(#[from] github::Error),
    #[error("it took more than {} s", PATIENCE.as_secs())]
    Late,
    #[error("it has more than {} open pull requests", PAGES * 100)]
    Many,
    #[error("the answer has no time")]
    Timeless,
    #[error("{0} pull requests can't be read")]
    Odd(usize),
}

impl Reader {
    /// Asks this client.
    pub fn new(
        client: Client,
        config: watch::Receiver<Arc<buildenv::Config>>,
        to: watch::Sender<Reads>,
        wanted: Arc<Notify>,
        heeded: watch::Receiver<Heeded>,
    ) -> Reader {
        Reader { client, config, to, wanted, heeded, last: BTreeMap::new(), teams: Teams::default() }
    }

    /// Looks for some of the comments by which something is asked for, in turn. The corpus is never told that one was deleted.
    async fn look_for(&mut self, name: &str, repo: &Repo) -> Result<BTreeSet<i64>, github::Error> {
        let all = self.heeded.borrow().get(name).cloned().unwrap_or_default();
        let last = self.last.get(name).copied().unwrap_or(i64::MIN);
        let after = all.iter().copied().filter(|id| *id > last);
        let turn: Vec<i64> =
            after.chain(all.iter().copied().filter(|id| *id <= last)).take(LOOKED_FOR).collect();
        let mut gone = BTreeSet::new();
        for id in turn {
            match self.client.comment(repo, id).await {
                Ok(_) => {}
                Err(github::Error::Status { status, .. }) if status == StatusCode::NOT_FOUND => {
                    gone.insert(id);
                }
                Err(error) => return Err(error),
            }
            self.last.insert(name.to_owned(), id);
        }
        Ok(gone)
    }

    /// Reads until the task is dropped.
    pub async fn run(mut self) {
        let mut troubles: BTreeMap<String, u32> = BTreeMap::new();
        loop {
            let config = self.config.borrow_and_update().clone();
            let names: BTreeMap<&String, &[String]> = config
                .repos()
                .iter()
                .filter_map(|repo| Some((repo.pulls.as_ref()?, repo.try_by.as_slice())))
                .collect();
            self.to.send_if_modified(|reads| {
                let before = reads.len();
                reads.retain(|name, _| names.contains_key(name));
                reads.len() != before
            });
            for (name, by) in names {
                let before = self.to.borrow().get(name).cloned();
                let look = async {
                    let repo = name.parse::<Repo>()?;
                    // Before the look: who has left the team by then has no say.
                    let members = self.teams.read(&self.client, by).await;
                    let mut read = read(&self.client, &repo, before.as_deref()).await?;
                    read.members = members;
                    match self.look_for(name, &repo).await {
                        Ok(gone) => read.gone = gone,
                        // What was said counts until it is known to be gone, and nothing else waits for that.
                        Err(error) => tracing::debug!(repo = name, %error, "comments can't be looked for"),
                    }
                    // Until it is written down.
                    read.gone.extend(before.iter().flat_map(|before| &before.gone));
                    let heeded = self.heeded.borrow();
                    let none = BTreeSet::new();
                    let heeded = heeded.get(name).unwrap_or(&none);
                    read.gone.retain(|id| heeded.contains(id));
                    Ok::<Read, Unread>(read)
                };
                match tokio::time::timeout(PATIENCE, look).await.unwrap_or(Err(Unread::Late)) {
                    Ok(read) => {
                        troubles.remove(name);
                        self.to.send_modify(|reads| drop(reads.insert(name.clone(), Arc::new(read))));
                    }
                    Err(error) => {
                        let times = troubles.entry(name.clone()).or_default();
                        if times.is_multiple_of(30) {
                            tracing::warn!(repo = name, %error, "the pull requests can't be read; trying again");
                        }
                        *times = times.wrapping_add(1);
                    }
                }
            }
            let pause = config.tries().pulls_every;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wanted.notified() => tokio::time::sleep(SOON.min(pause)).await,
                // Another configuration: at once.
                changed = self.config.changed() => if changed.is_err() { return },
            }
        }
    }
}

async fn read(client: &Client, repo: &Repo, before: Option<&Read>) -> Result<Read, Unread> {
    let (mut read, mut cursor, mut date) = (Read::default(), None, None);
    let mut pages = 0;
    loop {
        if pages == PAGES {
            return Err(Unread::Many);
        }
        pages += 1;
        let page = client.open_pulls(repo, cursor.as_ref()).await?;
        // Whoever can't be read must not seem to be closed.
        if page.unread > 0 {
            return Err(Unread::Odd(page.unread));
        }
        date = date.or(page.date);
        read.pulls.extend(page.items.into_iter().filter(good).map(head));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if let Some(before) = before.filter(|_| pages > 1) {
        let lost = before
            .pulls
            .iter()
            .filter(|(number, _)| !read.pulls.contains_key(number) && !before.lost.contains(number));
        let lost: BTreeMap<i32, Head> = lost.map(|(number, head)| (*number, head.clone())).collect();
        read.lost = lost.keys().copied().collect();
        read.pulls.extend(lost);
    }
    read.date = date.ok_or(Unread::Timeless)?.as_second();
    let groups = client.merge_groups(repo, None).await?;
    read.groups = groups.items.iter().filter_map(|one| group(&one.name, &one.object.sha)).collect();
    Ok(read)
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn good(pull: &Pull) -> bool {
    pull.number > 0 && is_commit(&pull.head.sha) && !pull.base.branch.is_empty()
}

fn head(pull: Pull) -> (i32, Head) {
    let id = |repo: &Option<github::model::Place>| repo.as_ref().map(|repo| repo.id);
    let (from, to) = (id(&pull.head.repo), id(&pull.base.repo));
    let head = Head {
        commit: pull.head.sha,
        branch: pull.base.branch,
        title: pull.title,
        fork: from.is_none() || from != to,
    };
    (pull.number, head)
}

/// `refs/heads/gh-readonly-queue/BRANCH/pr-NUMBER-COMMIT`
fn group(name: &str, commit: &str) -> Option<Group> {
    let rest = name.strip_prefix("refs/heads/gh-readonly-queue/")?;
    let (branch, last) = rest.rsplit_once("/pr-")?;
    let number = last.split('-').next()?.parse().ok()?;
    is_commit(commit).then(|| Group { number, branch: branch.to_owned(), commit: commit.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_s_branch_says_where_it_goes() {
        let commit = "a".repeat(40);
        let one = group(&format!("refs/heads/gh-readonly-queue/release/1/pr-12-{commit}"), &commit).unwrap();
        assert_eq!((one.number, &*one.branch), (12, "release/1"));
        for name in [
            "refs/heads/main",
            "refs/heads/gh-readonly-queue/main",
            "refs/heads/gh-readonly-queue/main/pr-x-1",
        ] {
            assert_eq!(group(name, &commit), None, "{name}");
        }
        assert_eq!(group("refs/heads/gh-readonly-queue/main/pr-1-x", "../x"), None);
    }
}
