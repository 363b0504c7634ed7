//! A real Gerrit is followed while people work in it: what the corpus says in the end is what Gerrit's REST API says, field by
//! field. Of the hints three of ten are lost.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

#[path = "it/sink.rs"]
#[expect(dead_code, reason = "the other tests have a use for all of it")]
mod sink;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use git::{Git, GitConfig, RemoteUrl};
use maintner::corpus::Corpus;
use maintner::dump::Dump;
use maintner::gerrit::Status;
use maintner::live::{Sink as _, SinkError};
use maintner::sources::git::{Follow, Hint, Options, Poller, Remote};
use maintner::time::Time;
use serde_json::{Map, Value, json};
use sink::Folder;
use testkit::gerrit::{FOLLOWER_LOGIN, Gerrit, Options as Script, dump, run};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PROJECTS: [&str; 3] = ["core", "infra/tools", "website"];
const SERVER: &str = "gerrit.example";
/// Stories after which it is begun to follow, so that there is something to crawl first.
const CRAWLED: usize = 5;

fn poller(gerrit: &Gerrit, project: &str, sink: &Arc<Folder>, every: Duration, folder: &str) -> Poller {
    let home = gerrit.site().join("follower");
    let git = Git::new(GitConfig::new(home.join("home"))).unwrap();
    let (name, password) = FOLLOWER_LOGIN;
    let url = format!("http://{name}:{password}@{}/a/{project}", gerrit.address());
    let remote = Remote::new(&format!("{SERVER}/{project}"), RemoteUrl::parse(&url).unwrap(), Follow::Gerrit);
    let options = Options {
        folder: home.join(folder),
        every,
        gap: Duration::from_millis(300),
        now: || Time::from_seconds(1),
    };
    Poller::new(git, remote.unwrap(), options, sink.clone())
}

/// Seconds since 1970 as Gerrit writes them.
fn time(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap();
    time.strftime("%Y-%m-%d %H:%M:%S.000000000").to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn or_null(text: String) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

/// What the corpus says, in the form of [`dump`], by number.
fn said(corpus: &Corpus) -> BTreeMap<u64, Value> {
    let mut all = BTreeMap::new();
    for change in corpus.gerrit.changes().iter() {
        let project = text(corpus.gerrit.name(corpus.gerrit.projects().get(change.project).name));
        let Ok(view) = corpus.gerrit.view(&corpus.log, change) else { continue };
        let status = match view.status.unwrap() {
            Status::New | Status::Draft => "NEW",
            Status::Merged => "MERGED",
            Status::Abandoned => "ABANDONED",
        };
        let mut hashtags: Vec<String> = view.hashtags.iter().map(|tag| text(tag)).collect();
        hashtags.sort_unstable();
        let patch_sets = view.patch_sets.iter().map(|one| {
            json!({ "number": one.version, "commit": hex::encode(one.commit), "uploader": one.uploader.account(), "created": time(one.time) })
        });
        let votes = view.votes.iter().map(|(label, votes)| {
            let votes: Map<String, Value> =
                votes.iter().map(|(who, vote)| (who.to_string(), (*vote).into())).collect();
            (text(label), votes.into())
        });
        let messages = view.messages.iter().map(|one| {
            json!({ "date": time(one.time), "author": one.author.account(), "patch_set": one.version,
                "tag": or_null(text(one.tag)), "text": text(one.text) })
        });
        let mut comments: Vec<Value> = view.comments.values().map(|one| {
            let range = one.range.as_ref().map(|range| json!({ "start_line": range.start_line,
                "start_character": range.start_character, "end_line": range.end_line, "end_character": range.end_character }));
            json!({ "id": one.uuid, "path": one.file, "patch_set": one.patch_set, "line": (one.line > 0).then_some(one.line),
                "range": range, "author": one.author, "date": one.written.as_ref().map(|at| time(at.seconds)),
                "unresolved": one.unresolved, "reply_to": or_null(one.parent_uuid.clone()), "text": one.message })
        }).collect();
        comments.sort_by_key(|one| ["path", "id"].map(|key| one[key].as_str().unwrap().to_owned()));
        let number = u64::try_from(change.number).unwrap();
        let project = project.strip_prefix(SERVER).unwrap().trim_start_matches('/');
        all.insert(number, json!({
            "number": number, "change_id": text(view.change_id), "project": project, "branch": text(view.branch),
            "status": status, "owner": view.owner, "subject": view.subject, "created": time(view.created),
            "updated": time(view.updated), "submitted": view.submitted.map(|(_, at)| time(at)),
            "submitter": view.submitted.map(|(who, _)| who), "private": view.private, "wip": view.wip, "hashtags": hashtags,
            "topic": or_null(text(view.topic)), "patch_sets": patch_sets.collect::<Vec<_>>(),
            "votes": votes.collect::<Map<String, Value>>(), "reviewers": view.reviewers, "cc": view.cc,
            "messages": messages.collect::<Vec<_>>(), "comments": comments,
        }));
    }
    all
}

/// Where the corpus is not what REST says, a line each; how many fields are compared, and how many elements these have.
fn differences(rest: &Value, corpus: &Corpus) -> (Vec<String>, usize, usize) {
    let (mut found, mut fields, mut elements) = (Vec::new(), 0, 0);
    let mut said = said(corpus);
    for change in rest["changes"].as_array().unwrap() {
        let number = change["number"].as_u64().unwrap();
        let Some(ours) = said.remove(&number) else {
            found.push(format!("{number} is not there"));
            continue;
        };
        for (field, ours) in ours.as_object().unwrap() {
            fields += 1;
            elements += ours.as_array().map_or(1, Vec::len);
            if change[field] != *ours {
                found.push(format!("{number} {field}:\n  REST {}\n  ours {ours}", change[field]));
            }
        }
    }
    (found, fields, elements)
}

/// Starts what follows each project.
fn follow(pollers: Vec<Poller>, stop: &CancellationToken) -> Vec<JoinHandle<Result<(), SinkError>>> {
    pollers.into_iter().map(|poller| tokio::spawn(poller.run(stop.clone()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_corpus_says_what_gerrit_says() {
    let site = tempfile::tempdir().unwrap();
    let path = site.path().join("site");
    let began = Instant::now();
    let gerrit = Arc::new(tokio::task::spawn_blocking(move || Gerrit::start(&path)).await.unwrap().unwrap());
    let java = gerrit.pid().unwrap();
    let cpu = || testkit::cpu_time(java).unwrap().as_secs_f64();
    println!("started after {:.1} s, {:.1} s of CPU", began.elapsed().as_secs_f64(), cpu());

    let sink = Arc::new(Folder::new());
    let pollers: Vec<Poller> = PROJECTS
        .iter()
        .map(|project| poller(&gerrit, project, &sink, Duration::from_secs(5), "live"))
        .collect();
    let hints: Vec<Hint> = pollers.iter().map(Poller::hint).collect();
    let stop = CancellationToken::new();
    let (begin, begun) = tokio::sync::oneshot::channel();
    let script = tokio::task::spawn_blocking({
        let gerrit = gerrit.clone();
        move || {
            let (mut stories, mut begin, mut chance) = (0, Some(begin), 1_u32);
            run(&gerrit, Script { changes: 60, seed: 1 }, &mut |_| {
                stories += 1;
                if stories == CRAWLED {
                    let _ = begin.take().unwrap().send(());
                }
                for hint in &hints {
                    chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if chance >> 16 & 1023 > 307 {
                        hint.give();
                    }
                }
            })
        }
    });
    begun.await.unwrap();
    let mut states: Vec<_> = pollers.iter().map(Poller::state).collect();
    let tasks = follow(pollers, &stop);
    let made = script.await.unwrap().unwrap();
    println!("the script took {:.1} s, {:.1} s of CPU", made.took.as_secs_f64(), cpu());
    // Before it is killed: what its index has not written by then is not found any more.
    let follower = made.follower;
    let rest = tokio::task::spawn_blocking(move || dump(&follower)).await.unwrap().unwrap();
    // It goes away underway: that is said, and when it is there again it is gone on with.
    let mut gerrit = Arc::into_inner(gerrit).unwrap();
    gerrit.crash();
    for state in &mut states {
        let said = state.wait_for(|state| state.error.is_some());
        let said = tokio::time::timeout(Duration::from_secs(60), said).await.map(|said| said.map(|_| ()));
        assert!(matches!(said, Ok(Ok(()))), "{:?}", *state.borrow());
    }
    let (mut gerrit, resumed) = tokio::task::spawn_blocking(move || {
        let resumed = gerrit.resume();
        (gerrit, resumed)
    })
    .await
    .unwrap();
    resumed.unwrap();
    let java = gerrit.pid().unwrap();
    let cpu = || testkit::cpu_time(java).unwrap().as_secs_f64();
    let before: Vec<u64> = states.iter().map(|state| state.borrow().polls).collect();
    for (state, before) in states.iter_mut().zip(before) {
        let good =
            state.wait_for(|state| state.polls >= before + 2 && state.error.is_none() && state.waiting == 0);
        let good = tokio::time::timeout(Duration::from_secs(300), good).await.map(|good| good.map(|_| ()));
        assert!(matches!(good, Ok(Ok(()))), "{:?}", *state.borrow());
    }
    stop.cancel();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let polls: u64 = states.iter().map(|state| state.borrow().polls).sum();
    let gone: usize = states.iter().map(|state| state.borrow().gone).sum();
    assert!(gone <= made.deleted.len());
    let corpus = sink.corpus();
    let (found, fields, elements) = differences(&rest, &corpus);
    assert_eq!(found, [""; 0], "{}", found.join("\n"));
    println!(
        "{} changes, {fields} fields with {elements} elements are equal after {polls} polls, {:.1} s, {:.1} s of CPU",
        rest["changes"].as_array().unwrap().len(),
        began.elapsed().as_secs_f64(),
        cpu()
    );
    let changes = rest["changes"].as_array().unwrap();
    assert!(changes.len() >= 60 && fields >= changes.len() * 19, "{} changes", changes.len());
    let any = |what: &str, holds: &dyn Fn(&Value) -> bool| {
        assert!(changes.iter().any(holds), "no change is {what}")
    };
    any("private", &|change| change["private"] == true);
    any("in work", &|change| change["wip"] == true);
    any("abandoned", &|change| change["status"] == "ABANDONED");
    any("merged", &|change| change["status"] == "MERGED");
    any("tagged", &|change| change["hashtags"].as_array().is_some_and(|tags| !tags.is_empty()));

    // A difference would be found.
    let mut other = rest.clone();
    other["changes"][3]["subject"] = "other".into();
    other["changes"][5]["messages"][0]["text"] = "other".into();
    assert_eq!(differences(&other, &corpus).0.len(), 2);
    // Whoever comes now has the same, but for changes that were deleted meanwhile.
    let fresh = Arc::new(Folder::new());
    for project in PROJECTS {
        poller(&gerrit, project, &fresh, Duration::from_secs(5), "fresh").poll().await.unwrap();
    }
    assert_eq!(said(&fresh.corpus()).len(), rest["changes"].as_array().unwrap().len());
    if gone == 0 {
        assert_eq!(Dump::of(&fresh.corpus()).digest(), Dump::of(&corpus).digest());
    }
    gerrit.stop().unwrap();
}
