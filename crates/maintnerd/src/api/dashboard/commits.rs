//! The commits of a page.

use maintner::corpus::Corpus;
use maintpb::api::DashCommit;

use super::row;
use crate::api::deadline::{Deadline, Late};
use crate::api::refs::hex;

/// Commits of a page, the newest first, and what was left out before and behind them.
#[derive(Debug, Default)]
pub(super) struct Page {
    commits: Vec<(u32, String)>,
    /// More would follow.
    pub(super) truncated: bool,
    /// When the last one before the page was committed.
    skipped: Option<i64>,
}

/// The first parents of a commit, from itself on, as far as they are known.
fn line(corpus: &Corpus, head: u32) -> impl Iterator<Item = u32> {
    let gerrit = &corpus.gerrit;
    let known = |number: u32| Some(number).filter(|number| !gerrit.commits().get(*number).is_place());
    // No more than there are, of a chain that comes back to itself.
    std::iter::successors(known(head), move |at| {
        gerrit.parents(gerrit.commits().get(*at)).next().and_then(known)
    })
    .take(gerrit.commits().len())
}

impl Page {
    pub(super) fn of_branch(
        &mut self,
        corpus: &Corpus,
        head: u32,
        branch: &str,
        skip: usize,
        size: usize,
        deadline: &Deadline,
    ) -> Result<(), Late> {
        deadline.check()?;
        for (nth, commit) in line(corpus, head).take(skip + size + 1).enumerate() {
            if nth < skip {
                self.skipped = Some(corpus.gerrit.commits().get(commit).time);
            } else if nth < skip + size {
                self.commits.push((commit, branch.to_owned()));
            } else {
                self.truncated = true;
            }
        }
        Ok(())
    }

    /// The newest of all branches.
    pub(super) fn mixed(
        &mut self,
        corpus: &Corpus,
        project: u32,
        branches: &[String],
        size: usize,
        deadline: &Deadline,
    ) -> Result<(), Late> {
        let time = |commit: u32| corpus.gerrit.commits().get(commit).time;
        for branch in branches {
            deadline.check()?;
            let Some(head) = corpus.gerrit.at_ref(project, format!("refs/heads/{branch}").as_bytes()) else {
                continue;
            };
            // What is older than all that is kept, where that is enough, is not kept.
            let oldest =
                if self.commits.len() < size { None } else { self.commits.last().map(|last| time(last.0)) };
            for (nth, commit) in line(corpus, head).take(size + 1).enumerate() {
                if nth == size || oldest.is_some_and(|oldest| time(commit) < oldest) {
                    self.truncated = true;
                    break;
                }
                self.commits.push((commit, branch.clone()));
            }
            self.commits.sort_by_key(|(commit, _)| std::cmp::Reverse(time(*commit)));
            if self.commits.len() > size {
                self.commits.truncate(size);
                self.truncated = true;
            }
        }
        Ok(())
    }

    pub(super) fn rows(&self, corpus: &Corpus) -> Vec<DashCommit> {
        self.commits.iter().map(|(commit, branch)| row(corpus, *commit, branch)).collect()
    }

    /// Says of each commit at which one the main project was when it came, and at which before the next one came.
    pub(super) fn beside(
        &self,
        corpus: &Corpus,
        main: u32,
        rows: &mut [DashCommit],
        deadline: &Deadline,
    ) -> Result<(), Late> {
        let time = |commit: u32| corpus.gerrit.commits().get(commit).time;
        let Some(oldest) = self.commits.last().map(|last| time(last.0)) else { return Ok(()) };
        let Some(head) = corpus.gerrit.at_ref(main, b"refs/heads/master") else { return Ok(()) };
        let mut older = Vec::new();
        for commit in line(corpus, head) {
            if older.len() % 1024 == 0 {
                deadline.check()?;
            }
            older.push(commit);
            if time(commit) < oldest {
                break;
            }
        }
        let Some(mut at) = older.len().checked_sub(1) else { return Ok(()) };
        for nth in (0..rows.len()).rev() {
            rows[nth].go_commit_at_time = hex(corpus, older[at]);
            let next = match nth.checked_sub(1) {
                Some(newer) => Some(time(self.commits[newer].0)),
                None => self.skipped,
            };
            while at > 0 && next.is_some_and(|next| time(older[at - 1]) < next) {
                at -= 1;
            }
            rows[nth].go_commit_latest = hex(corpus, older[at]);
        }
        Ok(())
    }
}
