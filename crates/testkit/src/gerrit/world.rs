//! Who and what is there before the first change: people, their rights, a label, projects.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::rest::{User, piece};
use super::site::Gerrit;

const FOLLOWER: &str = "follower";
/// Name and password of the account for a program that follows all of Gerrit. See [`GROUP`].
pub const FOLLOWER_LOGIN: (&str, &str) = (FOLLOWER, "follower-of-loopback");
/// The group whose members read all that is needed to follow Gerrit through git.
///
/// `Read` on a branch shows the patch sets and the meta refs (`refs/changes/NN/N/meta`) of the branch's changes; All-Projects gives it
/// to everybody on `refs/heads/*`. `View Private Changes` (on `refs/*`) is what the group has beyond that: without it the refs of a
/// private change are shown to its owner and reviewers alone.
pub const GROUP: &str = "Followers";

/// Everybody's projects: name, branches, submit type.
pub(super) const PROJECTS: [(&str, [&str; 2], &str); 3] = [
    ("core", ["main", "release-1.2"], "MERGE_IF_NECESSARY"),
    ("infra/tools", ["main", "next"], "REBASE_IF_NECESSARY"),
    ("website", ["main", "drafts"], "CHERRY_PICK"),
];

/// Somebody with an account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) full_name: &'static str,
    pub(super) email: &'static str,
}

impl Person {
    pub(super) fn password(&self) -> String {
        format!("{}-of-loopback", self.name)
    }
}

const fn person(name: &'static str, full_name: &'static str, email: &'static str) -> Person {
    Person { name, full_name, email }
}

/// Who makes and reviews changes. The last is a program that votes on what it tested.
pub(super) const PEOPLE: [Person; 6] = [
    person("ada", "Ada Łovelace", "ada@example.org"),
    person("bela", "Béla Őry", "bela@example.org"),
    person("chika", "千佳 Tanaka", "chika@example.org"),
    person("dora", "Dora", "dora.d@example.com"),
    person("emre", "Emre O'Neil-Yılmaz", "emre@example.org"),
    person("trybot", "Try Bot", "trybot@example.org"),
];

const WATCHER: Person = person(FOLLOWER, "Follower", "follower@example.org");

/// The account of somebody by name.
pub(super) fn user(gerrit: &Gerrit, person: &Person) -> User {
    User::new(gerrit.address(), person.name, &person.password())
}

/// The account of [`FOLLOWER`].
pub(super) fn follower(gerrit: &Gerrit) -> User {
    user(gerrit, &WATCHER)
}

/// Makes all of it; the accounts' numbers follow from the order, the admin's being 1000000.
pub(super) fn make(gerrit: &Gerrit) -> Result<()> {
    let admin = gerrit.admin();
    admin.put(&format!("/groups/{GROUP}"), &json!({ "description": "follow Gerrit through git" }))?;
    for person in PEOPLE.iter().chain([&WATCHER]) {
        let groups: &[&str] = if person.name == FOLLOWER { &[GROUP] } else { &[] };
        let account = json!({
            "name": person.full_name, "email": person.email, "http_password": person.password(), "groups": groups,
        });
        admin.put(&format!("/accounts/{}", person.name), &account)?;
    }
    rights(&admin)?;
    for (name, branches, submit) in PROJECTS {
        let project = json!({ "create_empty_commit": true, "branches": branches, "submit_type": submit });
        admin.put(&format!("/projects/{}", piece(name)), &project)?;
    }
    Ok(())
}

fn rights(admin: &User) -> Result<()> {
    let label = json!({
        "values": { "-1": "Fails", " 0": "No score", "+1": "Verified" },
        "function": "NoBlock",
        "copy_condition": "changekind:NO_CODE_CHANGE",
    });
    admin.put("/projects/All-Projects/labels/Verified", &label)?;
    let group = admin.get(&format!("/groups/{GROUP}"))?;
    let group = group["id"].as_str().context("a group has an id")?;
    let all = "global:Registered-Users";
    let vote = |most: i32| json!({ "action": "ALLOW", "min": -most, "max": most });
    let allow = json!({ "action": "ALLOW" });
    let old: Value = json!({ "rules": { all: vote(1) } });
    let change = json!({
        "message": "Everybody votes and submits; the followers see what is private",
        "remove": { "refs/heads/*": { "permissions": { "label-Code-Review": old } } },
        "add": {
            "refs/heads/*": { "permissions": {
                "label-Code-Review": { "label": "Code-Review", "rules": { all: vote(2) } },
                "label-Verified": { "label": "Verified", "rules": { all: vote(1) } },
                "submit": { "rules": { all: allow } },
                "rebase": { "rules": { all: allow } },
                "editHashtags": { "rules": { all: allow } },
                "deleteOwnChanges": { "rules": { all: allow } },
            } },
            "refs/*": { "permissions": { "viewPrivateChanges": { "rules": { group: allow } } } },
        },
    });
    admin.post("/projects/All-Projects/access", &change)?;
    Ok(())
}
