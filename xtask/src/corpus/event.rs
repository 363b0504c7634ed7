//! What happens to an issue, of all the kinds that a leader has fields for, and a few more.

use maintpb::{
    BoolChange, GithubCommit, GithubDismissedReviewEvent, GithubIssueEvent, GithubIssueMutation, GithubLabel,
    GithubMilestone, GithubTeam,
};

use super::day::stamp;
use super::issue::Issue;
use super::world::World;

/// Kinds of which nothing more is said than who and when.
const PLAIN: &[&str] = &[
    "cross-referenced",
    "head_ref_deleted",
    "head_ref_force_pushed",
    "comment_deleted",
    "pinned",
    "moved_columns_in_project",
];

/// Something happens; what it changes of the issue is put into `change` as well.
pub fn make(
    world: &mut World,
    issue: &mut Issue,
    at: u64,
    change: &mut GithubIssueMutation,
) -> GithubIssueEvent {
    let actor = world.people.anybody(&mut world.random);
    let mut event = GithubIssueEvent {
        id: world.id(),
        actor_id: world.people.get(actor).id,
        created: stamp(at),
        ..GithubIssueEvent::default()
    };
    if world.random.one_in(5000) {
        event.other_json =
            format!("{{\"lock_reason\":\"{}\"}}", world.words.name(&mut world.random)).into_bytes();
    }
    let kind = world.random.below(100);
    event.event_type = match kind {
        0..22 => labels(world, issue, change, &mut event),
        22..30 if !world.repos[issue.repo].milestones.is_empty() => {
            milestones(world, issue, change, &mut event)
        }
        22..36 => assignees(world, issue, change, &mut event),
        36..44 => closed(world, issue, at, change, &mut event),
        44..46 => renamed(world, issue, change, &mut event),
        46..48 => {
            issue.locked = !issue.locked;
            change.locked = Some(BoolChange { val: issue.locked });
            if issue.locked { "locked" } else { "unlocked" }
        }
        48..60 => {
            event.commit = Some(commit(world));
            "referenced"
        }
        60..74 => "mentioned",
        74..96 if issue.pull && kind >= 84 => reviews(world, issue, &mut event),
        74..96 => "subscribed",
        _ => world.random.pick(PLAIN),
    }
    .into();
    event
}

fn labels(
    world: &mut World,
    issue: &mut Issue,
    change: &mut GithubIssueMutation,
    event: &mut GithubIssueEvent,
) -> &'static str {
    let repo = &world.repos[issue.repo];
    if !issue.labels.is_empty() && world.random.one_in(3) {
        let label = issue.labels.swap_remove(world.random.index(issue.labels.len()));
        let label = &repo.labels[label];
        change.add_label.retain(|added| added.id != label.id);
        change.remove_label.push(label.id);
        event.label = Some(GithubLabel { id: 0, name: label.name.clone() });
        return "unlabeled";
    }
    let index = world.random.skewed(repo.labels.len());
    let label = &repo.labels[index];
    event.label = Some(GithubLabel { id: 0, name: label.name.clone() });
    if !issue.labels.contains(&index) {
        issue.labels.push(index);
        change.remove_label.retain(|removed| *removed != label.id);
        change.add_label.push(label.clone());
    }
    "labeled"
}

fn milestones(
    world: &mut World,
    issue: &mut Issue,
    change: &mut GithubIssueMutation,
    event: &mut GithubIssueEvent,
) -> &'static str {
    let repo = &world.repos[issue.repo];
    let titled = |title: &str| Some(GithubMilestone { title: title.into(), ..GithubMilestone::default() });
    if let Some(old) = issue.milestone.take() {
        event.milestone = titled(&repo.milestones[old].title);
        change.no_milestone = true;
        (change.milestone_id, change.milestone_num, change.milestone_title) = (0, 0, String::new());
        return "demilestoned";
    }
    let new = world.random.index(repo.milestones.len());
    let milestone = &repo.milestones[new];
    issue.milestone = Some(new);
    event.milestone = titled(&milestone.title);
    change.no_milestone = false;
    (change.milestone_id, change.milestone_num) = (milestone.id, milestone.number);
    change.milestone_title.clone_from(&milestone.title);
    "milestoned"
}

fn assignees(
    world: &mut World,
    issue: &mut Issue,
    change: &mut GithubIssueMutation,
    event: &mut GithubIssueEvent,
) -> &'static str {
    event.assigner_id = event.actor_id;
    if !issue.assignees.is_empty() && world.random.one_in(2) {
        let who = issue.assignees.remove(world.random.index(issue.assignees.len()));
        let id = world.people.get(who).id;
        change.assignees.retain(|added| added.id != id);
        change.deleted_assignees.push(id);
        event.assignee_id = id;
        return "unassigned";
    }
    let who = world.people.author(&mut world.random);
    let person = world.people.get(who);
    event.assignee_id = person.id;
    if !issue.assignees.contains(&who) {
        issue.assignees.push(who);
        change.deleted_assignees.retain(|id| *id != person.id);
        change.assignees.push(person.user());
    }
    "assigned"
}

fn closed(
    world: &mut World,
    issue: &mut Issue,
    at: u64,
    change: &mut GithubIssueMutation,
    event: &mut GithubIssueEvent,
) -> &'static str {
    issue.closed = !issue.closed;
    change.closed = Some(BoolChange { val: issue.closed });
    if !issue.closed {
        return "reopened";
    }
    change.closed_at = stamp(at);
    if world.random.one_in(3) {
        event.commit = Some(commit(world));
    }
    if world.random.one_in(300) {
        let who = world.people.author(&mut world.random);
        change.closed_by = Some(world.people.get(who).user());
    }
    "closed"
}

fn renamed(
    world: &mut World,
    issue: &mut Issue,
    change: &mut GithubIssueMutation,
    event: &mut GithubIssueEvent,
) -> &'static str {
    let mut title = String::new();
    let length = 20 + world.random.below(40) as usize;
    world.words.line(&mut world.random, &mut title, length);
    event.rename_to.clone_from(&title);
    change.title.clone_from(&title);
    event.rename_from = std::mem::replace(&mut issue.title, title);
    "renamed"
}

/// A commit of the first project; some are of somebody else's copy, of which nothing is known.
fn commit(world: &mut World) -> GithubCommit {
    let recent = &world.projects[0].recent;
    if recent.is_empty() || world.random.one_in(10) {
        return GithubCommit { commit_id: world.random.hash(), ..GithubCommit::default() };
    }
    let commit_id = recent[world.random.index(recent.len())].clone();
    GithubCommit { owner: "golang".into(), repo: "go".into(), commit_id }
}

fn reviews(world: &mut World, issue: &Issue, event: &mut GithubIssueEvent) -> &'static str {
    if let Some(&review_id) = issue.reviews.last()
        && world.random.one_in(6)
    {
        let mut dismissal_message = String::new();
        world.words.line(&mut world.random, &mut dismissal_message, 30);
        let state = world.random.pick(&["commented", "approved", "changes_requested"]).into();
        event.dismissed_review = Some(GithubDismissedReviewEvent { review_id, dismissal_message, state });
        return "review_dismissed";
    }
    event.review_requester_id = event.actor_id;
    if world.random.one_in(5) {
        let id = 1 + i64::from(world.random.below(6));
        event.team_reviewer = Some(GithubTeam { id, slug: format!("team-{id}") });
    } else {
        let who = world.people.author(&mut world.random);
        event.reviewer_id = world.people.get(who).id;
    }
    if world.random.one_in(8) { "review_request_removed" } else { "review_requested" }
}
