//! What is to be written so that the corpus says what GitHub says: the least of it. Source: spec/maintner.md §1.5, and §11
//! where the original errs.

use std::collections::HashSet;

use ::github::Repo;
use ::github::model;
use jiff::Timestamp;
use maintpb as pb;

use super::parse;
use crate::column::NONE;
use crate::corpus::Corpus;
use crate::github::{Comment, Github, Issue, NO_MILESTONE, Number, User};
use crate::mutation::{self, Message as _};
use crate::time::Time;

/// The log's form of an instant.
pub(super) fn stamp(time: Timestamp) -> pb::Timestamp {
    let (seconds, nanos) = (time.as_second(), time.subsec_nanosecond());
    // Before 1970 both count backwards; the log's nanoseconds never do.
    if nanos < 0 {
        pb::Timestamp { seconds: seconds - 1, nanos: nanos + 1_000_000_000 }
    } else {
        pb::Timestamp { seconds, nanos }
    }
}

/// The corpus's form of an instant.
pub(super) fn instant(time: Timestamp) -> Time {
    let stamp = stamp(time);
    Time::new(stamp.seconds, stamp.nanos)
}

fn person(user: &model::User) -> pb::GithubUser {
    pb::GithubUser { id: user.id, login: user.login.clone() }
}

fn label(label: &model::Label) -> pb::GithubLabel {
    pb::GithubLabel { id: label.id, name: label.name.clone() }
}

/// A mutation of an issue that says nothing yet.
#[must_use]
pub fn blank(repo: &Repo, number: i32) -> pb::GithubIssueMutation {
    pb::GithubIssueMutation {
        owner: repo.owner().to_owned(),
        repo: repo.name().to_owned(),
        number,
        ..pb::GithubIssueMutation::default()
    }
}

/// That an issue is not there, or no more; nothing where that is known.
#[must_use]
pub fn gone(corpus: &Corpus, repo: &Repo, number: i32) -> Option<pb::GithubIssueMutation> {
    if find(corpus, repo, number).is_some_and(|(_, issue)| issue.not_exist.is()) {
        return None;
    }
    Some(pb::GithubIssueMutation { not_exist: true, ..blank(repo, number) })
}

/// A repo's number in the corpus.
pub(super) fn repo_in(github: &Github, repo: &Repo) -> Option<Number> {
    github.repo(repo.owner().as_bytes(), repo.name().as_bytes())
}

/// What is known of an issue, with its number in the corpus.
pub(super) fn find<'a>(corpus: &'a Corpus, repo: &Repo, number: i32) -> Option<(Number, &'a Issue)> {
    let found = corpus.github.issue(repo_in(&corpus.github, repo)?, number)?;
    Some((found, corpus.github.issues().get(found)))
}

/// What GitHub's answer about an issue says that the corpus does not. One that is gone by the corpus comes back by it, even if
/// nothing of it changed.
#[must_use]
pub fn issue(corpus: &Corpus, repo: &Repo, api: &model::Issue) -> Option<pb::GithubIssueMutation> {
    if api.number <= 0 {
        return None;
    }
    let known = find(corpus, repo, api.number).map(|(_, issue)| issue);
    let base = blank(repo, api.number);
    let mut to = base.clone();
    if known.is_none() {
        to.id = api.id;
    }
    times(known, api, &mut to);
    people(&corpus.github, known, api, &mut to);
    texts(corpus, known, api, &mut to);
    milestone(&corpus.github, known, api, &mut to);
    labels_of(&corpus.github, known, api, &mut to);
    let closed = api.state == "closed";
    if known.is_none_or(|known| known.closed.is() != closed) {
        to.closed = Some(pb::BoolChange { val: closed });
    }
    if known.map_or(api.locked, |known| known.locked.is() != api.locked) {
        to.locked = Some(pb::BoolChange { val: api.locked });
    }
    if to == base && !known.is_some_and(|known| known.not_exist.is()) {
        return None;
    }
    to.pull_request = api.pull_request;
    Some(to)
}

fn times(known: Option<&Issue>, api: &model::Issue, to: &mut pb::GithubIssueMutation) {
    let differs = |time: Option<Timestamp>, known: Option<Time>| {
        time.filter(|time| known != Some(instant(*time))).map(stamp)
    };
    // It is taken only where there was none (§1.4), so it is not written otherwise.
    let unset = |issue: &Issue| issue.created.is_none() || issue.created == Time::from_seconds(0);
    if known.is_none_or(unset) {
        to.created = differs(api.created_at, known.map(|issue| issue.created));
    }
    to.updated = differs(api.updated_at, known.map(|issue| issue.updated));
    to.closed_at = differs(api.closed_at, known.map(|issue| issue.closed_at));
}

/// A person, if they are another than was known, or are called otherwise.
fn changed(github: &Github, known: Option<Number>, api: Option<&model::User>) -> Option<pb::GithubUser> {
    let api = api.filter(|api| api.id != 0)?;
    let known = known.filter(|number| *number != NONE).map(|number| github.users().get(number));
    known.is_none_or(|known| differs(github, known, api)).then(|| person(api))
}

fn differs(github: &Github, known: &User, api: &model::User) -> bool {
    known.id != api.id || (!api.login.is_empty() && github.name(known.login) != api.login.as_bytes())
}

fn people(github: &Github, known: Option<&Issue>, api: &model::Issue, to: &mut pb::GithubIssueMutation) {
    to.user = changed(github, known.map(|issue| issue.user), api.user.as_ref());
    to.closed_by = changed(github, known.map(|issue| issue.closed_by), api.closed_by.as_ref());
    let known: Vec<&User> = known.map(|issue| github.assignees_of(issue).collect()).unwrap_or_default();
    let mut seen = HashSet::new();
    for assignee in api.assignees.iter().filter(|assignee| assignee.id != 0 && seen.insert(assignee.id)) {
        let before = known.iter().find(|known| known.id == assignee.id);
        if before.is_none_or(|known| differs(github, known, assignee)) {
            to.assignees.push(person(assignee));
        }
    }
    to.deleted_assignees = known.iter().map(|known| known.id).filter(|id| !seen.contains(id)).collect();
}

fn texts(corpus: &Corpus, known: Option<&Issue>, api: &model::Issue, to: &mut pb::GithubIssueMutation) {
    if known.is_none_or(|known| corpus.log.text(known.body) != api.body.as_bytes()) {
        to.body_change = Some(pb::StringChange { val: api.body.clone() });
    }
    if known.is_none_or(|known| corpus.log.text(known.title) != api.title.as_bytes()) {
        // No title can be taken away.
        to.title.clone_from(&api.title);
    }
}

fn milestone(github: &Github, known: Option<&Issue>, api: &model::Issue, to: &mut pb::GithubIssueMutation) {
    let known = known.map(|issue| issue.milestone);
    match api.milestone.as_ref().filter(|milestone| milestone.id != 0) {
        None => to.no_milestone = known != Some(NO_MILESTONE),
        Some(api) => {
            let same = known
                .filter(|number| *number < github.milestones().next())
                .is_some_and(|number| github.milestones().get(number).id == api.id);
            if !same {
                to.milestone_id = api.id;
                to.milestone_num = api.number;
                to.milestone_title.clone_from(&api.title);
            }
        }
    }
}

fn labels_of(github: &Github, known: Option<&Issue>, api: &model::Issue, to: &mut pb::GithubIssueMutation) {
    let known = known.map(|issue| github.labels_of(issue)).unwrap_or_default();
    let mut seen = HashSet::new();
    for one in api.labels.iter().filter(|one| one.id != 0 && seen.insert(one.id)) {
        if known.binary_search(&one.id).is_err() {
            to.add_label.push(label(one));
        }
    }
    to.remove_label = known.into_iter().filter(|id| !seen.contains(id)).collect();
}

/// What the labels of a repo say that the corpus does not.
#[must_use]
pub fn labels(corpus: &Corpus, repo: &Repo, api: &[model::Label]) -> Option<pb::GithubMutation> {
    let github = &corpus.github;
    let in_repo = repo_in(github, repo);
    let changed = |api: &&model::Label| {
        let known = in_repo.and_then(|repo| github.label(repo, api.id));
        api.id != 0
            && known
                .is_none_or(|known| !api.name.is_empty() && github.name(known.name) != api.name.as_bytes())
    };
    let labels: Vec<_> = api.iter().filter(changed).map(label).collect();
    (!labels.is_empty()).then(|| pb::GithubMutation { labels, ..of(repo) })
}

/// What the milestones of a repo say that the corpus does not.
#[must_use]
pub fn milestones(corpus: &Corpus, repo: &Repo, api: &[model::Milestone]) -> Option<pb::GithubMutation> {
    let github = &corpus.github;
    let in_repo = repo_in(github, repo);
    let mut milestones = Vec::new();
    for api in api.iter().filter(|api| api.id != 0) {
        let known = in_repo.and_then(|repo| github.milestone(repo, api.id));
        let base = pb::GithubMilestone { id: api.id, ..pb::GithubMilestone::default() };
        let mut to = base.clone();
        if known.is_none_or(|known| github.name(known.title) != api.title.as_bytes()) {
            to.title.clone_from(&api.title);
        }
        if known.is_none_or(|known| i64::from(known.number) != api.number) {
            to.number = api.number;
        }
        let closed = api.state == "closed";
        if known.is_none_or(|known| known.closed.is() != closed) {
            to.closed = Some(pb::BoolChange { val: closed });
        }
        if to != base {
            milestones.push(to);
        }
    }
    (!milestones.is_empty()).then(|| pb::GithubMutation { milestones, ..of(repo) })
}

fn of(repo: &Repo) -> pb::GithubMutation {
    pb::GithubMutation {
        owner: repo.owner().to_owned(),
        repo: repo.name().to_owned(),
        ..pb::GithubMutation::default()
    }
}

/// What a comment of an issue says that the corpus does not.
#[must_use]
pub fn comment(
    corpus: &Corpus,
    issue: Option<Number>,
    api: &model::Comment,
) -> Option<pb::GithubIssueCommentMutation> {
    if api.id == 0 {
        return None;
    }
    let base = pb::GithubIssueCommentMutation { id: api.id, ..pb::GithubIssueCommentMutation::default() };
    let Some(known) = issue.and_then(|issue| corpus.github.comment(issue, api.id)) else {
        return Some(pb::GithubIssueCommentMutation {
            user: Some(person(&api.user)),
            body: api.body.clone(),
            created: Some(stamp(api.created_at)),
            updated: Some(stamp(api.updated_at)),
            ..base
        });
    };
    let mut to = base.clone();
    let Comment { updated, body, .. } = known;
    if *updated != instant(api.updated_at) {
        to.updated = Some(stamp(api.updated_at));
    }
    if corpus.log.text(*body) != api.body.as_bytes() {
        // The log has no word for a comment that says nothing any more.
        to.body.clone_from(&api.body);
    }
    (to != base).then_some(to)
}

/// An event that the corpus does not have. One that it has never changes.
#[must_use]
pub fn event(
    corpus: &Corpus,
    issue: Option<Number>,
    api: &serde_json::Value,
) -> Option<pb::GithubIssueEvent> {
    let event = parse::event(api)?;
    (!issue.is_some_and(|issue| corpus.github.has_event(issue, event.id))).then_some(event)
}

/// A review that the corpus does not have, or has otherwise: reviews are dismissed and edited.
#[must_use]
pub fn review(corpus: &Corpus, issue: Option<Number>, api: &serde_json::Value) -> Option<pb::GithubReview> {
    let review = parse::review(api)?;
    let known = issue.and_then(|issue| corpus.github.review(issue, review.id));
    // It was read once, so it is read.
    let known = known.map(|known| mutation::Review::of(corpus.log.text(known.message)).unwrap_or_default());
    let same = |known: &mutation::Review<'_>| {
        let created = known.created.as_ref().map(|time| (time.seconds, time.nanos));
        known.actor_id == review.actor_id
            && created == review.created.as_ref().map(|time| (time.seconds, time.nanos))
            && known.body == review.body.as_bytes()
            && known.state == review.state.as_bytes()
            && known.commit_id == review.commit_id.as_bytes()
            && known.actor_association == review.actor_association.as_bytes()
            && known.other_json == review.other_json
    };
    (!known.as_ref().is_some_and(same)).then_some(review)
}
