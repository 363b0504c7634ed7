//! What people who may said of a pull request, and which of it asks for the commit that is its head.

use std::collections::BTreeMap;

use buildenv::Repo;
use maintner::column::NONE;
use maintner::corpus::Corpus;
use maintner::github::Issue;
use maintner::mutation::{Event, Message as _, Review};

use super::reader::Head;
use super::teams::{self, Members};
use super::words::{self, Word};

/// How long before the first sight of a head a comment may have been, where only those push who may, seconds.
const RECENT: i64 = 600;

/// Something that was said, in a comment or a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When, and what it is known by: what was said or changed later is greater.
    pub key: String,
    /// When it was said or changed last, seconds since 1970.
    pub at: i64,
    /// Who.
    pub by: String,
    /// What. Its commit is there for a review, too: GitHub says of which commit that is.
    pub word: Word,
}

/// Who may ask, and how beside by words.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// What names them.
    pub repo: &'a Repo,
    /// Who is in the teams of it.
    pub members: &'a Members,
}

impl By<'_> {
    /// As whom somebody is known, if they may ask. Logins are the same in any case; one that is empty is of somebody who is gone, or of
    /// whom nothing is known but that they did something.
    fn name(self, id: i64, login: &[u8]) -> Option<String> {
        let names = &self.repo.try_by;
        let named = names.iter().find(|one| !login.is_empty() && one.as_bytes().eq_ignore_ascii_case(login));
        let of_team = |team| self.members.get(team)?.get(&id).cloned();
        named.cloned().or_else(|| teams::named(names).find_map(of_team))
    }

    /// The same, by the number that the corpus has.
    fn user(self, corpus: &Corpus, user: u32) -> Option<String> {
        let user = (user != NONE).then(|| corpus.github.users().get(user))?;
        self.name(user.id, corpus.github.name(user.login))
    }
}

/// What was said of a pull request by these people, in its order.
pub fn said(corpus: &Corpus, issue: &Issue, by: By<'_>) -> Vec<Said> {
    let github = &corpus.github;
    let trusted = |user: u32| by.user(corpus, user);
    let mut all = Vec::new();
    for comment in github.comments_of(issue) {
        let Some(by) = trusted(comment.user) else { continue };
        let Some(at) = comment.created.max(comment.updated).seconds() else { continue };
        let text = String::from_utf8_lossy(corpus.log.text(comment.body));
        let Some(word) = words::read(&text) else { continue };
        all.push(Said { key: key(at, &format!("comment {}", comment.id)), at, by, word });
    }
    for review in github.reviews_of(issue) {
        let message = Review::of(corpus.log.text(review.message)).unwrap_or_default();
        let Some(by) = github.user(message.actor_id).and_then(trusted) else { continue };
        let (Some(at), false) = (review.created.seconds(), message.state == b"DISMISSED") else { continue };
        let Some(mut word) = words::read(&String::from_utf8_lossy(message.body)) else { continue };
        let of = String::from_utf8_lossy(message.commit_id).into_owned();
        // One that names another commit than the one that was looked at is nobody's.
        if word.commit.get_or_insert_with(|| of.clone()) == &of && !of.is_empty() {
            all.push(Said { key: key(at, &format!("review {}", review.id)), at, by, word });
        }
    }
    all.extend(labeled(corpus, issue, by));
    all.sort_by(|one, other| one.key.cmp(&other.key));
    all
}

/// That the label by which somebody asks was put on the pull request last by one who may, and is there.
fn labeled(corpus: &Corpus, issue: &Issue, by: By<'_>) -> Option<Said> {
    let (github, label) = (&corpus.github, by.repo.try_label.as_ref()?);
    let mut last = None;
    for event in github.events_of(issue) {
        let kind = github.name(event.kind);
        if !matches!(kind, b"labeled" | b"unlabeled") {
            continue;
        }
        let message = Event::of(corpus.log.text(event.message)).unwrap_or_default();
        let of = message.label.map(|label| label.name).unwrap_or_default();
        // Labels are the same in any case.
        if of.eq_ignore_ascii_case(label.as_bytes()) {
            last = (kind == b"labeled").then_some((event, message.actor_id));
        }
    }
    let (event, actor) = last?;
    // Who never wrote anything there is known by the id alone.
    let by = match github.user(actor) {
        Some(user) => by.user(corpus, user)?,
        None => by.name(actor, b"")?,
    };
    let at = event.created.seconds()?;
    let word = Word { approves: true, ..Word::default() };
    Some(Said { key: key(at, &format!("label {}", event.id)), at, by, word })
}

/// What asks, so that what came later is greater.
pub fn key(at: i64, what: &str) -> String {
    format!("{:012} {what}", at.max(0))
}

/// The comment in which it was said, if it was one.
pub fn comment_of(key: &str) -> Option<i64> {
    key.split_once(" comment ")?.1.parse().ok()
}

/// What is known of a head beside itself.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The first answer that had it, by GitHub's clock.
    pub since: i64,
    /// The last answer that had it.
    pub seen: i64,
    /// Of which commit a comment was, as far as that was found out: by its key.
    pub bound: &'a BTreeMap<String, String>,
    /// The last time that somebody pressed the button for this commit, if they did.
    pub again: Option<&'a str>,
}

/// What is to be done about a head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// What asks for it: the key, who, and further builders.
    pub asks: Option<(String, String, Option<String>)>,
    /// Comments that were of this commit, which was not known before.
    pub binds: Vec<(String, String)>,
    /// The next answer of GitHub tells more.
    pub waits: bool,
}

/// Chooses what of it asks for the commit that is the head.
///
/// GitHub does not say what the head was when a comment was written. What is known: an answer before had this head, and one
/// after has it still. Of a branch of the repository itself the second is enough, since who pushes there may anyway.
pub fn choose(head: &Head, said: &[Said], known: Known<'_>) -> Chosen {
    let mut chosen = Chosen::default();
    let mut of_head: Vec<&Said> = Vec::new();
    for one in said {
        let commit = one.word.commit.as_ref().or_else(|| known.bound.get(&one.key));
        match commit {
            Some(commit) if *commit == head.commit => of_head.push(one),
            Some(_) => {}
            None if one.at <= known.since && (head.fork || one.at + RECENT < known.since) => {}
            None if one.at < known.seen => {
                chosen.binds.push((one.key.clone(), one.by.clone()));
                of_head.push(one);
            }
            None => chosen.waits = true,
        }
    }
    // Nobody has to have looked at what those push who may.
    let approved = !head.fork || of_head.iter().any(|one| one.word.approves);
    if let Some(last) = of_head.last().filter(|_| approved) {
        let terms = of_head.iter().rev().find_map(|one| one.word.terms.clone());
        let key = known.again.filter(|again| *again > last.key.as_str()).unwrap_or(&last.key);
        chosen.asks = Some((key.to_owned(), last.by.clone(), terms));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fork: bool) -> Head {
        Head { commit: "a".repeat(40), branch: "main".into(), title: "T".into(), fork }
    }

    fn one(at: i64, text: &str) -> Said {
        Said { key: key(at, "comment 1"), at, by: "ann".into(), word: words::read(text).unwrap() }
    }

    fn known(since: i64, seen: i64, bound: &BTreeMap<String, String>) -> Known<'_> {
        Known { since, seen, bound, again: None }
    }

    #[test]
    fn a_fork_s_head_must_have_been_there_before_and_after() {
        let none = BTreeMap::new();
        let asks = |at, since, seen, text: &str| {
            let chosen = choose(&head(true), &[one(at, text)], known(since, seen, &none));
            (chosen.asks.is_some(), chosen.binds.len(), chosen.waits)
        };
        assert_eq!(asks(10, 5, 20, "/ok-to-test"), (true, 1, false));
        // In the same second nobody knows what was first.
        assert_eq!(asks(10, 10, 20, "/ok-to-test"), (false, 0, false));
        assert_eq!(asks(10, 12, 20, "/ok-to-test"), (false, 0, false));
        assert_eq!(asks(10, 5, 10, "/ok-to-test"), (false, 0, true));
        // Nobody says that they have looked at it.
        assert_eq!(asks(10, 5, 20, "/try"), (false, 1, false));
        // Who names it means it, whenever that was.
        let named = format!("/ok-to-test {}", "a".repeat(40));
        assert_eq!(asks(10, 12, 9, &named), (true, 0, false));
        assert_eq!(asks(10, 5, 20, &format!("/ok-to-test {}", "b".repeat(40))), (false, 0, false));
    }

    #[test]
    fn what_was_said_of_another_commit_does_not_count_for_this_one() {
        let said = [one(10, "/ok-to-test")];
        let bound = BTreeMap::from([(said[0].key.clone(), "b".repeat(40))]);
        assert_eq!(choose(&head(true), &said, known(5, 20, &bound)), Chosen::default());
        assert_eq!(choose(&head(false), &said, known(5, 20, &bound)), Chosen::default());
        let bound = BTreeMap::from([(said[0].key.clone(), "a".repeat(40))]);
        assert!(choose(&head(true), &said, known(15, 20, &bound)).asks.is_some());
    }

    #[test]
    fn a_branch_of_the_repository_needs_a_word_and_a_later_look() {
        let none = BTreeMap::new();
        let of = |since, seen| choose(&head(false), &[one(10, "/try arm64")], known(since, seen, &none));
        assert!(of(12, 10).waits);
        assert_eq!(of(10 + RECENT + 1, 20 + RECENT), Chosen::default(), "that was long before");
        let (key, by, terms) = of(12, 20).asks.unwrap();
        assert_eq!((&*key, &*by, terms.as_deref()), ("000000000010 comment 1", "ann", Some("arm64")));
        assert_eq!(choose(&head(false), &[], known(5, 20, &none)), Chosen::default());
    }

    #[test]
    fn a_comment_is_known_by_what_was_said_in_it() {
        assert_eq!(comment_of(&key(10, "comment 12")), Some(12));
        assert_eq!(comment_of(&key(10, "review 12")), None);
        assert_eq!(comment_of("queue"), None);
    }

    #[test]
    fn the_last_word_counts_and_the_button_asks_again() {
        let none = BTreeMap::new();
        let said = [one(10, "/ok-to-test\n/try arm64"), one(30, "/try")];
        let known = Known { again: Some("000000000040 button 7"), ..known(5, 40, &none) };
        let (key, _, terms) = choose(&head(true), &said, known).asks.unwrap();
        assert_eq!((&*key, terms.as_deref()), ("000000000040 button 7", Some("arm64")));
        let early = Known { again: Some("000000000020 button 7"), ..known };
        assert_eq!(choose(&head(true), &said, early).asks.unwrap().0, "000000000030 comment 1");
        assert_eq!(choose(&head(true), &[], known).asks, None, "a button asks for nothing by itself");
    }
}
