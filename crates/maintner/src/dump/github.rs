//! The dump's lines of GitHub.

use super::form::{Lines, escaped, text_of};
use crate::column::NONE;
use crate::corpus::Corpus;
use crate::github::{Event, Github, Issue, MILESTONE_UNKNOWN, NO_MILESTONE, Number, Review};
use crate::mutation::{self, Message};
use crate::time::Time;

pub(super) fn dump(corpus: &Corpus, lines: &mut Lines) {
    let github = &corpus.github;
    for user in github.users().iter() {
        lines.line('U').plain(user.id).str(github.name(user.login));
    }
    for team in github.teams().iter() {
        lines.line('T').plain(team.id).str(github.name(team.slug));
    }
    for number in 0..github.repos().next() {
        lines.line('R').plain(repo(github, number));
    }
    for label in github.labels().iter() {
        lines.line('L').plain(repo(github, label.repo)).plain(label.id).str(github.name(label.name));
    }
    for milestone in github.milestones().iter() {
        let mut line = lines.line('M');
        line.plain(repo(github, milestone.repo)).plain(milestone.id).plain(milestone.number);
        line.bool(milestone.closed.is()).str(github.name(milestone.title));
    }
    for issue in github.issues().iter() {
        dump_issue(corpus, issue, lines);
    }
}

fn repo(github: &Github, number: Number) -> String {
    let repo = github.repos().get(number);
    escaped(&[github.name(repo.owner), b"/", github.name(repo.name)].concat())
}

fn user(github: &Github, number: Number) -> Option<i64> {
    (number != NONE).then(|| github.users().get(number).id)
}

fn dump_issue(corpus: &Corpus, issue: &Issue, lines: &mut Lines) {
    let Corpus { log, github, .. } = corpus;
    let repo = repo(github, issue.repo);
    let mut line = lines.line('I');
    line.plain(&repo).plain(issue.number).bool(issue.not_exist.is());
    if issue.not_exist.is() {
        return;
    }
    // Of an instant of the creation alone the original can't tell 1970 from none.
    let created = if issue.created == Time::from_seconds(0) { Time::NONE } else { issue.created };
    line.plain(issue.id).time(created).time(issue.updated).time(issue.closed_at);
    line.bool(issue.closed.is()).bool(issue.locked.is()).bool(issue.pull_request.is());
    line.id(user(github, issue.user)).id(user(github, issue.closed_by));
    match issue.milestone {
        MILESTONE_UNKNOWN => line.plain('?'),
        NO_MILESTONE => line.plain("none"),
        number => line.plain(github.milestones().get(number).id),
    };
    line.list(github.assignees_of(issue).map(|user| user.id)).list(github.labels_of(issue));
    line.text(log.text(issue.title)).text(log.text(issue.body));
    line.time(issue.comments_synced)
        .time(issue.events_synced)
        .time(issue.reviews_synced)
        .time(issue.event_max);
    drop(line);
    for comment in github.comments_of(issue) {
        let mut line = lines.line('C');
        line.plain(&repo).plain(issue.number).plain(comment.id).id(user(github, comment.user));
        line.time(comment.created).time(comment.updated).text(log.text(comment.body));
    }
    for event in github.events_of(issue) {
        dump_event(corpus, &repo, issue.number, event, lines);
    }
    for review in github.reviews_of(issue) {
        dump_review(corpus, &repo, issue.number, review, lines);
    }
}

fn dump_event(corpus: &Corpus, repo: &str, number: i32, event: &Event, lines: &mut Lines) {
    // It was read once, so it is read.
    let message = mutation::Event::of(corpus.log.text(event.message)).unwrap_or_default();
    let some = |id: i64| (id != 0).then_some(id);
    let label = message.label.unwrap_or_default();
    let milestone = message.milestone.unwrap_or_default();
    let commit = message.commit.unwrap_or_default();
    let url = if commit.owner.is_empty() || commit.repo.is_empty() {
        Vec::new()
    } else {
        [b"https://api.github.com/repos/", commit.owner, b"/", commit.repo, b"/commits/", commit.commit_id]
            .concat()
    };
    let mut line = lines.line('E');
    line.plain(repo).plain(number).plain(event.id).str(corpus.github.name(event.kind)).time(event.created);
    line.id(some(message.actor_id)).id(some(message.assignee_id)).id(some(message.assigner_id));
    line.str(label.name).str(milestone.title).str(message.rename_from).str(message.rename_to);
    line.str(commit.commit_id).str(&url);
    line.id(some(message.reviewer_id)).id(message.team_reviewer.map(|team| team.id));
    line.id(some(message.review_requester_id));
    match message.dismissed_review {
        None => line.plain('-'),
        Some(review) => line.plain(format_args!(
            "{},{},{}",
            review.review_id,
            escaped(review.state),
            text_of(review.dismissal_message)
        )),
    };
    line.text(message.other_json);
}

fn dump_review(corpus: &Corpus, repo: &str, number: i32, review: &Review, lines: &mut Lines) {
    let message = mutation::Review::of(corpus.log.text(review.message)).unwrap_or_default();
    let mut line = lines.line('V');
    line.plain(repo).plain(number).plain(review.id).id((message.actor_id != 0).then_some(message.actor_id));
    line.time(review.created).str(message.state).str(message.commit_id).str(message.actor_association);
    line.text(message.body).text(message.other_json);
}
