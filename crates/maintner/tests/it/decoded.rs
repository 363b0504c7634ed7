//! The cursor reads what prost reads.

use maintner::mutation::{self, Message as _, elements, numbers};
use maintpb as pb;
use proptest::prelude::*;
use prost::Message;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-zé\n]{1,12}"]
}

fn stamp() -> impl Strategy<Value = Option<pb::Timestamp>> {
    proptest::option::of(
        (any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| pb::Timestamp { seconds, nanos }),
    )
}

fn user() -> impl Strategy<Value = pb::GithubUser> {
    (any::<i64>(), text()).prop_map(|(id, login)| pb::GithubUser { id, login })
}

fn label() -> impl Strategy<Value = pb::GithubLabel> {
    (any::<i64>(), text()).prop_map(|(id, name)| pb::GithubLabel { id, name })
}

fn status() -> impl Strategy<Value = Option<pb::GithubIssueSyncStatus>> {
    proptest::option::of(stamp().prop_map(|server_date| pb::GithubIssueSyncStatus { server_date }))
}

fn change() -> impl Strategy<Value = Option<pb::BoolChange>> {
    proptest::option::of(any::<bool>().prop_map(|val| pb::BoolChange { val }))
}

prop_compose! {
    fn comment()(id in any::<i64>(), user in proptest::option::of(user()), body in text(), created in stamp(), updated in stamp())
        -> pb::GithubIssueCommentMutation {
        pb::GithubIssueCommentMutation { id, user, body, created, updated }
    }
}

prop_compose! {
    fn event()(
        ids in any::<[i64; 6]>(), texts in [text(), text(), text()], created in stamp(), label in proptest::option::of(label()),
        milestone in proptest::option::of((any::<i64>(), text(), change(), any::<i64>())),
        commit in proptest::option::of([text(), text(), text()]), other_json in proptest::collection::vec(any::<u8>(), 0..5),
        dismissed in proptest::option::of((any::<i64>(), text(), text())), team in proptest::option::of((any::<i64>(), text())),
    ) -> pb::GithubIssueEvent {
        let [id, actor_id, assignee_id, assigner_id, reviewer_id, review_requester_id] = ids;
        let [event_type, rename_from, rename_to] = texts;
        pb::GithubIssueEvent {
            id, event_type, actor_id, created, label, assignee_id, assigner_id, other_json, rename_from, rename_to,
            reviewer_id, review_requester_id,
            milestone: milestone.map(|(id, title, closed, number)| pb::GithubMilestone { id, title, closed, number }),
            commit: commit.map(|[owner, repo, commit_id]| pb::GithubCommit { owner, repo, commit_id }),
            dismissed_review: dismissed.map(|(review_id, dismissal_message, state)| pb::GithubDismissedReviewEvent {
                review_id, dismissal_message, state,
            }),
            team_reviewer: team.map(|(id, slug)| pb::GithubTeam { id, slug }),
        }
    }
}

prop_compose! {
    fn issue()(
        place in (text(), text(), any::<i32>(), any::<i64>()), people in (proptest::option::of(user()), proptest::option::of(user())),
        stamps in [stamp(), stamp(), stamp()], texts in [text(), text(), text()], flags in any::<[bool; 3]>(),
        statuses in [status(), status(), status()], milestone in any::<[i64; 2]>(), changes in [change(), change()],
        body_change in proptest::option::of(text()), comment in proptest::collection::vec(comment(), 0..3),
        event in proptest::collection::vec(event(), 0..3), assignees in proptest::collection::vec(user(), 0..3),
        removed in proptest::collection::vec(any::<i64>(), 0..3), add_label in proptest::collection::vec(label(), 0..3),
    ) -> pb::GithubIssueMutation {
        let (owner, repo, number, id) = place;
        let [created, updated, closed_at] = stamps;
        let [body, title, milestone_title] = texts;
        let [not_exist, no_milestone, pull_request] = flags;
        let [comment_status, event_status, review_status] = statuses;
        let [milestone_id, milestone_num] = milestone;
        let [closed, locked] = changes;
        pb::GithubIssueMutation {
            owner, repo, number, id, user: people.0, closed_by: people.1, created, updated, closed_at, body, title,
            milestone_title, not_exist, no_milestone, pull_request, comment_status, event_status, review_status, milestone_id,
            milestone_num, closed, locked, body_change: body_change.map(|val| pb::StringChange { val }), comment, event,
            assignees, deleted_assignees: removed.clone(), remove_label: removed, add_label, review: Vec::new(),
        }
    }
}

fn stamped(read: Option<&mutation::Timestamp<'_>>) -> Option<pb::Timestamp> {
    read.map(|stamp| pb::Timestamp { seconds: stamp.seconds, nanos: stamp.nanos })
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn user_of(user: &mutation::User<'_>) -> pb::GithubUser {
    pb::GithubUser { id: user.id, login: string(user.login) }
}

fn label_of(label: &mutation::Label<'_>) -> pb::GithubLabel {
    pb::GithubLabel { id: label.id, name: string(label.name) }
}

fn change_of(change: Option<&mutation::BoolChange<'_>>) -> Option<pb::BoolChange> {
    change.map(|change| pb::BoolChange { val: change.val })
}

fn status_of(status: Option<&mutation::SyncStatus<'_>>) -> Option<pb::GithubIssueSyncStatus> {
    status.map(|status| pb::GithubIssueSyncStatus { server_date: stamped(status.server_date.as_ref()) })
}

fn comment_of(comment: &mutation::Comment<'_>) -> pb::GithubIssueCommentMutation {
    pb::GithubIssueCommentMutation {
        id: comment.id,
        user: comment.user.as_ref().map(user_of),
        body: string(comment.body),
        created: stamped(comment.created.as_ref()),
        updated: stamped(comment.updated.as_ref()),
    }
}

fn event_of(event: &mutation::Event<'_>) -> pb::GithubIssueEvent {
    pb::GithubIssueEvent {
        id: event.id,
        event_type: string(event.event_type),
        actor_id: event.actor_id,
        created: stamped(event.created.as_ref()),
        label: event.label.as_ref().map(label_of),
        milestone: event.milestone.as_ref().map(|milestone| pb::GithubMilestone {
            id: milestone.id,
            title: string(milestone.title),
            closed: change_of(milestone.closed.as_ref()),
            number: milestone.number,
        }),
        assignee_id: event.assignee_id,
        assigner_id: event.assigner_id,
        commit: event.commit.as_ref().map(|commit| pb::GithubCommit {
            owner: string(commit.owner),
            repo: string(commit.repo),
            commit_id: string(commit.commit_id),
        }),
        other_json: event.other_json.to_vec(),
        rename_from: string(event.rename_from),
        rename_to: string(event.rename_to),
        reviewer_id: event.reviewer_id,
        review_requester_id: event.review_requester_id,
        dismissed_review: event.dismissed_review.as_ref().map(|review| pb::GithubDismissedReviewEvent {
            review_id: review.review_id,
            dismissal_message: string(review.dismissal_message),
            state: string(review.state),
        }),
        team_reviewer: event
            .team_reviewer
            .as_ref()
            .map(|team| pb::GithubTeam { id: team.id, slug: string(team.slug) }),
    }
}

fn issue_of(issue: &mutation::Issue<'_>) -> pb::GithubIssueMutation {
    let ids = |number| {
        let mut ids = Vec::new();
        numbers(issue.bytes, number, |id| ids.push(id)).unwrap();
        ids
    };
    pb::GithubIssueMutation {
        owner: string(issue.owner),
        repo: string(issue.repo),
        number: issue.number,
        id: issue.id,
        user: issue.user.as_ref().map(user_of),
        closed_by: issue.closed_by.as_ref().map(user_of),
        created: stamped(issue.created.as_ref()),
        updated: stamped(issue.updated.as_ref()),
        closed_at: stamped(issue.closed_at.as_ref()),
        body: string(issue.body),
        title: string(issue.title),
        milestone_title: string(issue.milestone_title),
        not_exist: issue.not_exist,
        no_milestone: issue.no_milestone,
        pull_request: issue.pull_request,
        comment_status: status_of(issue.comment_status.as_ref()),
        event_status: status_of(issue.event_status.as_ref()),
        review_status: status_of(issue.review_status.as_ref()),
        milestone_id: issue.milestone_id,
        milestone_num: issue.milestone_num,
        closed: change_of(issue.closed.as_ref()),
        locked: change_of(issue.locked.as_ref()),
        body_change: issue.body_change.as_ref().map(|change| pb::StringChange { val: string(change.val) }),
        comment: elements(issue.bytes, mutation::Issue::COMMENTS)
            .map(|one| comment_of(&one.unwrap()))
            .collect(),
        event: elements(issue.bytes, mutation::Issue::EVENTS).map(|one| event_of(&one.unwrap())).collect(),
        assignees: elements(issue.bytes, mutation::Issue::ASSIGNEES)
            .map(|one| user_of(&one.unwrap()))
            .collect(),
        deleted_assignees: ids(mutation::Issue::DELETED_ASSIGNEES),
        remove_label: ids(mutation::Issue::REMOVE_LABEL),
        add_label: elements(issue.bytes, mutation::Issue::ADD_LABEL)
            .map(|one| label_of(&one.unwrap()))
            .collect(),
        review: Vec::new(),
    }
}

proptest! {
    #[test]
    fn issues_with_all_that_is_in_them(issue in issue()) {
        let bytes = issue.encode_to_vec();
        prop_assert_eq!(issue_of(&mutation::Issue::of(&bytes).unwrap()), issue);
    }

    /// Messages that are given in two parts are one, in both.
    #[test]
    fn parts_are_merged(one in event(), other in event()) {
        let bytes = [one.encode_to_vec(), other.encode_to_vec()].concat();
        let want = pb::GithubIssueEvent::decode(&bytes[..]).unwrap();
        prop_assert_eq!(event_of(&mutation::Event::of(&bytes).unwrap()), want);
    }

    /// What the cursor refuses, prost refuses: nothing that can be read is lost.
    #[test]
    fn nothing_is_refused_that_can_be_read(issue in issue(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = issue.encode_to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        if pb::GithubIssueMutation::decode(&bytes[..]).is_ok() {
            prop_assert!(mutation::Issue::of(&bytes).is_ok());
        }
    }
}
