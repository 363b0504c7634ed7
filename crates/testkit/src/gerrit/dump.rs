//! What Gerrit's REST API says of each change, in one JSON, and how that differs from what was meant.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::change::Meant;
use super::rest::{User, piece};

/// Changes in one answer.
const PAGE: usize = 100;
/// All that the API has of a change.
const ASKED: &str = "o=ALL_REVISIONS&o=ALL_COMMITS&o=DETAILED_LABELS&o=DETAILED_ACCOUNTS&o=MESSAGES";

/// Everything of the changes that `user` sees:
///
/// ```json
/// { "accounts": { "1000001": { "name": "Ada", "email": "ada@example.org", "username": "ada" } },
///   "changes": [ {
///     "number": 1, "change_id": "I…", "project": "core", "branch": "main", "status": "NEW|MERGED|ABANDONED",
///     "owner": 1000001, "subject": "…", "created": "…", "updated": "…", "submitted": null, "submitter": null,
///     "private": false, "wip": false, "hashtags": ["a"], "topic": null, "reverts": null,
///     "patch_sets": [ { "number": 1, "commit": "…", "uploader": 1000001, "created": "…" } ],
///     "votes": { "Code-Review": { "1000002": 2 } }, "reviewers": [1000002], "cc": [],
///     "messages": [ { "date": "…", "author": 1000001, "patch_set": 1, "tag": null, "text": "…" } ],
///     "comments": [ { "id": "…", "path": "a.txt", "patch_set": 1, "line": 3, "range": null, "author": 1000001, "date": "…",
///       "unresolved": true, "reply_to": null, "text": "…" } ] } ] }
/// ```
///
/// Changes are in the order of their numbers, hashtags and accounts sorted, messages as Gerrit has them, comments by path and id; votes are those other than 0. Times
/// are Gerrit's texts (UTC, `2026-01-31 13:07:00.000000000`), `author` is null where Gerrit itself speaks.
///
/// # Errors
/// When Gerrit refuses, or says something else than it is known to.
pub fn dump(user: &User) -> Result<Value> {
    let mut changes = BTreeMap::new();
    let mut accounts = Map::new();
    for page in 0.. {
        let start = page * PAGE;
        let path = format!("/changes/?q=is:open+OR+is:closed&n={PAGE}&S={start}&{ASKED}");
        let answer = user.get(&path)?;
        let answer = answer.as_array().context("changes are an array")?;
        for info in answer {
            let number = info["_number"].as_u64().context("a change has a number")?;
            let path =
                format!("/changes/{}~{number}/comments", piece(info["project"].as_str().unwrap_or_default()));
            let comments = comments(&user.get(&path)?);
            changes.insert(
                number,
                change(info, comments, &mut accounts).with_context(|| format!("change {number}"))?,
            );
        }
        if !answer.last().is_some_and(|last| last["_more_changes"] == true) {
            break;
        }
    }
    Ok(json!({ "accounts": accounts, "changes": changes.into_values().collect::<Vec<_>>() }))
}

fn change(info: &Value, comments: Vec<Value>, accounts: &mut Map<String, Value>) -> Result<Value> {
    let mut id = |account: &Value| -> Value {
        if let Some(id) = account["_account_id"].as_u64() {
            let keep = ["name", "email", "username"].map(|key| (key.to_owned(), account[key].clone()));
            accounts.insert(id.to_string(), keep.into_iter().collect());
        }
        account["_account_id"].clone()
    };
    let mut patch_sets = Vec::new();
    for (commit, revision) in info["revisions"].as_object().context("no revisions")? {
        patch_sets.push(json!({
            "number": revision["_number"], "commit": commit, "uploader": id(&revision["uploader"]), "created": revision["created"],
        }));
    }
    patch_sets.sort_by_key(|patch_set| patch_set["number"].as_u64());
    let mut votes = Map::new();
    for (label, all) in info["labels"].as_object().into_iter().flatten() {
        let mut of_label = Map::new();
        for vote in all["all"].as_array().into_iter().flatten() {
            if vote["value"].as_i64().is_some_and(|value| value != 0) {
                of_label.insert(id(vote).to_string(), vote["value"].clone());
            }
        }
        if !of_label.is_empty() {
            votes.insert(label.clone(), of_label.into());
        }
    }
    let mut people = |state: &str| -> Vec<Value> {
        let mut ids: Vec<Value> =
            info["reviewers"][state].as_array().into_iter().flatten().map(&mut id).collect();
        ids.sort_by_key(Value::as_u64);
        ids
    };
    let (reviewers, cc) = (people("REVIEWER"), people("CC"));
    let mut messages = Vec::new();
    for message in info["messages"].as_array().into_iter().flatten() {
        messages.push(json!({
            "date": message["date"], "author": id(&message["author"]), "patch_set": message["_revision_number"],
            "tag": message["tag"], "text": message["message"],
        }));
    }
    let mut hashtags: Vec<&str> =
        info["hashtags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    hashtags.sort_unstable();
    Ok(json!({
        "number": info["_number"], "change_id": info["change_id"], "project": info["project"], "branch": info["branch"],
        "status": info["status"], "owner": id(&info["owner"]), "subject": info["subject"], "created": info["created"],
        "updated": info["updated"], "submitted": info["submitted"], "submitter": id(&info["submitter"]),
        "private": info["is_private"] == true, "wip": info["work_in_progress"] == true, "hashtags": hashtags,
        "topic": info["topic"], "reverts": info["revert_of"], "patch_sets": patch_sets, "votes": votes,
        "reviewers": reviewers, "cc": cc, "messages": messages, "comments": comments,
    }))
}

/// The comments on files of a change, by path and id.
fn comments(answer: &Value) -> Vec<Value> {
    let mut comments = Vec::new();
    for (path, of_file) in answer.as_object().into_iter().flatten() {
        for comment in of_file.as_array().into_iter().flatten() {
            comments.push(json!({
                "id": comment["id"], "path": path, "patch_set": comment["patch_set"], "line": comment["line"],
                "range": comment["range"], "author": comment["author"]["_account_id"], "date": comment["updated"],
                "unresolved": comment["unresolved"] == true, "reply_to": comment["in_reply_to"], "text": comment["message"],
            }));
        }
    }
    let key =
        |comment: &Value| ["path", "id"].map(|key| comment[key].as_str().unwrap_or_default().to_owned());
    comments.sort_by_key(key);
    comments
}

/// Where a dump is not what was meant, a line each: no change more or less, each field of [`Meant`] as it is there.
///
/// Reviewers and CC must be among those of the dump: whoever votes or writes becomes one of them.
#[must_use]
pub fn differences(dump: &Value, meant: &[Meant]) -> Vec<String> {
    let mut found = Vec::new();
    let changes: Vec<&Value> = dump["changes"].as_array().into_iter().flatten().collect();
    let numbers: Vec<Option<u64>> = changes.iter().map(|change| change["number"].as_u64()).collect();
    let wanted: Vec<Option<u64>> = meant.iter().map(|change| Some(change.number)).collect();
    if numbers != wanted {
        return vec![format!("changes are {numbers:?}, meant {wanted:?}")];
    }
    let name = |id: &Value| dump["accounts"][id.to_string()]["username"].as_str().unwrap_or("?").to_owned();
    for (change, meant) in changes.into_iter().zip(meant) {
        let mut hold = |field: &str, is: Value, wanted: Value| {
            if is != wanted {
                found.push(format!("change {} {field}: {is}, meant {wanted}", meant.number));
            }
        };
        for (field, wanted) in [
            ("change_id", json!(meant.change_id)),
            ("project", json!(meant.project)),
            ("branch", json!(meant.branch)),
            ("status", json!(meant.status.word())),
            ("subject", json!(meant.subject)),
            ("private", json!(meant.private)),
            ("wip", json!(meant.wip)),
            ("hashtags", json!(meant.hashtags)),
            ("topic", json!(meant.topic)),
        ] {
            hold(field, change[field].clone(), wanted);
        }
        hold("owner", json!(name(&change["owner"])), json!(meant.owner));
        let uploaders = change["patch_sets"].as_array().into_iter().flatten();
        let uploaders: Vec<String> = uploaders.map(|patch_set| name(&patch_set["uploader"])).collect();
        hold("uploaders", json!(uploaders), json!(meant.uploaders));
        let mut votes = BTreeMap::new();
        for (label, all) in change["votes"].as_object().into_iter().flatten() {
            for (id, value) in all.as_object().into_iter().flatten() {
                let voter = dump["accounts"][id]["username"].as_str().unwrap_or("?");
                votes.insert((label.clone(), voter.to_owned()), value.as_i64().unwrap_or_default());
            }
        }
        hold("votes", format!("{votes:?}").into(), format!("{:?}", meant.votes).into());
        for (field, wanted) in [("reviewers", &meant.reviewers), ("cc", &meant.cc)] {
            let there: BTreeSet<String> = change[field].as_array().into_iter().flatten().map(name).collect();
            hold(field, json!(there.intersection(wanted).collect::<Vec<_>>()), json!(wanted));
        }
        let mut texts = change["messages"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|message| message["text"].as_str());
        let missing: Vec<&String> =
            meant.messages.iter().filter(|wanted| !texts.any(|text| text.contains(*wanted))).collect();
        hold("messages that are missing", json!(missing), json!([]));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_too_many_is_a_difference() {
        let dump = json!({ "accounts": {}, "changes": [{ "number": 3 }] });
        assert_eq!(differences(&dump, &[]), ["changes are [Some(3)], meant []"]);
    }
}
