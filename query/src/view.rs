//! One version of a corpus, and what of it is made once for all rows.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use maintner::column::NONE;
use maintner::commit::email;
use maintner::corpus::Corpus;
use maintner::gerrit::Gerrit;
use maintner::github::{Github, Issue, Number};
use maintner::names::Name;
use maintner::text::Text;

use crate::cell::Cell;

/// What rows are read from.
pub struct View {
    corpus: Arc<Corpus>,
    /// `owner/name` of each repo.
    repos: Vec<String>,
    /// The first name by which each account of a server of Gerrit wrote a note: by the server's name and the account.
    accounts: OnceLock<HashMap<(Vec<u8>, i64), Name>>,
    /// Which commits are notes of Gerrit's, made of changes' meta refs.
    notes: OnceLock<Vec<bool>>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("records", &self.corpus.records).finish_non_exhaustive()
    }
}

impl View {
    /// Over this version, which stays as it is whatever comes.
    #[must_use]
    pub fn new(corpus: Arc<Corpus>) -> Self {
        let github = &corpus.github;
        let name = |name| String::from_utf8_lossy(github.name(name));
        let repos = github.repos().iter().map(|repo| format!("{}/{}", name(repo.owner), name(repo.name)));
        Self { repos: repos.collect(), accounts: OnceLock::new(), notes: OnceLock::new(), corpus }
    }

    /// All of it.
    #[must_use]
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// GitHub's part.
    #[must_use]
    pub fn github(&self) -> &Github {
        &self.corpus.github
    }

    /// Gerrit's part.
    #[must_use]
    pub fn gerrit(&self) -> &Gerrit {
        &self.corpus.gerrit
    }

    /// A text of the log.
    #[must_use]
    pub fn text(&self, text: Text) -> &[u8] {
        self.corpus.log.text(text)
    }

    /// `owner/name` of a repo.
    #[must_use]
    pub fn repo(&self, repo: Number) -> Cell<'_> {
        self.repos.get(repo as usize).map_or(Cell::Null, |name| Cell::text(name.as_bytes()))
    }

    /// The login of a person by the number in the corpus.
    #[must_use]
    pub fn login(&self, user: Number) -> Cell<'_> {
        if user == NONE {
            return Cell::Null;
        }
        Cell::some(self.github().name(self.github().users().get(user).login))
    }

    /// The login of a person by GitHub's id.
    #[must_use]
    pub fn login_of(&self, id: i64) -> Cell<'_> {
        self.github().user(id).map_or(Cell::Null, |user| self.login(user))
    }

    /// An issue that is not gone.
    #[must_use]
    pub fn issue(&self, number: Number) -> Option<&Issue> {
        Some(self.github().issues().get(number)).filter(|issue| !issue.not_exist.is())
    }

    /// `SERVER/PROJECT`.
    #[must_use]
    pub fn project(&self, project: Number) -> Cell<'_> {
        if project == NONE {
            return Cell::Null;
        }
        Cell::text(self.gerrit().name(self.gerrit().projects().get(project).name))
    }

    /// The hash of a commit, in hexadecimal.
    #[must_use]
    pub fn hash(&self, commit: Number) -> Cell<'_> {
        if commit == NONE {
            return Cell::Null;
        }
        Cell::made(hex::encode(self.gerrit().commits().get(commit).hash))
    }

    /// The name of an account of the Gerrit that has a project; none where it never wrote a note.
    #[must_use]
    pub fn account(&self, project: Number, id: i64) -> Cell<'_> {
        let accounts = self.accounts.get_or_init(|| self.accounts());
        accounts
            .get(&(self.server(project).to_vec(), id))
            .map_or(Cell::Null, |person| Cell::some(name(self.gerrit().name(*person))))
    }

    /// Whether a commit is a note of Gerrit's, of which changes, votes and messages are made.
    #[must_use]
    pub fn is_note(&self, commit: Number) -> bool {
        let notes = self.notes.get_or_init(|| notes(self.gerrit()));
        notes.get(commit as usize).copied().unwrap_or(false)
    }

    /// `SERVER` of `SERVER/PROJECT`.
    fn server(&self, project: Number) -> &[u8] {
        if project == NONE {
            return b"";
        }
        let name = self.gerrit().name(self.gerrit().projects().get(project).name);
        &name[..memchr::memchr(b'/', name).unwrap_or(name.len())]
    }

    /// Only of notes: anybody may write a commit as `Zhang <5@example.com>`, and another server has other accounts.
    fn accounts(&self) -> HashMap<(Vec<u8>, i64), Name> {
        let gerrit = self.gerrit();
        let mut known = HashMap::new();
        let mut seen = HashSet::new();
        for (number, commit) in gerrit.commits().numbered() {
            if self.is_note(number)
                && seen.insert((commit.project, commit.author))
                && let Some(account) = account(gerrit.name(commit.author))
            {
                known.entry((self.server(commit.project).to_vec(), account)).or_insert(commit.author);
            }
        }
        known
    }
}

/// `Name` of `Name <email>`; all of what has no address.
#[must_use]
pub fn name(person: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'<', person).unwrap_or(person.len());
    person[..end].trim_ascii()
}

/// The account in `Name <ACCOUNT@SERVER>`.
fn account(person: &[u8]) -> Option<i64> {
    let address = email(person);
    let digits = &address[..memchr::memchr(b'@', address)?];
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|number| *number > 0)
}

fn notes(gerrit: &Gerrit) -> Vec<bool> {
    let mut notes = vec![false; gerrit.commits().len()];
    for change in gerrit.changes().iter() {
        for head in [change.meta, change.read] {
            let mut at = head;
            // What was walked over is not walked over again, so this ends.
            while at != NONE && !std::mem::replace(&mut notes[at as usize], true) {
                at = gerrit.parents(gerrit.commits().get(at)).next().unwrap_or(NONE);
            }
        }
    }
    notes
}
