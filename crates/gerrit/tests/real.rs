//! The scenario against a real Gerrit. One start for all of it: that takes some 15 s of a core.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

#[path = "it/scenario.rs"]
mod scenario;

use gerrit::Change;
use scenario::{BOT, GUEST, LABEL};
use serde_json::json;
use testkit::gerrit::Gerrit;
use transport::Service;

/// A bot that may vote, a guest that may not, and a change. Its number and commit.
fn make(gerrit: &Gerrit) -> anyhow::Result<(u64, String)> {
    let admin = gerrit.admin();
    admin.put("/groups/Bots", &json!({}))?;
    for ((name, password), groups) in [(BOT, &["Bots"][..]), (GUEST, &[])] {
        admin.put(&format!("/accounts/{name}"), &json!({ "http_password": password, "groups": groups }))?;
    }
    let label = json!({ "values": { "-1": "Failed", " 0": "None", "+1": "Passed" }, "function": "NoBlock" });
    admin.put(&format!("/projects/All-Projects/labels/{LABEL}"), &label)?;
    let group = admin.get("/groups/Bots")?["id"].as_str().unwrap().to_owned();
    let vote = json!({ group: { "action": "ALLOW", "min": -1, "max": 1 } });
    let permission = json!({ format!("label-{LABEL}"): { "label": LABEL, "rules": vote } });
    admin.post(
        "/projects/All-Projects/access",
        &json!({ "add": { "refs/heads/*": { "permissions": permission } } }),
    )?;
    admin.put("/projects/infra%2Fcore", &json!({ "create_empty_commit": true, "branches": ["main"] }))?;
    let change = admin
        .post("/changes/", &json!({ "project": "infra/core", "branch": "main", "subject": "a change" }))?;
    let number = change["_number"].as_u64().unwrap();
    let shown = admin.get(&format!("/changes/infra%2Fcore~{number}?o=CURRENT_REVISION"))?;
    Ok((number, shown["current_revision"].as_str().unwrap().to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_gerrit_answers_as_expected() {
    let site = tempfile::tempdir().unwrap();
    let path = site.path().join("site");
    let start = move || {
        let gerrit = Gerrit::start(&path)?;
        let made = make(&gerrit)?;
        anyhow::Ok((gerrit, made))
    };
    let (mut gerrit, (number, commit)) = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
    let service = Service::url(&format!("http://{}", gerrit.address()));
    let admin = gerrit.admin();
    let change = Change::numbered("infra/core", number).unwrap();
    let close = async || {
        let abandon = move || admin.post(&format!("/changes/infra%2Fcore~{number}/abandon"), &json!({}));
        tokio::task::spawn_blocking(abandon).await.unwrap().unwrap();
    };
    scenario::run(&service, &change, &commit, close).await;
    tokio::task::spawn_blocking(move || gerrit.stop()).await.unwrap().unwrap();
}
