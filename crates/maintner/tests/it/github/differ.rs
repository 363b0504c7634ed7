//! What is written of an answer, and that it is enough.

use ::github::Repo;
use ::github::model::{Comment, Issue, Label, Milestone, User};
use jiff::Timestamp;
use maintner::corpus::{Corpus, Replay};
use maintner::rules::Rules;
use maintner::sources::github::differ;
use maintpb as pb;
use proptest::prelude::*;
use serde_json::json;

use crate::cases::cases;
use crate::logs::{at, corpus, dump, issue as blank, of_github, of_issue};

fn repo() -> Repo {
    "golang/go".parse().unwrap()
}

fn load(log: &[pb::Mutation]) -> Corpus {
    corpus(log, Rules::Ours, Replay::OneThread)
}

fn second(second: i64) -> Option<Timestamp> {
    Some(Timestamp::from_second(second).unwrap())
}

fn user(id: i64, login: &str) -> User {
    User { id, login: login.into() }
}

fn new_issue() -> Issue {
    Issue {
        id: 77,
        number: 3,
        user: Some(user(100, "gopherbot")),
        title: "t".into(),
        body: "b".into(),
        state: "open".into(),
        created_at: second(10),
        updated_at: second(20),
        ..Issue::default()
    }
}

#[test]
fn of_a_new_issue_all_is_written() {
    let mutation = differ::issue(&load(&[]), &repo(), &new_issue()).unwrap();
    let expected = pb::GithubIssueMutation {
        id: 77,
        user: Some(pb::GithubUser { id: 100, login: "gopherbot".into() }),
        created: at(10),
        updated: at(20),
        body_change: Some(pb::StringChange { val: "b".into() }),
        title: "t".into(),
        no_milestone: true,
        closed: Some(pb::BoolChange { val: false }),
        ..blank(3)
    };
    assert_eq!(mutation, expected);
}

#[test]
fn of_a_known_issue_only_what_changed() {
    let log = [of_issue(differ::issue(&load(&[]), &repo(), &new_issue()).unwrap())];
    let known = load(&log);
    assert_eq!(differ::issue(&known, &repo(), &new_issue()), None);
    let now = Issue {
        id: 5,
        user: Some(user(100, "bot")),
        title: String::new(),
        body: String::new(),
        state: "closed".into(),
        closed_at: second(30),
        locked: true,
        labels: vec![Label { id: 1, name: "bug".into() }, Label { id: 0, name: "none".into() }],
        assignees: vec![user(2, "ann"), user(2, "ann"), user(0, "nobody")],
        milestone: Some(Milestone { id: 4, number: 9, title: "Go1".into(), state: "open".into() }),
        pull_request: true,
        created_at: second(11),
        ..new_issue()
    };
    let expected = pb::GithubIssueMutation {
        user: Some(pb::GithubUser { id: 100, login: "bot".into() }),
        body_change: Some(pb::StringChange::default()),
        milestone_id: 4,
        milestone_num: 9,
        milestone_title: "Go1".into(),
        assignees: vec![pb::GithubUser { id: 2, login: "ann".into() }],
        closed: Some(pb::BoolChange { val: true }),
        closed_at: at(30),
        locked: Some(pb::BoolChange { val: true }),
        add_label: vec![pb::GithubLabel { id: 1, name: "bug".into() }],
        pull_request: true,
        ..blank(3)
    };
    assert_eq!(differ::issue(&known, &repo(), &now), Some(expected.clone()));
    // And back, of which an assignee's new name is a part, the flag of pull requests none.
    let known = load(&[log[0].clone(), of_issue(expected)]);
    let back = Issue { assignees: vec![user(2, "anna")], ..new_issue() };
    let expected = pb::GithubIssueMutation {
        user: Some(pb::GithubUser { id: 100, login: "gopherbot".into() }),
        body_change: Some(pb::StringChange { val: "b".into() }),
        no_milestone: true,
        assignees: vec![pb::GithubUser { id: 2, login: "anna".into() }],
        closed: Some(pb::BoolChange { val: false }),
        locked: Some(pb::BoolChange { val: false }),
        remove_label: vec![1],
        ..blank(3)
    };
    assert_eq!(differ::issue(&known, &repo(), &back), Some(expected));
}

#[test]
fn what_is_gone_is_told_once_and_comes_back() {
    let new = of_issue(differ::issue(&load(&[]), &repo(), &new_issue()).unwrap());
    let gone = differ::gone(&load(std::slice::from_ref(&new)), &repo(), 3).unwrap();
    assert_eq!(gone, pb::GithubIssueMutation { not_exist: true, ..blank(3) });
    assert!(differ::gone(&load(&[]), &repo(), 4).is_some(), "a number without an issue is told, too");
    let log = [new, of_issue(gone)];
    let known = load(&log);
    assert_eq!(differ::gone(&known, &repo(), 3), None);
    // Nothing of it changed, and it is there again.
    assert_eq!(differ::issue(&known, &repo(), &new_issue()), Some(blank(3)));
    // One of which nothing else was ever known has all of it, when it was made too.
    let known = load(&[of_issue(pb::GithubIssueMutation { not_exist: true, ..blank(3) })]);
    let back = differ::issue(&known, &repo(), &new_issue()).unwrap();
    assert_eq!((back.created, back.id), (at(10), 0));
}

#[test]
fn labels_and_milestones_are_told_where_they_changed() {
    let labels = [Label { id: 1, name: "bug".into() }, Label { id: 0, name: "x".into() }];
    let milestone =
        |title: &str, state: &str| Milestone { id: 4, number: 9, title: title.into(), state: state.into() };
    let first = differ::labels(&load(&[]), &repo(), &labels).unwrap();
    assert_eq!(first.labels, [pb::GithubLabel { id: 1, name: "bug".into() }]);
    let second = differ::milestones(&load(&[]), &repo(), &[milestone("Go1", "open")]).unwrap();
    let expected = pb::GithubMilestone {
        id: 4,
        title: "Go1".into(),
        closed: Some(pb::BoolChange { val: false }),
        number: 9,
    };
    assert_eq!(second.milestones, [expected]);
    let known = load(&[of_github(first), of_github(second)]);
    assert_eq!(differ::labels(&known, &repo(), &labels), None);
    assert_eq!(differ::milestones(&known, &repo(), &[milestone("Go1", "open")]), None);
    let closed = differ::milestones(&known, &repo(), &[milestone("Go1", "closed")]).unwrap();
    let expected = pb::GithubMilestone {
        id: 4,
        closed: Some(pb::BoolChange { val: true }),
        ..pb::GithubMilestone::default()
    };
    assert_eq!(closed.milestones, [expected]);
    let renamed = differ::labels(&known, &repo(), &[Label { id: 1, name: "Bug".into() }]).unwrap();
    assert_eq!(renamed.labels, [pb::GithubLabel { id: 1, name: "Bug".into() }]);
}

#[test]
fn comments_events_and_reviews_are_told_once() {
    let api = Comment {
        id: 8,
        user: user(1, "ann"),
        body: "first".into(),
        created_at: second(5).unwrap(),
        updated_at: second(5).unwrap(),
    };
    let event = json!({"id": 6, "event": "closed", "created_at": "1970-01-01T00:00:09Z", "new": [1]});
    let review = |state: &str| json!({"id": 7, "state": state, "body": "", "user": {"id": 3}, "extra": "<"});
    let nothing = load(&[]);
    let told = pb::GithubIssueMutation {
        comment: vec![differ::comment(&nothing, None, &api).unwrap()],
        event: vec![differ::event(&nothing, None, &event).unwrap()],
        review: vec![differ::review(&nothing, None, &review("APPROVED")).unwrap()],
        ..blank(3)
    };
    assert_eq!(told.comment[0].user, Some(pb::GithubUser { id: 1, login: "ann".into() }));
    let known = load(&[of_issue(told)]);
    let at_issue = known.github.issue(known.github.repo(b"golang", b"go").unwrap(), 3);
    assert!(at_issue.is_some());
    assert_eq!(differ::comment(&known, at_issue, &api), None);
    assert_eq!(differ::event(&known, at_issue, &event), None);
    assert_eq!(differ::review(&known, at_issue, &review("APPROVED")), None);
    assert_eq!(differ::review(&known, at_issue, &review("DISMISSED")).unwrap().state, "DISMISSED");
    // The log has no word for a comment without one.
    assert_eq!(differ::comment(&known, at_issue, &Comment { body: String::new(), ..api.clone() }), None);
    let edited = Comment { body: "second".into(), updated_at: second(6).unwrap(), ..api };
    let expected = pb::GithubIssueCommentMutation {
        id: 8,
        body: "second".into(),
        updated: at(6),
        ..pb::GithubIssueCommentMutation::default()
    };
    assert_eq!(differ::comment(&known, at_issue, &edited), Some(expected));
}

prop_compose! {
    fn any_issue()(
        texts in ["[ab]{1,2}", "[ab]{0,2}"], closed in any::<bool>(), locked in any::<bool>(), author in 1..4_i64,
        labels in prop::collection::btree_set(1..4_i64, 0..3), assignees in prop::collection::btree_set(1..4_i64, 0..3),
        milestone in prop::option::of(1..3_i64), updated in 0..3_i64, names in any::<bool>(),
    ) -> Issue {
        let login = |id: i64| user(id, &format!("{}{id}", if names { "u" } else { "v" }));
        let [title, body] = texts;
        Issue {
            id: 77, number: 3, user: Some(login(author)), title, body, locked,
            state: if closed { "closed" } else { "open" }.into(),
            labels: labels.into_iter().map(|id| Label { id, name: format!("l{id}") }).collect(),
            assignees: assignees.into_iter().map(login).collect(),
            milestone: milestone.map(|id| Milestone { id, number: id, title: format!("m{id}"), state: "open".into() }),
            created_at: second(5), updated_at: second(updated), ..Issue::default()
        }
    }
}

/// The line of the issue, assignees in order of their ids: how they stand depends on who came first.
fn line(log: &[pb::Mutation]) -> String {
    let text = dump(log, Rules::Ours);
    let line = text.lines().find(|line| line.starts_with("I\t")).unwrap();
    let mut fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
    let mut assignees: Vec<&str> = fields[14].split(',').collect();
    assignees.sort_unstable();
    fields[14] = assignees.join(",");
    fields.join("\t")
}

proptest! {
    #![proptest_config(cases(40))]
    #[test]
    fn after_any_changes_the_corpus_says_what_github_says(answers in prop::collection::vec((any_issue(), any::<bool>()), 1..5)) {
        let mut log = Vec::new();
        for (answer, gone) in &answers {
            if *gone {
                log.extend(differ::gone(&load(&log), &repo(), 3).map(of_issue));
            }
            log.extend(differ::issue(&load(&log), &repo(), answer).map(of_issue));
            prop_assert_eq!(differ::issue(&load(&log), &repo(), answer), None);
        }
        let (last, _) = answers.last().unwrap();
        let fresh = [of_issue(differ::issue(&load(&[]), &repo(), last).unwrap())];
        let id = |line: String, id: &str| line.replacen(&format!("\t0\t{id}\t5\t"), "\t0\t*\t5\t", 1);
        let known = if answers[0].1 { "0" } else { "77" };
        prop_assert_eq!(id(line(&log), known), id(line(&fresh), "77"));
    }
}
