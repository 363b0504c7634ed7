//! Heads of pull requests, merge queues, and what apps and others post of commits.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::render::{self, repo_url, time};
use super::serve::{Asked, Said};
use super::world::{Issue, OWNER, REPO, World};

/// The most annotations of one request.
const ANNOTATIONS: usize = 50;

/// Who posts.
const BOT: i64 = 5;

/// What is kept of commits.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulls {
    /// By number.
    heads: BTreeMap<i32, Head>,
    /// Branches of merge queues, by their whole names.
    groups: BTreeMap<String, String>,
    checks: Vec<Value>,
    /// Beside lines, with the check run's id.
    notes: Vec<(i64, Value)>,
    statuses: Vec<(String, Value)>,
    /// Comments on commits.
    said: Vec<Value>,
}

#[derive(Debug, Clone)]
struct Head {
    commit: String,
    base: String,
    fork: bool,
}

impl World {
    /// Pushes a commit to a pull request that is to go to a branch, from a fork or from the repository itself.
    pub fn push(&mut self, now: i64, number: i32, commit: &str, base: &str, fork: bool) {
        let head = Head { commit: commit.to_owned(), base: base.to_owned(), fork };
        self.pulls.heads.insert(number, head);
        if let Some(issue) = self.issues.get_mut(&number) {
            issue.updated = now;
        }
    }

    /// Puts a pull request in the merge queue of its branch, as this commit, or takes it out.
    pub fn queue(&mut self, number: i32, commit: Option<&str>) {
        let end = format!("/pr-{number}-{}", "0".repeat(40));
        self.pulls.groups.retain(|name, _| !name.ends_with(&end));
        let base = self.pulls.heads.get(&number).map_or("main", |head| head.base.as_str());
        if let Some(commit) = commit {
            let name = format!("refs/heads/gh-readonly-queue/{base}{end}");
            self.pulls.groups.insert(name, commit.to_owned());
        }
    }

    /// Takes a comment away, the n-th.
    pub fn remove_comment(&mut self, now: i64, number: i32, nth: usize) {
        if let Some(issue) = self.issues.get_mut(&number).filter(|issue| nth < issue.comments.len()) {
            issue.comments.remove(nth);
            issue.updated = now;
        }
    }

    /// The check runs of a commit, in the order in which they were made.
    pub fn checks(&self, commit: &str) -> Vec<Value> {
        self.pulls.checks.iter().filter(|run| run["head_sha"] == commit).cloned().collect()
    }

    /// What a commit's check runs say beside lines, in the order in which it was posted: file, first line, message.
    pub fn notes(&self, commit: &str) -> Vec<(String, i64, String)> {
        let ids: Vec<_> = self.checks(commit).iter().filter_map(|run| run["id"].as_i64()).collect();
        let text = |note: &Value, key: &str| note[key].as_str().unwrap_or_default().to_owned();
        let of = self.pulls.notes.iter().filter(|(id, _)| ids.contains(id));
        of.map(|(_, note)| {
            (text(note, "path"), note["start_line"].as_i64().unwrap_or(0), text(note, "message"))
        })
        .collect()
    }

    /// The texts of an issue's comments, in their order.
    pub fn comments(&self, number: i32) -> Vec<String> {
        let of = self.issues.get(&number).into_iter().flat_map(|issue| &issue.comments);
        of.map(|comment| comment.body.clone()).collect()
    }

    /// The states and descriptions of a commit's statuses, in the order in which they were posted.
    pub fn statuses(&self, commit: &str) -> Vec<(String, String)> {
        let text = |status: &Value, key: &str| status[key].as_str().unwrap_or_default().to_owned();
        let of = self.pulls.statuses.iter().filter(|(of, _)| of == commit);
        of.map(|(_, status)| (text(status, "state"), text(status, "description"))).collect()
    }

    /// Presses the button of a check run that there is, the newest of a commit.
    pub fn press(&mut self, now: i64, commit: &str, user: i64) {
        let Some(mut run) = self.checks(commit).pop() else { return };
        let owner = render::repository(OWNER, REPO)["owner"].clone();
        let app = json!({
            "id": 5, "slug": "ci", "node_id": "A_5", "owner": owner, "name": "CI", "description": "",
            "external_url": "https://ci.example.org", "html_url": "https://github.com/apps/ci", "created_at": time(now),
            "updated_at": time(now), "permissions": {"checks": "write"}, "events": ["check_run"],
        });
        let suite = json!({
            "id": 1, "node_id": "CS_1", "head_branch": "topic", "head_sha": commit, "status": "completed", "conclusion": "failure",
            "url": format!("{}/check-suites/1", repo_url()), "before": null, "after": null, "pull_requests": [], "app": app,
            "created_at": time(now), "updated_at": time(now),
        });
        (run["check_suite"], run["app"], run["html_url"]) = (suite, app, repo_url().into());
        let payload = json!({
            "action": "rerequested", "check_run": run, "repository": render::repository(OWNER, REPO), "sender": self.user_json(user),
        });
        self.told.push(json!({"event": "check_run", "payload": payload}));
    }

    pub(super) fn head_of(&self, number: i32) -> String {
        self.pulls.heads.get(&number).map_or_else(|| format!("{number:040x}"), |head| head.commit.clone())
    }

    fn pull_json(&self, issue: &Issue) -> Value {
        let mut pull = self.issue_json(issue, REPO);
        let url = format!("{}/pulls/{}", repo_url(), issue.number);
        let html = pull["html_url"].clone();
        let issue_url = pull["url"].clone();
        let commit = self.head_of(issue.number);
        let head = self.pulls.heads.get(&issue.number);
        let (fork, base) = head.map_or((false, "master"), |head| (head.fork, head.base.as_str()));
        let own = render::repository(OWNER, REPO);
        let mut from = own.clone();
        if fork {
            from["id"] = 77.into();
            from["fork"] = true.into();
        }
        let owner = own["owner"].clone();
        let side = |label: &str, name: &str, sha: &str, repo: &Value| json!({"label": label, "ref": name, "sha": sha, "user": owner, "repo": repo});
        let statuses = format!("{}/statuses/{commit}", repo_url());
        let more = json!({
            "url": url, "diff_url": format!("{url}.diff"), "patch_url": format!("{url}.patch"), "issue_url": issue_url,
            "commits_url": format!("{url}/commits"), "review_comments_url": format!("{url}/comments"),
            "review_comment_url": format!("{}/pulls/comments{{/number}}", repo_url()), "statuses_url": statuses,
            "merged_at": null, "merge_commit_sha": null, "auto_merge": null, "draft": false,
            "requested_reviewers": [], "requested_teams": [],
            "head": side("x:topic", "topic", &commit, &from), "base": side("x:base", base, &"0".repeat(40), &own),
            "_links": {
                "self": {"href": url}, "html": {"href": html}, "issue": {"href": issue_url}, "statuses": {"href": statuses},
                "comments": {"href": format!("{url}/comments")}, "commits": {"href": format!("{url}/commits")},
                "review_comments": {"href": format!("{url}/comments")}, "review_comment": {"href": format!("{url}/c")},
            },
        });
        if let (Value::Object(pull), Value::Object(more)) = (&mut pull, more) {
            for key in [
                "comments",
                "pull_request",
                "repository_url",
                "labels_url",
                "events_url",
                "timeline_url",
                "reactions",
            ] {
                pull.remove(key);
            }
            for key in ["performed_via_github_app", "state_reason"] {
                pull.remove(key);
            }
            pull.extend(more);
            // Of a label within a pull request it is no null.
            for label in pull.get_mut("labels").and_then(Value::as_array_mut).into_iter().flatten() {
                label["description"] = "".into();
            }
        }
        pull
    }

    /// What is asked of commits and pull requests, if it is that.
    pub(super) fn say_of_pulls(&self, asked: &Asked<'_>, rest: &[&str]) -> Option<Said> {
        Some(match rest {
            ["pulls"] => {
                let open = self
                    .issues
                    .values()
                    .filter(|issue| issue.pull && issue.gone.is_none() && issue.closed_at.is_none());
                asked.paged("/repos/{owner}/{repo}/pulls", open.map(|issue| self.pull_json(issue)).collect())
            }
            ["git", "matching-refs", name @ ..] => {
                let begin = format!("refs/{}", name.join("/"));
                let of = self.pulls.groups.iter().filter(|(name, _)| name.starts_with(&begin));
                let all = of.map(|(name, commit)| {
                    let url = format!("{}/git", repo_url());
                    let object =
                        json!({"type": "commit", "sha": commit, "url": format!("{url}/commits/{commit}")});
                    json!({"ref": name, "node_id": "REF_1", "url": format!("{url}/{name}"), "object": object})
                });
                Said::one("/repos/{owner}/{repo}/git/matching-refs/{ref}", Value::Array(all.collect()))
            }
            ["commits", commit, "check-runs"] => {
                let name = asked.query.get("check_name");
                let all: Vec<Value> = self
                    .checks(commit)
                    .into_iter()
                    .filter(|run| name.is_none_or(|name| run["name"] == **name))
                    .collect();
                let body = json!({"total_count": all.len(), "check_runs": all});
                Said::one("/repos/{owner}/{repo}/commits/{ref}/check-runs", body)
            }
            ["commits", commit, "comments"] => {
                let all = self.pulls.said.iter().filter(|said| said["commit_id"] == **commit).cloned();
                asked.paged("/repos/{owner}/{repo}/commits/{commit_sha}/comments", all.collect())
            }
            ["commits", commit, "statuses"] => {
                let of = self.pulls.statuses.iter().rev().filter(|(of, _)| of == commit);
                let all = of.map(|(_, status)| status.clone()).collect();
                asked.paged("/repos/{owner}/{repo}/commits/{ref}/statuses", all)
            }
            _ => return None,
        })
    }

    /// Takes what is posted.
    pub(super) fn take(&mut self, method: &Method, path: &str, body: &Value, now: i64) -> Said {
        let path: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let ["repos", OWNER, REPO, rest @ ..] = path.as_slice() else {
            return Said::no("/", StatusCode::NOT_FOUND, "Not Found");
        };
        let refused = |path| Said::no(path, StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed");
        match (method, rest) {
            (&Method::POST, ["issues"]) => {
                let path = "/repos/{owner}/{repo}/issues";
                let Some(title) = body["title"].as_str() else { return refused(path) };
                let number = self.open(now, BOT, false, title, body["body"].as_str().unwrap_or_default());
                for name in body["labels"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    let known = self.labels.iter().find(|(_, known)| *known == name).map(|(id, _)| *id);
                    let label = known.unwrap_or_else(|| {
                        let id = self.id();
                        self.labels.insert(id, name.to_owned());
                        id
                    });
                    self.label(now, number, BOT, label);
                }
                Said::made(path, self.single_json(&self.issues[&number]))
            }
            (&Method::PATCH, ["issues", number]) => {
                let path = "/repos/{owner}/{repo}/issues/{issue_number}";
                let number: i32 = number.parse().unwrap_or(0);
                let Some(issue) = self.issues.get(&number).filter(|issue| issue.gone.is_none()) else {
                    return Said::no(path, StatusCode::NOT_FOUND, "Not Found");
                };
                if (body["state"] == "open") == issue.closed_at.is_some() {
                    self.toggle(now, number, BOT);
                }
                Said::one(path, self.single_json(&self.issues[&number]))
            }
            (&Method::POST, ["commits", commit, "comments"]) => {
                let path = "/repos/{owner}/{repo}/commits/{commit_sha}/comments";
                let id = self.id();
                let url = format!("{}/comments/{id}", repo_url());
                let said = json!({
                    "id": id, "node_id": "CC_1", "url": url, "html_url": url, "body": body["body"], "path": null, "position": null,
                    "line": null, "commit_id": commit, "user": self.user_json(BOT), "created_at": time(now),
                    "updated_at": time(now), "author_association": "NONE",
                });
                self.pulls.said.push(said.clone());
                Said::made(path, said)
            }
            (&Method::POST, ["statuses", commit]) => {
                let path = "/repos/{owner}/{repo}/statuses/{sha}";
                let id = self.id();
                let mut status = json!({
                    "url": format!("{}/statuses/{commit}", repo_url()), "avatar_url": null, "id": id, "node_id": "SC_1",
                    "target_url": null, "description": null, "created_at": time(now), "updated_at": time(now),
                    "creator": self.user_json(1),
                });
                for key in ["state", "target_url", "description", "context"] {
                    if let Some(value) = body.get(key) {
                        status[key] = value.clone();
                    }
                }
                self.pulls.statuses.push(((*commit).to_owned(), status.clone()));
                Said::made(path, status)
            }
            (&Method::POST, ["issues", number, "comments"]) => {
                let path = "/repos/{owner}/{repo}/issues/{issue_number}/comments";
                let number: i32 = number.parse().unwrap_or_default();
                let (Some(text), true) = (body["body"].as_str(), self.issues.contains_key(&number)) else {
                    return refused(path);
                };
                self.comment(now, number, BOT, text);
                let made = self.issues.get(&number).and_then(|issue| issue.comments.last());
                Said::made(path, made.map_or(Value::Null, |made| self.comment_json(number, made.id)))
            }
            (&Method::POST, ["check-runs"]) => {
                let path = "/repos/{owner}/{repo}/check-runs";
                let id = self.id();
                let mut run = json!({
                    "id": id, "node_id": "CR_1", "external_id": "", "url": format!("{}/check-runs/{id}", repo_url()),
                    "html_url": null, "details_url": null, "status": "queued", "conclusion": null, "started_at": time(now),
                    "completed_at": null, "app": null, "pull_requests": [], "check_suite": {"id": 1},
                    "output": {"title": null, "summary": null, "text": null, "annotations_count": 0,
                        "annotations_url": format!("{}/check-runs/{id}/annotations", repo_url())},
                });
                if !change(&mut run, body, now) {
                    return refused(path);
                }
                self.pulls.checks.push(run.clone());
                self.pulls.notes.extend(notes(body).into_iter().map(|note| (id, note)));
                Said::made(path, run)
            }
            (&Method::PATCH, ["check-runs", id]) => {
                let path = "/repos/{owner}/{repo}/check-runs/{check_run_id}";
                let id: Option<i64> = id.parse().ok();
                let Some(run) = self.pulls.checks.iter_mut().find(|run| run["id"].as_i64() == id) else {
                    return Said::no(path, StatusCode::NOT_FOUND, "Not Found");
                };
                if !change(run, body, now) {
                    return refused(path);
                }
                let said = Said::one(path, run.clone());
                let of = |note| (id.unwrap_or_default(), note);
                self.pulls.notes.extend(notes(body).into_iter().map(of));
                said
            }
            _ => Said::no("/", StatusCode::NOT_FOUND, "Not Found"),
        }
    }
}

/// What a body says beside lines.
fn notes(body: &Value) -> Vec<Value> {
    body["output"]["annotations"].as_array().cloned().unwrap_or_default()
}

/// Changes a check run by a body; false where GitHub refuses it.
fn change(run: &mut Value, body: &Value, now: i64) -> bool {
    let annotations = notes(body);
    let completed = body["status"] == "completed";
    if annotations.len() > ANNOTATIONS || completed != body["conclusion"].is_string() {
        return false;
    }
    for key in ["name", "head_sha", "external_id", "details_url", "status", "conclusion"] {
        if let Some(value) = body.get(key) {
            run[key] = value.clone();
        }
    }
    if completed {
        run["completed_at"] = time(now).into();
    }
    for key in ["title", "summary", "text"] {
        if let Some(value) = body["output"].get(key) {
            run["output"][key] = value.clone();
        }
    }
    let is_good = |note: &Value| {
        note["path"].as_str().is_some_and(|path| !path.is_empty() && !path.starts_with('/'))
            && note["start_line"].as_i64().is_some_and(|line| line > 0)
            && note["end_line"].is_i64()
            && note["message"].is_string()
            && matches!(note["annotation_level"].as_str(), Some("notice" | "warning" | "failure"))
    };
    if !annotations.iter().all(is_good) {
        return false;
    }
    let before = run["output"]["annotations_count"].as_u64().unwrap_or(0);
    run["output"]["annotations_count"] = (before + annotations.len() as u64).into();
    run["name"].is_string() && run["head_sha"].is_string()
}
