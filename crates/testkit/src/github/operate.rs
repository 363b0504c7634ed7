//! What people do.

use serde_json::{Map, Value, json};

use super::render;
use super::world::{Comment, Event, Gone, Issue, Milestone, OTHER, OWNER, REPO, Review, World};

impl World {
    /// Opens an issue or a pull request and says its number.
    pub fn open(&mut self, now: i64, user: i64, pull: bool, title: &str, body: &str) -> i32 {
        let number = self.issues.keys().next_back().map_or(1, |last| last + 1);
        let issue = Issue {
            id: self.id(),
            number,
            pull,
            user,
            title: title.to_owned(),
            body: body.to_owned(),
            closed_at: None,
            closed_by: 0,
            locked: false,
            labels: Vec::new(),
            milestone: None,
            assignees: Vec::new(),
            created: now,
            updated: now,
            comments: Vec::new(),
            events: Vec::new(),
            reviews: Vec::new(),
            gone: None,
        };
        self.issues.insert(number, issue);
        self.tell("issues", "opened", number, user, Map::new());
        number
    }

    /// Writes a comment.
    pub fn comment(&mut self, now: i64, number: i32, user: i64, body: &str) {
        let id = self.id();
        let Some(issue) = self.touch(now, number) else { return };
        issue.comments.push(Comment { id, user, body: body.to_owned(), created: now, updated: now });
        let comment = self.comment_json(number, id);
        self.tell("issue_comment", "created", number, user, fields(json!({"comment": comment})));
    }

    /// Changes the n-th comment, or does nothing.
    pub fn edit_comment(&mut self, now: i64, number: i32, nth: usize, body: &str) {
        let Some(issue) = self.touch(now, number) else { return };
        let Some(comment) = issue.comments.get_mut(nth) else { return };
        let before = std::mem::replace(&mut comment.body, body.to_owned());
        comment.updated = now;
        let (id, user) = (comment.id, comment.user);
        let more = json!({"comment": self.comment_json(number, id), "changes": {"body": {"from": before}}});
        self.tell("issue_comment", "edited", number, user, fields(more));
    }

    /// Changes the title.
    pub fn rename(&mut self, now: i64, number: i32, user: i64, title: &str) {
        let Some(issue) = self.touch(now, number) else { return };
        let from = std::mem::replace(&mut issue.title, title.to_owned());
        self.event(now, number, "renamed", user, json!({"rename": {"from": from, "to": title}}));
        self.tell("issues", "edited", number, user, fields(json!({"changes": {"title": {"from": from}}})));
    }

    /// Changes the body; nothing clears it.
    pub fn edit(&mut self, now: i64, number: i32, user: i64, body: &str) {
        let Some(issue) = self.touch(now, number) else { return };
        let from = std::mem::replace(&mut issue.body, body.to_owned());
        self.tell("issues", "edited", number, user, fields(json!({"changes": {"body": {"from": from}}})));
    }

    /// Makes a team of the organization, or changes who is in it.
    pub fn team(&mut self, name: &str, members: &[i64]) {
        self.teams.insert(name.to_owned(), members.to_vec());
    }

    /// Makes a label; gives its id.
    pub fn make_label(&mut self, name: &str) -> i64 {
        let id = self.id();
        self.labels.insert(id, name.to_owned());
        id
    }

    /// Puts a label on an issue, or takes it away.
    pub fn label(&mut self, now: i64, number: i32, user: i64, label: i64) {
        let Some(name) = self.labels.get(&label).cloned() else { return };
        let Some(issue) = self.touch(now, number) else { return };
        let had = issue.labels.contains(&label);
        issue.labels.retain(|one| *one != label);
        if !had {
            issue.labels.push(label);
        }
        let (event, action) = if had { ("unlabeled", "unlabeled") } else { ("labeled", "labeled") };
        self.event(now, number, event, user, json!({"label": {"name": name, "color": "ededed"}}));
        let more = json!({"label": render::label(label, &name)});
        self.tell("issues", action, number, user, fields(more));
    }

    /// Closes an open issue, or opens a closed one.
    pub fn toggle(&mut self, now: i64, number: i32, user: i64) {
        let Some(issue) = self.touch(now, number) else { return };
        let closes = issue.closed_at.is_none();
        (issue.closed_at, issue.closed_by) = if closes { (Some(now), user) } else { (None, 0) };
        let commit = format!("{number:040x}");
        let more = if closes && number % 2 == 0 {
            let url = format!("{}/commits/{commit}", render::repo_url());
            json!({"commit_id": commit, "commit_url": url})
        } else {
            json!({})
        };
        let event = if closes { "closed" } else { "reopened" };
        self.event(now, number, event, user, more);
        self.tell("issues", event, number, user, Map::new());
    }

    /// Assigns somebody, or no more.
    pub fn assign(&mut self, now: i64, number: i32, user: i64, whom: i64) {
        let Some(issue) = self.touch(now, number) else { return };
        let had = issue.assignees.contains(&whom);
        issue.assignees.retain(|one| *one != whom);
        if !had {
            issue.assignees.push(whom);
        }
        let kind = if had { "unassigned" } else { "assigned" };
        let (assignee, assigner) = (self.user_json(whom), self.user_json(user));
        self.event(now, number, kind, user, json!({"assignee": assignee, "assigner": assigner}));
        self.tell("issues", kind, number, user, fields(json!({"assignee": assignee})));
    }

    /// Sets the milestone, or none.
    pub fn milestone(&mut self, now: i64, number: i32, user: i64, milestone: Option<i64>) {
        let milestone = milestone.filter(|milestone| self.milestones.contains_key(milestone));
        let Some(issue) = self.touch(now, number) else { return };
        let before = std::mem::replace(&mut issue.milestone, milestone);
        if before == milestone {
            return;
        }
        for (which, kind) in [(before, "demilestoned"), (milestone, "milestoned")] {
            let Some(milestone) = which.and_then(|which| self.milestones.get(&which)) else { continue };
            let (title, json) = (milestone.title.clone(), self.milestone_json(milestone));
            self.event(now, number, kind, user, json!({"milestone": {"title": title}}));
            self.tell("issues", kind, number, user, fields(json!({"milestone": json})));
        }
    }

    /// Locks it, or no more.
    pub fn lock(&mut self, now: i64, number: i32, user: i64) {
        let Some(issue) = self.touch(now, number) else { return };
        issue.locked = !issue.locked;
        let (kind, more) = if issue.locked {
            ("locked", json!({"lock_reason": "spam"}))
        } else {
            ("unlocked", json!({"lock_reason": null}))
        };
        self.event(now, number, kind, user, more);
        self.tell("issues", kind, number, user, Map::new());
    }

    /// Reviews a pull request; of an issue, nothing.
    pub fn review(&mut self, now: i64, number: i32, user: i64, state: &'static str, body: &str) {
        let id = self.id();
        if self.issues.get(&number).is_none_or(|issue| !issue.pull) {
            return;
        }
        let Some(issue) = self.touch(now, number) else { return };
        issue.reviews.push(Review { id, user, body: body.to_owned(), state, submitted: now });
    }

    /// Dismisses the first review that is not.
    pub fn dismiss(&mut self, now: i64, number: i32, user: i64) {
        let Some(issue) = self.touch(now, number) else { return };
        let Some(review) = issue.reviews.iter_mut().find(|review| review.state != "DISMISSED") else {
            return;
        };
        let (id, state) = (review.id, std::mem::replace(&mut review.state, "DISMISSED").to_lowercase());
        let more = json!({"review_id": id, "state": state, "dismissal_message": "no"});
        self.event(now, number, "review_dismissed", user, json!({"dismissed_review": more}));
    }

    /// Asks somebody for a review.
    pub fn ask(&mut self, now: i64, number: i32, user: i64, whom: i64) {
        if self.touch(now, number).is_none_or(|issue| !issue.pull) {
            return;
        }
        let (requester, reviewer) = (self.user_json(user), self.user_json(whom));
        let more = json!({"review_requester": requester, "requested_reviewer": reviewer});
        self.event(now, number, "review_requested", user, more);
    }

    /// Makes a label.
    pub fn new_label(&mut self, name: &str) -> i64 {
        let id = self.id();
        self.labels.insert(id, name.to_owned());
        id
    }

    /// Calls a label otherwise.
    pub fn rename_label(&mut self, id: i64, name: &str) {
        if let Some(label) = self.labels.get_mut(&id) {
            name.clone_into(label);
        }
    }

    /// Makes a milestone and says its number.
    pub fn new_milestone(&mut self, now: i64, title: &str) -> i64 {
        let (id, number) = (self.id(), self.milestones.keys().next_back().map_or(1, |last| last + 1));
        let milestone = Milestone { id, number, title: title.to_owned(), closed_at: None, created: now };
        self.milestones.insert(number, milestone);
        number
    }

    /// Closes or opens a milestone and calls it otherwise.
    pub fn change_milestone(&mut self, now: i64, number: i64, title: &str) {
        if let Some(milestone) = self.milestones.get_mut(&number) {
            title.clone_into(&mut milestone.title);
            milestone.closed_at = milestone.closed_at.map_or(Some(now), |_| None);
        }
    }

    /// Takes an issue away.
    pub fn remove(&mut self, number: i32, user: i64, how: Gone) {
        if self.issues.get(&number).is_none_or(|issue| issue.gone.is_some()) {
            return;
        }
        match how {
            Gone::Deleted => self.tell("issues", "deleted", number, user, Map::new()),
            Gone::Transferred => {
                let issue = self.issue_json(&self.issues[&number], OTHER);
                let more = json!({"changes": {"new_issue": issue, "new_repository": render::repository(OWNER, OTHER)}});
                self.tell("issues", "transferred", number, user, fields(more));
            }
            Gone::Hidden => {}
        }
        if let Some(issue) = self.issues.get_mut(&number) {
            issue.gone = Some(how);
        }
    }

    /// Shows what was hidden, as it was.
    pub fn show(&mut self, number: i32) {
        if let Some(issue) = self.issues.get_mut(&number).filter(|issue| issue.gone == Some(Gone::Hidden)) {
            issue.gone = None;
        }
    }

    /// Gives an issue a time that is yet to come.
    pub fn from_the_future(&mut self, number: i32, time: i64) {
        if let Some(issue) = self.issues.get_mut(&number) {
            issue.updated = time;
        }
    }

    fn touch(&mut self, now: i64, number: i32) -> Option<&mut Issue> {
        let issue = self.issues.get_mut(&number).filter(|issue| issue.gone.is_none())?;
        issue.updated = now;
        Some(issue)
    }

    fn event(&mut self, now: i64, number: i32, kind: &'static str, actor: i64, more: Value) {
        let id = self.id();
        if let Some(issue) = self.issues.get_mut(&number) {
            issue.events.push(Event { id, kind, actor, created: now, more: fields(more) });
        }
    }

    fn tell(&mut self, event: &str, action: &str, number: i32, sender: i64, more: Map<String, Value>) {
        let issue = self.issue_json(&self.issues[&number], REPO);
        let mut payload = fields(json!({
            "action": action, "issue": issue, "repository": render::repository(OWNER, REPO), "sender": self.user_json(sender),
        }));
        payload.extend(more);
        self.told.push(json!({"event": event, "payload": payload}));
    }
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => unreachable!("{other} is written as an object here"),
    }
}
