//! Which changes somebody asks to have tried, by what the corpus knows of votes. Source: spec/coordinator.md §1.2, §1.3.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use buildenv::{Config, Project, Tries};
use maintner::commit::Hash;
use maintner::corpus::Corpus;
use maintner::gerrit::change_view::{ChangeView, Who};
use maintner::gerrit::{Change, Status};

use super::related::{Ids, Related};
use super::subject::{self, Subject};
use super::terms;

/// Where comments on a patch set as a whole are.
const WHOLE: &str = "/PATCHSET_LEVEL";

/// A change, by the name that its forge has for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Review {
    /// `SERVER/PROJECT`, as the corpus has it; of GitHub `github.com/OWNER/REPO`.
    pub project: String,
    /// Its number there.
    pub number: i32,
}

impl fmt::Display for Review {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.project.starts_with(super::pulls::HOST) { '#' } else { '~' };
        write!(f, "{}{mark}{}", self.project, self.number)
    }
}

impl Review {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Review> {
        let mark = if text.starts_with(super::pulls::HOST) { '#' } else { '~' };
        let (project, number) = text.rsplit_once(mark)?;
        Some(Review { project: project.to_owned(), number: number.parse().ok()? })
    }
}

/// A change that somebody asks to have tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which.
    pub review: Review,
    /// Its repo here.
    pub repo: String,
    /// Where it is to go.
    pub branch: String,
    /// Its `Change-Id`; of a pull request what asked, which is greater if it is asked for again.
    pub change_id: String,
    /// The patch set, from 1.
    pub patch_set: i32,
    /// That patch set's commit: what was approved, and nothing else.
    pub commit: String,
    /// Its subject.
    pub title: String,
    /// Who approved it.
    pub asked_by: String,
    /// What they said with it of further builders.
    pub terms: Option<String>,
    /// What else it is tried with.
    pub subject: Subject,
}

impl Asked {
    /// The commit of its own repo that is built.
    pub fn tree(&self) -> &str {
        self.subject.tree.as_deref().unwrap_or(&self.commit)
    }
}

/// What is asked, as far as it can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// By commit.
    pub asked: Vec<Asked>,
    /// Repos of which it can't be told by now: their project is not in the corpus yet, or their own file was not read. That
    /// nothing is asked there means nothing.
    pub blind: BTreeSet<String>,
    /// By which commits changes have landed that were tried with others, as far as these are looked after.
    pub landed: BTreeMap<String, String>,
}

/// An open change, as it was read.
#[derive(Debug, Clone, Default)]
pub struct Read {
    asked: Option<Asked>,
    /// Where it is to go.
    pub branch: String,
    /// Its topic; empty where it has none.
    pub topic: String,
    /// The newest patch set, from 1.
    pub patch_set: i32,
    /// That patch set's commit, in hex.
    pub commit: String,
    /// Whether somebody asks to have that patch set tried, or asked and has an answer.
    pub approved: bool,
}

/// Looks for what is asked. A change is read anew only when something was done to it.
#[derive(Debug, Default)]
pub struct Looker {
    /// By change: at which meta commit it was read, and what it asked for then.
    read: HashMap<Review, (Hash, Read)>,
    ids: Ids,
    by: Option<Tries>,
    /// What was seen last: in a log of so many bytes, by which configuration.
    last: Option<(u64, Arc<Config>, Seen)>,
}

impl Looker {
    /// All that is asked.
    pub fn look(&mut self, corpus: &Corpus, config: &Arc<Config>) -> Seen {
        // A look goes over all changes there are.
        if let Some((bytes, by, seen)) = &self.last
            && (*bytes, Arc::as_ptr(by)) == (corpus.log.len(), Arc::as_ptr(config))
        {
            return seen.clone();
        }
        let seen = self.looked(corpus, config);
        self.last = Some((corpus.log.len(), Arc::clone(config), seen.clone()));
        seen
    }

    fn looked(&mut self, corpus: &Corpus, config: &Config) -> Seen {
        if self.by.as_ref() != Some(config.tries()) {
            self.by = Some(config.tries().clone());
            self.read.clear();
        }
        let gerrit = &corpus.gerrit;
        let mut read = HashMap::new();
        let (mut all, mut blind) = (Vec::new(), BTreeSet::new());
        for repo in config.repos() {
            let Some(name) = &repo.changes else { continue };
            let unread = config.project(repo.name.as_str()).is_some_and(|own| *own == Project::default());
            let Some(project) = gerrit.project(name.as_bytes()).filter(|_| !unread) else {
                blind.insert(repo.name.to_string());
                continue;
            };
            for change in gerrit.open_changes(project) {
                let review = Review { project: name.clone(), number: change.number };
                let meta = gerrit.commits().get(change.meta).hash;
                let one = match self.read.remove(&review) {
                    Some((at, one)) if at == meta => one,
                    // What can't be looked at is as one that is private.
                    _ => match read_change(corpus, config.tries(), &review, change) {
                        Some(one) => one,
                        None => continue,
                    },
                };
                all.extend(one.asked.clone().map(|asked| Asked { repo: repo.name.to_string(), ..asked }));
                read.insert(review, (meta, one));
            }
        }
        self.read = read;
        if !all.is_empty() {
            let related = Related::new(corpus, config, &self.read, &mut self.ids);
            all.retain_mut(|asked| {
                asked.subject = subject::resolve(&asked.review, &related);
                let seen = asked.subject.hindrance.as_ref().is_none_or(|hindrance| !hindrance.unseen);
                if !seen {
                    blind.insert(asked.repo.clone());
                }
                seen
            });
        }
        all.sort_by(|one, other| (&one.commit, &one.review).cmp(&(&other.commit, &other.review)));
        Seen { asked: all, blind, landed: BTreeMap::new() }
    }
}

/// What there is to know of a change, with what it asks for, if it does.
fn read_change(corpus: &Corpus, tries: &Tries, review: &Review, change: &Change) -> Option<Read> {
    let view = corpus.gerrit.view(&corpus.log, change).ok()?;
    let newest = view.patch_sets.last()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut votes = view.votes.get(tries.label.as_bytes()).into_iter().flatten();
    Some(Read {
        asked: asked(&view, tries, review),
        branch: text(view.branch),
        topic: text(view.topic),
        patch_set: newest.version,
        commit: hex::encode(newest.commit),
        approved: votes.any(|(_, vote)| *vote >= tries.value),
    })
}

/// What a change asks for, if it does.
fn asked(view: &ChangeView<'_>, tries: &Tries, review: &Review) -> Option<Asked> {
    let votes = |label: &str| view.votes.get(label.as_bytes()).into_iter().flatten();
    if votes(&tries.result).any(|(_, vote)| *vote != 0) {
        return None;
    }
    // A vote is for one commit: what Gerrit copies from an older patch set was given to another one.
    let given = |account: i64| !view.copied.contains(&(tries.label.as_bytes(), account));
    let (account, _) =
        votes(&tries.label).find(|(account, vote)| **vote >= tries.value && given(**account))?;
    let newest = view.patch_sets.last()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Asked {
        review: review.clone(),
        repo: String::new(),
        branch: text(view.branch),
        change_id: text(view.change_id),
        patch_set: newest.version,
        commit: hex::encode(newest.commit),
        title: view.subject.clone(),
        asked_by: who(view, *account),
        terms: said(view, tries, newest.version),
        subject: Subject::default(),
    })
}

/// Somebody's name, where they wrote something; else their number.
fn who(view: &ChangeView<'_>, account: i64) -> String {
    let of = |who: &Who<'_>| who.account() == Some(account);
    let name = view.messages.iter().rev().map(|message| message.author).find(of).and_then(|who| {
        let text = String::from_utf8_lossy(who.0);
        let name = text.split('<').next().unwrap_or_default().trim();
        (!name.is_empty()).then(|| name.chars().take(100).collect::<String>())
    });
    match name {
        Some(name) => format!("{name} ({account})"),
        None => format!("account {account}"),
    }
}

/// What was said with the votes: of the current patch set the newest, else the newest that says anything.
fn said(view: &ChangeView<'_>, tries: &Tries, current: i32) -> Option<String> {
    let vote = format!("{}+{}", tries.label, tries.value);
    let mut said: Vec<(i32, &str)> = Vec::new();
    for message in &view.messages {
        let text = String::from_utf8_lossy(message.text);
        let first = text.lines().next().unwrap_or_default();
        if !first.starts_with("Patch Set ") || !first.contains(&vote) {
            continue;
        }
        let with_it = view.comments.values().filter(|comment| {
            comment.file == WHOLE
                && Some(comment.author) == message.author.account()
                && comment.written.as_ref().is_some_and(|written| written.seconds == message.time)
        });
        for terms in with_it.filter_map(|comment| terms::of_comment(&comment.message)) {
            if said.last().is_none_or(|(version, _)| message.version >= *version) {
                said.push((message.version, terms));
            }
        }
    }
    let of_current = said.iter().rev().find(|(version, _)| *version == current);
    let any = || said.iter().rev().find(|(_, text)| !text.is_empty());
    of_current.or_else(any).map(|(_, text)| (*text).to_owned()).filter(|text| !text.is_empty())
}

/// What is said of a change that landed: its builds are those of a commit of its branch by then.
pub const SUBMITTED: &str = "the change was submitted";

/// Why a commit is not asked for any more, in words.
pub fn why_not(corpus: &Corpus, tries: &Tries, review: &Review, commit: &str) -> String {
    let gerrit = &corpus.gerrit;
    let change = gerrit
        .project(review.project.as_bytes())
        .and_then(|project| gerrit.shown_change(project, review.number));
    let Some(change) = change else { return "the change is not there any more".to_owned() };
    match change.status() {
        Some(Status::New) => {}
        Some(Status::Merged) => return SUBMITTED.to_owned(),
        Some(Status::Abandoned) => return "the change was abandoned".to_owned(),
        _ => return "the change is not open any more".to_owned(),
    }
    let Ok(view) = gerrit.view(&corpus.log, change) else {
        return "the change can't be read any more".to_owned();
    };
    match view.patch_sets.last() {
        Some(newest) if hex::encode(newest.commit) != commit => {
            format!("patch set {} is newer", newest.version)
        }
        _ if view.private => "the change is private now".to_owned(),
        _ => match view.votes.get(tries.result.as_bytes()).is_some_and(|votes| !votes.is_empty()) {
            true => format!("somebody voted on {}", tries.result),
            false => format!("the vote on {} was taken back", tries.label),
        },
    }
}
