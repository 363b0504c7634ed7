//! Each table, held against the corpus' own queries.

use std::collections::BTreeMap;

use bellwether_query::tables;
use maintner::column::NONE;
use maintner::commit::{email, files};
use maintner::github::{Issue, NO_MILESTONE};
use maintner::mutation::{Event, Message as _, Review};
use maintner::time::Time;
use serde_json::{Value, json};

use crate::asked::Asked;
use crate::world::{day, sha};

fn text(bytes: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(bytes).into_owned())
}

fn some(bytes: &[u8]) -> Value {
    if bytes.is_empty() { Value::Null } else { text(bytes) }
}

/// As it is printed.
fn seconds(seconds: i64) -> Value {
    json!(jiff::Timestamp::from_second(seconds).unwrap().to_string())
}

fn time(time: Time) -> Value {
    time.seconds().map_or(Value::Null, seconds)
}

impl Asked {
    fn issues(&self) -> Vec<&Issue> {
        let mut all: Vec<_> =
            self.corpus.github.issues().iter().filter(|issue| !issue.not_exist.is()).collect();
        all.sort_by_key(|issue| issue.number);
        all
    }

    fn login(&self, user: u32) -> Value {
        if user == NONE {
            Value::Null
        } else {
            some(self.corpus.github.name(self.corpus.github.users().get(user).login))
        }
    }

    fn login_of(&self, id: i64) -> Value {
        self.corpus.github.user(id).map_or(Value::Null, |user| self.login(user))
    }
}

#[tokio::test]
async fn issues_are_those_of_the_corpus() {
    let asked = Asked::new(None).await;
    let github = &asked.corpus.github;
    let want: Vec<Value> = asked.issues().into_iter().map(|issue| {
        let mut labels: Vec<Value> = github.labels_of(issue).into_iter()
            .map(|id| text(github.name(github.label(issue.repo, id).unwrap().name))).collect();
        labels.sort_by_key(Value::to_string);
        json!({
            "repo": "golang/go",
            "number": issue.number,
            "title": text(asked.corpus.log.text(issue.title)),
            "state": if issue.closed.is() { "closed" } else { "open" },
            "author": asked.login(issue.user),
            "created": time(issue.created),
            "updated": time(issue.updated),
            "closed_at": if issue.closed.is() { time(issue.closed_at) } else { Value::Null },
            "pull_request": issue.pull_request.is(),
            "locked": issue.locked.is(),
            "milestone": if issue.milestone == NO_MILESTONE { Value::Null } else { text(github.name(github.milestones().get(issue.milestone).title)) },
            "labels": labels,
            "assignees": github.assignees_of(issue).map(|user| text(github.name(user.login))).collect::<Vec<_>>(),
            "comments": github.comments_of(issue).len(),
            "body": text(asked.corpus.log.text(issue.body)),
            "id": Value::Null,
        })
    }).collect();
    assert_eq!(asked.rows("SELECT * FROM issues ORDER BY number").await, want);
    let titles: Vec<&Value> = want.iter().map(|issue| &issue["number"]).collect();
    assert_eq!(titles, [1, 2, 3, 5, 6], "the fourth is gone");
    assert_eq!(
        (&want[1]["assignees"], &want[1]["labels"]),
        (&json!(["cat"]), &json!(["NeedsFix", "release-blocker"]))
    );
    assert_eq!(want[0]["milestone"], "Go1.10");
    assert_eq!(want[2]["closed_at"], seconds(day(10, 0)));
}

#[tokio::test]
async fn comments_reviews_and_labels_are_those_of_the_corpus() {
    let asked = Asked::new(None).await;
    let github = &asked.corpus.github;
    let (mut comments, mut reviews, mut labels) = (vec![], vec![], vec![]);
    for issue in asked.issues() {
        comments.extend(github.comments_of(issue).into_iter().map(|comment| {
            json!({
                "repo": "golang/go",
                "issue": issue.number,
                "id": comment.id,
                "author": asked.login(comment.user),
                "created": time(comment.created),
                "updated": time(comment.updated),
                "body": text(asked.corpus.log.text(comment.body)),
            })
        }));
        reviews.extend(github.reviews_of(issue).into_iter().map(|review| {
            let message = Review::of(asked.corpus.log.text(review.message)).unwrap();
            json!({
                "repo": "golang/go",
                "issue": issue.number,
                "id": review.id,
                "author": asked.login_of(message.actor_id),
                "state": text(message.state),
                "created": time(review.created),
                "commit": text(message.commit_id),
                "body": text(message.body),
            })
        }));
        labels.extend(github.labels_of(issue).into_iter().map(|id| {
            json!({
                "repo": "golang/go",
                "issue": issue.number,
                "label": text(github.name(github.label(issue.repo, id).unwrap().name)),
                "id": id,
            })
        }));
    }
    assert_eq!(asked.rows("SELECT * FROM comments ORDER BY id").await, comments);
    assert_eq!(asked.rows("SELECT * FROM reviews ORDER BY id").await, reviews);
    assert_eq!(asked.rows("SELECT * FROM labels ORDER BY issue, id").await, labels);
    assert_eq!((comments.len(), reviews.len(), labels.len()), (3, 1, 3));
}

#[tokio::test]
async fn events_are_those_of_the_corpus() {
    let asked = Asked::new(None).await;
    let github = &asked.corpus.github;
    let mut want = vec![];
    for issue in asked.issues() {
        for event in github.events_of(issue) {
            let message = Event::of(asked.corpus.log.text(event.message)).unwrap();
            want.push(json!({
                "repo": "golang/go",
                "issue": issue.number,
                "id": event.id,
                "type": text(github.name(event.kind)),
                "created": time(event.created),
                "actor": asked.login_of(message.actor_id),
                "label": message.label.map_or(Value::Null, |label| text(label.name)),
                "milestone": message.milestone.map_or(Value::Null, |milestone| text(milestone.title)),
                "assignee": asked.login_of(message.assignee_id),
                "assigner": asked.login_of(message.assigner_id),
                "commit": message.commit.map_or(Value::Null, |commit| text(commit.commit_id)),
                "renamed_from": some(message.rename_from),
                "renamed_to": some(message.rename_to),
                "reviewer": asked.login_of(message.reviewer_id),
                "team": message.team_reviewer.map_or(Value::Null, |team| text(team.slug)),
            }));
        }
    }
    want.sort_by_key(|event| event["id"].as_i64());
    assert_eq!(asked.rows("SELECT * FROM events ORDER BY id").await, want);
    assert_eq!(want.len(), 7);
    assert_eq!((&want[2]["commit"], &want[4]["assignee"]), (&json!(sha(77)), &json!("cat")));
}

#[tokio::test]
async fn changes_are_as_gerrit_reads_them() {
    let asked = Asked::new(None).await;
    let (gerrit, log) = (&asked.corpus.gerrit, &asked.corpus.log);
    let names = BTreeMap::from([(5, "Ann"), (6, "Bob"), (7, "Cat")]);
    let hash = |commit| hex::encode(gerrit.commits().get(commit).hash);
    let (mut cls, mut patch_sets, mut votes, mut messages) = (vec![], vec![], vec![], vec![]);
    for change in gerrit.changes().iter().filter(|change| change.is_complete()) {
        let view = gerrit.view(log, change).unwrap();
        let issues: Vec<Value> = gerrit
            .references(change)
            .map(|issue| {
                let name = |name| String::from_utf8_lossy(gerrit.name(name));
                json!(format!("{}/{}#{}", name(issue.owner), name(issue.repo), issue.number))
            })
            .collect();
        cls.push(json!({
            "project": "go.googlesource.com/go",
            "number": change.number,
            "status": view.status.unwrap().text(),
            "subject": view.subject,
            "branch": text(view.branch),
            "owner": names[&view.owner.unwrap()],
            "owner_id": view.owner,
            "created": seconds(view.created),
            "updated": seconds(view.updated),
            "patch_set": change.version,
            "commit": hash(change.commit),
            "wip": view.wip,
            "private": view.private,
            "topic": some(view.topic),
            "hashtags": view.hashtags.iter().map(|tag| text(tag)).collect::<Vec<_>>(),
            "reviewers": view.reviewers,
            "cc": view.cc,
            "issues": issues,
            "messages": view.messages.len(),
            "change_id": text(view.change_id),
            "message": text(gerrit.message(log, change.commit)),
        }));
        for patch_set in &view.patch_sets {
            patch_sets.push(json!({
                "project": "go.googlesource.com/go",
                "cl": change.number,
                "number": patch_set.version,
                "commit": hex::encode(patch_set.commit),
                "created": seconds(patch_set.time),
                "uploader": names[&patch_set.uploader.account().unwrap()],
                "uploader_id": patch_set.uploader.account(),
            }));
        }
        for (label, by) in &view.votes {
            votes.extend(by.iter().map(|(account, vote)| {
                json!({
                    "project": "go.googlesource.com/go",
                    "cl": change.number,
                    "label": text(label),
                    "value": vote,
                    "voter": names[account],
                    "voter_id": account,
                })
            }));
        }
        messages.extend(view.messages.iter().map(|message| {
            json!({
                "project": "go.googlesource.com/go",
                "cl": change.number,
                "patch_set": message.version,
                "created": seconds(message.time),
                "author": names[&message.author.account().unwrap()],
                "author_id": message.author.account(),
                "tag": some(message.tag),
                "text": text(message.text),
            })
        }));
    }
    assert_eq!(asked.rows("SELECT * FROM cls ORDER BY number").await, cls);
    assert_eq!(asked.rows("SELECT * FROM patch_sets ORDER BY cl, number").await, patch_sets);
    assert_eq!(asked.rows("SELECT * FROM votes ORDER BY cl, label, voter_id").await, votes);
    assert_eq!(asked.rows("SELECT * FROM messages ORDER BY cl, created").await, messages);
    assert_eq!((cls.len(), patch_sets.len(), votes.len()), (4, 5, 4));
    assert_eq!(cls[0]["subject"], "cmd/go: unblock the release");
    assert_eq!(
        (&cls[2]["status"], &cls[2]["issues"]),
        (&json!("merged"), &json!(["golang/go#2", "golang/oauth2#9"]))
    );
    assert_eq!((&cls[3]["private"], &cls[0]["hashtags"]), (&json!(true), &json!(["release", "wait-author"])));
}

#[tokio::test]
async fn commits_files_and_refs_are_those_of_the_corpus() {
    let asked = Asked::new(None).await;
    let (gerrit, log) = (&asked.corpus.gerrit, &asked.corpus.log);
    let hash = |commit| hex::encode(gerrit.commits().get(commit).hash);
    let metas: Vec<u32> = gerrit.changes().iter().flat_map(|change| gerrit.metas(change).unwrap()).collect();
    let (mut commits, mut of) = (vec![], vec![]);
    for (number, commit) in gerrit.commits().numbered().filter(|(number, _)| !metas.contains(number)) {
        let object = gerrit.object(log, commit).unwrap();
        let changed = files(log.text(commit.message)).unwrap();
        let name =
            |person| String::from_utf8_lossy(gerrit.name(person)).split(" <").next().unwrap().to_owned();
        commits.push(json!({
            "project": "go.googlesource.com/go",
            "commit": hash(number),
            "subject": String::from_utf8_lossy(object.message).lines().next(),
            "author": name(commit.author),
            "author_email": text(email(gerrit.name(commit.author))),
            "author_time": seconds(object.author.seconds),
            "committer": name(commit.committer),
            "committer_email": text(email(gerrit.name(commit.committer))),
            "commit_time": seconds(commit.time),
            "parents": gerrit.parents(commit).map(hash).collect::<Vec<_>>(),
            "tree": hex::encode(object.tree),
            "files": changed.len(),
            "message": text(object.message),
        }));
        of.extend(changed.iter().map(|file| {
            json!({
                "project": "go.googlesource.com/go",
                "commit": hash(number),
                "commit_time": seconds(commit.time),
                "path": text(file.file),
                "added": file.added,
                "deleted": file.deleted,
                "is_binary": file.binary,
            })
        }));
    }
    let by = |key: &'static str| move |row: &Value| row[key].as_str().unwrap().to_owned();
    commits.sort_by_key(by("commit"));
    of.sort_by_key(|file| (by("commit")(file), by("path")(file)));
    assert_eq!(asked.rows("SELECT * FROM commits ORDER BY commit").await, commits);
    assert_eq!(asked.rows("SELECT * FROM files ORDER BY commit, path").await, of);
    assert_eq!((commits.len(), of.len()), (6, 7), "notes are not among them");
    let mut refs: Vec<Value> = gerrit
        .refs()
        .iter()
        .map(|one| {
            json!({
                "project": "go.googlesource.com/go",
                "name": text(gerrit.name(one.name)),
                "commit": hash(one.commit),
                "commit_time": seconds(gerrit.commits().get(one.commit).time),
            })
        })
        .collect();
    refs.sort_by_key(by("name"));
    assert_eq!(asked.rows("SELECT * FROM refs ORDER BY name").await, refs);
    assert_eq!(refs.len(), 2);
}

/// What is listed is what is there, and every column has some value in the made-up project or is one of those that have none.
#[tokio::test]
async fn every_column_is_listed_and_of_its_type() {
    let asked = Asked::new(None).await;
    let empty = ["issues.id", "events.reviewer", "events.team"];
    for table in tables::all() {
        let columns = (table.columns)();
        let described = asked.rows(&format!("DESCRIBE {}", table.name)).await;
        let names: Vec<&str> = described.iter().map(|row| row["column_name"].as_str().unwrap()).collect();
        assert_eq!(names, columns.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), "{}", table.name);
        for (name, _, about) in columns {
            assert!(!about.is_empty());
            let known = asked.values(&format!("SELECT count({name}) FROM {}", table.name)).await;
            let none = empty.contains(&&*format!("{}.{name}", table.name));
            assert_eq!(known[0] == 0, none, "{}.{name}", table.name);
        }
    }
    let listed = asked
        .values("SELECT table_name FROM information_schema.tables WHERE table_schema = 'corpus' ORDER BY 1")
        .await;
    assert_eq!(listed.len(), tables::all().len());
    assert!(
        asked
            .printed("SHOW TABLES", bellwether_query::output::Format::Csv)
            .await
            .unwrap()
            .contains("patch_sets")
    );
}

/// Only the columns that are asked for are in the plan, and a limit ends reading.
#[tokio::test]
async fn a_scan_reads_what_is_asked_for() {
    let asked = Asked::new(None).await;
    let plan = asked
        .printed(
            "EXPLAIN FORMAT INDENT SELECT number FROM issues LIMIT 2",
            bellwether_query::output::Format::Csv,
        )
        .await
        .unwrap();
    assert!(
        plan.contains("StreamingTableExec")
            && plan.contains("projection=[number]")
            && plan.contains("fetch=2"),
        "{plan}"
    );
    assert_eq!(asked.rows("SELECT number FROM issues LIMIT 2").await.len(), 2);
    assert_eq!(asked.values("SELECT count(*) FROM comments").await, [3]);
    assert_eq!(asked.rows("SELECT * FROM votes LIMIT 1").await.len(), 1);
    let time = asked
        .values("SELECT created FROM issues WHERE created < '2018-01-01' ORDER BY created LIMIT 1")
        .await;
    assert_eq!(time, [seconds(day(-60, 0))]);
}
