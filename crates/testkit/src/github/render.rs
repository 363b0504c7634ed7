//! The state as GitHub writes it.

use serde_json::{Map, Value, json};

use super::world::{Comment, Event, Issue, Milestone, OWNER, REPO, Review, World};

const API: &str = "https://api.github.com";
const WEB: &str = "https://github.com";

pub(super) fn repo_url() -> String {
    format!("{API}/repos/{OWNER}/{REPO}")
}

pub(super) fn time(second: i64) -> String {
    jiff::Timestamp::from_second(second).unwrap_or_default().to_string()
}

fn node(kind: &str, id: i64) -> String {
    format!("{kind}_{id}")
}

pub(super) fn user(id: i64, login: &str) -> Value {
    let url = format!("{API}/users/{login}");
    let mut user = json!({
        "login": login, "id": id, "node_id": node("U", id), "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}"),
        "gravatar_id": "", "url": url, "html_url": format!("{WEB}/{login}"), "type": "User", "site_admin": false,
    });
    for (name, tail) in [
        ("followers", "followers"),
        ("following", "following{/other_user}"),
        ("gists", "gists{/gist_id}"),
        ("starred", "starred{/owner}{/repo}"),
        ("subscriptions", "subscriptions"),
        ("organizations", "orgs"),
        ("repos", "repos"),
        ("events", "events{/privacy}"),
        ("received_events", "received_events"),
    ] {
        user[format!("{name}_url")] = format!("{url}/{tail}").into();
    }
    user
}

pub(super) fn label(id: i64, name: &str) -> Value {
    json!({
        "id": id, "node_id": node("LA", id), "url": format!("{}/labels/{id}", repo_url()), "name": name, "color": "ededed",
        "default": false, "description": null,
    })
}

pub(super) fn repository(owner: &str, name: &str) -> Value {
    let (full, id) = (format!("{owner}/{name}"), if name == REPO { 23_096_959 } else { 2 });
    let url = format!("{API}/repos/{full}");
    let mut repo = json!({
        "id": id, "node_id": node("R", id), "name": name, "full_name": full, "private": false, "owner": user(4_314_092, owner),
        "html_url": format!("{WEB}/{full}"), "description": null, "fork": false, "url": url, "homepage": null,
        "created_at": time(1_408_400_000), "updated_at": time(1_500_000_000), "pushed_at": time(1_500_000_000),
        "git_url": format!("git://github.com/{full}.git"), "ssh_url": format!("git@github.com:{full}.git"),
        "clone_url": format!("{WEB}/{full}.git"), "svn_url": format!("{WEB}/{full}"), "mirror_url": null, "language": "Go",
        "license": null, "size": 0, "topics": [], "visibility": "public", "default_branch": "master", "custom_properties": {},
    });
    for count in [
        "stargazers_count",
        "watchers_count",
        "forks_count",
        "open_issues_count",
        "forks",
        "open_issues",
        "watchers",
    ] {
        repo[count] = 0.into();
    }
    for flag in [
        "has_issues",
        "has_projects",
        "has_downloads",
        "has_wiki",
        "has_pages",
        "archived",
        "disabled",
        "is_template",
    ] {
        repo[flag] = false.into();
    }
    repo["web_commit_signoff_required"] = false.into();
    for (name, tail) in [
        ("forks", "forks"),
        ("keys", "keys{/key_id}"),
        ("collaborators", "collaborators{/collaborator}"),
        ("teams", "teams"),
        ("hooks", "hooks"),
        ("issue_events", "issues/events{/number}"),
        ("events", "events"),
        ("assignees", "assignees{/user}"),
        ("branches", "branches{/branch}"),
        ("tags", "tags"),
        ("blobs", "git/blobs{/sha}"),
        ("git_tags", "git/tags{/sha}"),
        ("git_refs", "git/refs{/sha}"),
        ("trees", "git/trees{/sha}"),
        ("statuses", "statuses/{sha}"),
        ("languages", "languages"),
        ("stargazers", "stargazers"),
        ("contributors", "contributors"),
        ("subscribers", "subscribers"),
        ("subscription", "subscription"),
        ("commits", "commits{/sha}"),
        ("git_commits", "git/commits{/sha}"),
        ("comments", "comments{/number}"),
        ("issue_comment", "issues/comments{/number}"),
        ("contents", "contents/{+path}"),
        ("compare", "compare/{base}...{head}"),
        ("merges", "merges"),
        ("archive", "{archive_format}{/ref}"),
        ("downloads", "downloads"),
        ("issues", "issues{/number}"),
        ("pulls", "pulls{/number}"),
        ("milestones", "milestones{/number}"),
        ("notifications", "notifications{?since,all,participating}"),
        ("labels", "labels{/name}"),
        ("releases", "releases{/id}"),
        ("deployments", "deployments"),
    ] {
        repo[format!("{name}_url")] = format!("{url}/{tail}").into();
    }
    repo
}

fn reactions(of: &str) -> Value {
    let mut reactions = json!({"url": format!("{of}/reactions"), "total_count": 0});
    for kind in ["+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"] {
        reactions[kind] = 0.into();
    }
    reactions
}

impl World {
    pub(super) fn user_json(&self, id: i64) -> Value {
        self.users.get(&id).map_or(Value::Null, |login| user(id, login))
    }

    pub(super) fn label_json(&self, id: i64) -> Value {
        label(id, self.labels.get(&id).map_or("", String::as_str))
    }

    pub(super) fn milestone_json(&self, milestone: &Milestone) -> Value {
        let url = format!("{}/milestones/{}", repo_url(), milestone.number);
        json!({
            "url": url, "html_url": format!("{WEB}/{OWNER}/{REPO}/milestone/{}", milestone.number),
            "labels_url": format!("{url}/labels"), "id": milestone.id, "node_id": node("MI", milestone.id),
            "number": milestone.number, "title": milestone.title, "description": null, "creator": self.user_json(1),
            "open_issues": 0, "closed_issues": 0, "state": if milestone.closed_at.is_some() { "closed" } else { "open" },
            "created_at": time(milestone.created), "updated_at": time(milestone.created), "due_on": null,
            "closed_at": milestone.closed_at.map(time),
        })
    }

    /// As lists and webhooks have it.
    pub(super) fn issue_json(&self, issue: &Issue, repo: &str) -> Value {
        let repo_url = format!("{API}/repos/{OWNER}/{repo}");
        let url = format!("{repo_url}/issues/{}", issue.number);
        let kind = if issue.pull { "pull" } else { "issues" };
        let html = format!("{WEB}/{OWNER}/{repo}/{kind}/{}", issue.number);
        let milestone = issue.milestone.and_then(|number| self.milestones.get(&number));
        let assignees: Vec<Value> = issue.assignees.iter().map(|id| self.user_json(*id)).collect();
        let mut json = json!({
            "url": url, "repository_url": repo_url, "labels_url": format!("{url}/labels{{/name}}"),
            "comments_url": format!("{url}/comments"), "events_url": format!("{url}/events"), "html_url": html,
            "id": issue.id, "node_id": node("I", issue.id), "number": issue.number, "title": issue.title,
            "user": self.user_json(issue.user), "state": if issue.closed_at.is_some() { "closed" } else { "open" },
            "labels": issue.labels.iter().map(|id| self.label_json(*id)).collect::<Vec<_>>(),
            "locked": issue.locked, "active_lock_reason": issue.locked.then_some("spam"),
            "assignee": assignees.first(), "assignees": assignees,
            "milestone": milestone.map(|milestone| self.milestone_json(milestone)), "comments": issue.comments.len(),
            "created_at": time(issue.created), "updated_at": time(issue.updated), "closed_at": issue.closed_at.map(time),
            "author_association": "MEMBER", "reactions": reactions(&url), "timeline_url": format!("{url}/timeline"),
            "body": if issue.body.is_empty() { Value::Null } else { issue.body.clone().into() },
            "performed_via_github_app": null, "state_reason": issue.closed_at.map(|_| "completed"),
        });
        if issue.pull {
            let pull = format!("{repo_url}/pulls/{}", issue.number);
            json["draft"] = false.into();
            json["pull_request"] = json!({
                "url": pull, "html_url": html, "diff_url": format!("{html}.diff"), "patch_url": format!("{html}.patch"),
            });
        }
        json
    }

    /// As its own address has it.
    pub(super) fn single_json(&self, issue: &Issue) -> Value {
        let mut json = self.issue_json(issue, REPO);
        json["closed_by"] = self.user_json(issue.closed_by);
        json
    }

    pub(super) fn comment_json(&self, number: i32, id: i64) -> Value {
        let found =
            self.issues.get(&number).and_then(|issue| issue.comments.iter().find(|comment| comment.id == id));
        found.map_or(Value::Null, |comment| self.one_comment(number, comment))
    }

    pub(super) fn one_comment(&self, number: i32, comment: &Comment) -> Value {
        let url = format!("{}/issues/comments/{}", repo_url(), comment.id);
        json!({
            "url": url, "html_url": format!("{WEB}/{OWNER}/{REPO}/issues/{number}#issuecomment-{}", comment.id),
            "issue_url": format!("{}/issues/{number}", repo_url()), "id": comment.id, "node_id": node("IC", comment.id),
            "user": self.user_json(comment.user), "created_at": time(comment.created), "updated_at": time(comment.updated),
            "author_association": "MEMBER", "body": comment.body, "reactions": reactions(&url), "performed_via_github_app": null,
        })
    }

    pub(super) fn event_json(&self, event: &Event) -> Value {
        let mut json = json!({
            "id": event.id, "node_id": node("E", event.id), "url": format!("{}/issues/events/{}", repo_url(), event.id),
            "actor": self.user_json(event.actor), "event": event.kind, "commit_id": null, "commit_url": null,
            "created_at": time(event.created), "performed_via_github_app": null,
        });
        if let Value::Object(fields) = &mut json {
            let more: Map<String, Value> = event.more.clone();
            fields.extend(more);
        }
        json
    }

    pub(super) fn review_json(&self, number: i32, review: &Review) -> Value {
        let pull = format!("{}/pulls/{number}", repo_url());
        let html = format!("{WEB}/{OWNER}/{REPO}/pull/{number}#pullrequestreview-{}", review.id);
        json!({
            "id": review.id, "node_id": node("PRR", review.id), "user": self.user_json(review.user), "body": review.body,
            "state": review.state, "html_url": html, "pull_request_url": pull, "author_association": "MEMBER",
            "_links": {"html": {"href": html}, "pull_request": {"href": pull}}, "submitted_at": time(review.submitted),
            "commit_id": self.head_of(number),
        })
    }
}
