//! A repository of a hand-made Gerrit is followed: what the corpus says in the end is what a fresh crawl says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use git::ObjectId;
use maintner::corpus::Corpus;
use maintner::dump::Dump;
use maintner::gerrit::Status;
use maintner::gerrit::change_view::ChangeView;
use maintner::live::{Sink, SinkError};
use maintner::sources::git::{Follow, PollError};
use maintpb::{GerritMutation, GitCommit, GitRef, Mutation};
use tokio_util::sync::CancellationToken;

use crate::server::{PROJECT, Server, reference};
use crate::sink::Folder;

fn hash(id: &str) -> [u8; 20] {
    *id.parse::<ObjectId>().unwrap().as_bytes()
}

/// Where the corpus has a ref of no change.
pub fn at(corpus: &Corpus, name: &str) -> Option<String> {
    let project = corpus.gerrit.project(PROJECT.as_bytes())?;
    let commit = corpus.gerrit.at_ref(project, name.as_bytes())?;
    Some(hex::encode(corpus.gerrit.commits().get(commit).hash))
}

fn view(corpus: &Corpus, change: i32) -> ChangeView<'_> {
    let project = corpus.gerrit.project(PROJECT.as_bytes()).unwrap();
    let change = corpus.gerrit.change(project, change).unwrap();
    corpus.gerrit.view(&corpus.log, corpus.gerrit.changes().get(change)).unwrap()
}

fn lines(corpus: &Corpus) -> BTreeSet<String> {
    let mut text = Vec::new();
    Dump::of(corpus).write(&mut text).unwrap();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

/// What somebody who comes to the server now has.
async fn fresh(server: &Server) -> Corpus {
    let sink = Arc::new(Folder::new());
    let folder = tempfile::tempdir_in(server.dir.path()).unwrap();
    let name = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
    server.poller(&name, sink.clone(), Follow::Gerrit).poll().await.unwrap();
    sink.replayed()
}

const COMMENT: &str = r#"{"key":{"uuid":"u1","filename":"f1.txt","patchSetId":1},"lineNbr":3,"author":{"id":2},"writtenOn":
    "2026-01-31T13:07:00Z","side":1,"message":"Why?","unresolved":true,"revId":"x"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_crawl_has_all_of_it() {
    let mut server = Server::new();
    let first = server.push("main", "", "first", "a.txt");
    let second = server.push("main", "refs/heads/main^0", "second", "naïve.txt");
    server.git(&["tag", "-a", "-m", "one", "v1", &first], b"");
    let tag = server.git(&["rev-parse", "refs/tags/v1"], b"");
    let commit = server.change(1);
    let comments = format!(r#"{{"comments":[{COMMENT}]}}"#);
    server.meta(
        1,
        2,
        "Update patch set 1\n\nPatch Set 1: V+1\n\nHm.\n\nPatch-set: 1\nLabel: V=+1, x\n",
        &[(&commit, &comments)],
    );
    for version in 2..=11 {
        server.patch_set(1, version, &format!("Patch set {version}\n"));
    }
    for own in ["refs/meta/config", "refs/users/01/1", "refs/changes/01/1/robot-comments"] {
        server.git(&["update-ref", own, &second], b"");
    }

    let sink = Arc::new(Folder::new());
    let mut poller = server.poller("a", sink.clone(), Follow::Gerrit);
    let polled = poller.poll().await.unwrap();
    assert_eq!((polled.deleted, polled.missed), (0, 0));
    let corpus = sink.corpus();
    for (name, want) in [
        ("HEAD", Some(&second)),
        ("refs/heads/main", Some(&second)),
        ("refs/tags/v1", Some(&tag)),
        ("refs/tags/v1^{}", Some(&first)),
        ("refs/meta/config", None),
        ("refs/users/01/1", None),
        ("refs/changes/01/1/robot-comments", None),
    ] {
        assert_eq!(at(&corpus, name).as_ref(), want, "{name}");
    }
    // Under the tag's name is the commit that it is of.
    let number = corpus.gerrit.commit(&hash(&tag)).unwrap();
    assert_eq!(corpus.gerrit.message(&corpus.log, number), b"first");
    // Names of files are quoted as the original has them.
    let number = corpus.gerrit.commit(&hash(&second)).unwrap();
    let files =
        maintner::commit::files(corpus.log.text(corpus.gerrit.commits().get(number).message)).unwrap();
    assert_eq!((files[0].file, files[0].added), (&br#""na\303\257ve.txt""#[..], 1));

    let project = corpus.gerrit.project(PROJECT.as_bytes()).unwrap();
    let number = corpus.gerrit.change(project, 1).unwrap();
    assert_eq!(corpus.gerrit.changes().get(number).version, 11);
    // By the original's rules the last one counts, so the last one is the highest.
    let original = Corpus::load(
        corpus.log.clone(),
        maintner::rules::Rules::Original,
        maintner::corpus::Replay::OneThread,
    )
    .unwrap();
    assert_eq!(original.gerrit.changes().get(0).version, 11);
    let view = view(&corpus, 1);
    assert_eq!((view.owner, view.status, view.branch), (Some(1), Some(Status::New), &b"main"[..]));
    assert_eq!(view.subject, "Patch set 11");
    assert_eq!(view.votes[&b"V"[..]][&2], 1);
    assert_eq!(view.messages[1].text, b"Patch Set 1: V+1\n\nHm.");
    let comment = &view.comments["u1"];
    assert_eq!(
        (comment.message.as_str(), comment.line, comment.commit.as_str()),
        ("Why?", 3, commit.as_str())
    );

    // Nothing is written twice, by this one or another.
    let records = corpus.records;
    poller.poll().await.unwrap();
    server.poller("b", sink.clone(), Follow::Gerrit).poll().await.unwrap();
    assert_eq!(sink.corpus().records, records);
    let state = poller.state().borrow().clone();
    assert_eq!((state.polls, state.waiting, state.gone, state.error), (2, 0, 0, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_repository_is_followed_without_what_looks_like_changes() {
    let mut server = Server::new();
    let head = server.push("main", "", "first", "a.txt");
    server.change(1);
    server.git(&["update-ref", "refs/pull/1/head", &head], b"");
    let sink = Arc::new(Folder::new());
    server.poller("a", sink.clone(), Follow::Plain).poll().await.unwrap();
    let corpus = sink.corpus();
    assert_eq!((at(&corpus, "HEAD"), at(&corpus, "refs/heads/main")), (Some(head.clone()), Some(head)));
    assert_eq!((at(&corpus, "refs/pull/1/head"), corpus.gerrit.changes().len()), (None, 0));
}

/// What is done to the server in one step, by a number.
fn act(server: &mut Server, number: usize, destroy: bool) {
    let change = i32::try_from(number).unwrap() / 8 + 1;
    match number % 8 {
        0 => drop(server.push(
            "main",
            if number == 0 { "" } else { "refs/heads/main^0" },
            &format!("c{number}"),
            "a",
        )),
        1 => drop(server.change(change)),
        2 => drop(server.meta(
            change,
            2,
            "Update\n\nPatch Set 1: V+1\n\nPatch-set: 1\nLabel: V=+1\nReviewer: P <2@s>\n",
            &[],
        )),
        3 => drop(server.push(&format!("b{number}"), "refs/heads/main^0", "branched", "b")),
        4 => {
            let commit = server.patch_set(change, 2, "Better\n");
            let comments = COMMENT.replace("u1", &format!("u{number}"));
            let message =
                format!("Create patch set 2\n\nUploaded patch set 2.\n\nPatch-set: 2\nCommit: {commit}\n");
            server.meta(change, 1, &message, &[(&commit, &format!(r#"{{"comments":[{comments}]}}"#))]);
        }
        5 if destroy && number > 8 => {
            drop(server.push("main", "refs/heads/main~1", &format!("forced {number}"), "a"))
        }
        5 => drop(server.meta(change, 1, "Update\n\nPatch-set: 2\nPrivate: true\n", &[])),
        6 if destroy && number > 8 => {
            for rest in ["1", "2", "meta"] {
                server.delete(&reference(change, rest));
            }
        }
        6 => drop(server.meta(change, 1, "Update\n\nPatch-set: 2\nStatus: merged\n", &[])),
        _ if destroy => server.delete(&format!("refs/heads/b{}", number - 4)),
        _ => drop(server.git(&["tag", "-a", "-m", "t", &format!("v{number}"), "refs/heads/main"], b"")),
    }
}

/// Follows a server while things are done there: of the hints three of ten are lost, and once the follower is another one
/// that has to fetch all anew.
async fn followed(server: &mut Server, destroy: bool) -> Arc<Folder> {
    let sink = Arc::new(Folder::new());
    let mut chance = 7_u32;
    for (part, folder) in ["a", "a", "b"].into_iter().enumerate() {
        let poller = server.poller(folder, sink.clone(), Follow::Gerrit);
        let (hint, mut state, stop) = (poller.hint(), poller.state(), CancellationToken::new());
        let task = tokio::spawn(poller.run(stop.clone()));
        for number in part * 8..part * 8 + 8 {
            act(server, number, destroy);
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if chance >> 16 & 1023 > 307 {
                hint.give();
            }
        }
        // In the first two parts it may be told to stop in the middle of a poll.
        if part == 2 {
            let polls = state.borrow().polls;
            state.wait_for(|state| state.polls >= polls + 2 && state.error.is_none()).await.unwrap();
        }
        stop.cancel();
        task.await.unwrap().unwrap();
    }
    sink
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_lost_hints_and_restarts_it_is_what_a_fresh_crawl_is() {
    let mut server = Server::new();
    let sink = followed(&mut server, false).await;
    let (followed, fresh) = (sink.corpus(), fresh(&server).await);
    assert_eq!(lines(&followed), lines(&fresh));
    assert_eq!(Dump::of(&followed).digest(), Dump::of(&sink.replayed()).digest());
}

/// What was forced away or deleted stays in the corpus where the log can't say that it is gone: commits (K, and the sets of P),
/// and changes with all that they have (S, G, N, Q). References to issues of such changes make repos (R).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_forced_or_deleted_differs_only_in_what_the_log_cannot_say() {
    let mut server = Server::new();
    let sink = followed(&mut server, true).await;
    let (old, new) = (lines(&sink.corpus()), lines(&fresh(&server).await));
    let missing: Vec<&String> = new.difference(&old).filter(|line| !line.starts_with("P\t")).collect();
    assert_eq!(missing, Vec::<&String>::new());
    let gone = |line: &&String| {
        let fields: Vec<&str> = line.split('\t').collect();
        // Change 1 is not deleted.
        !(matches!(fields[0], "K" | "P") || matches!(fields[0], "S" | "G" | "N" | "Q") && fields[2] != "1")
    };
    let kept: Vec<&String> = old.difference(&new).filter(gone).collect();
    assert_eq!(kept, Vec::<&String>::new());
    assert!(!old.iter().any(|line| line.starts_with("F\t") && line.contains("refs/heads/b")));
    let mut poller = server.poller("b", sink.clone(), Follow::Gerrit);
    poller.poll().await.unwrap();
    // Of those that were deleted, as many as were seen before.
    let changes = |lines: &BTreeSet<String>| -> BTreeSet<String> {
        let of_a_change = lines.iter().filter(|line| line.starts_with("G\t"));
        of_a_change.filter_map(|line| line.split('\t').nth(2)).map(str::to_owned).collect()
    };
    let gone = changes(&old).difference(&changes(&new)).count();
    assert_eq!(poller.state().borrow().gone, gone);
}

/// A log that takes so many batches and no more.
struct Full(Arc<Folder>, AtomicUsize);

#[async_trait]
impl Sink for Full {
    fn corpus(&self) -> Arc<Corpus> {
        self.0.corpus()
    }

    async fn add(&self, mutations: Vec<Mutation>) -> Result<Arc<Corpus>, SinkError> {
        let left = self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map_err(|_| SinkError::Write("full".into()))?;
        // As a program that is killed in the middle of a batch.
        for mutation in mutations {
            self.0.add(vec![mutation]).await?;
        }
        Ok(self.0.corpus())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_it_is_interrupted_the_next_one_goes_on() {
    let mut server = Server::new();
    (0..16).for_each(|number| act(&mut server, number, false));
    let sink = Arc::new(Folder::new());
    let mut tries = 0;
    loop {
        tries += 1;
        let full = Arc::new(Full(sink.clone(), AtomicUsize::new(1)));
        match server.poller("a", full, Follow::Gerrit).poll().await {
            Ok(_) => break,
            Err(PollError::Sink(_)) if tries < 20 => {}
            Err(why) => panic!("{why}"),
        }
    }
    assert!(tries > 2, "{tries}");
    assert_eq!(lines(&sink.corpus()), lines(&fresh(&server).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_that_an_older_leader_left_is_closed() {
    let mut server = Server::new();
    server.push("main", "", "first", "a");
    server.push("main", "refs/heads/main^0", "second", "a");
    let head = server.push("main", "refs/heads/main^0", "third", "a");
    let sink = Arc::new(Folder::new());
    let raw = server.git(&["cat-file", "commit", &head], b"").into_bytes();
    let sha1 = head.clone();
    let commits = vec![GitCommit { sha1: sha1.clone(), raw, ..GitCommit::default() }];
    let refs =
        ["HEAD", "refs/heads/main"].map(|name| GitRef { r#ref: name.into(), sha1: sha1.clone() }).to_vec();
    let gerrit = GerritMutation { project: PROJECT.into(), commits, refs, deleted_refs: Vec::new() };
    sink.add(vec![Mutation { gerrit: Some(gerrit), ..Mutation::default() }]).await.unwrap();
    server.poller("a", sink.clone(), Follow::Gerrit).poll().await.unwrap();
    let corpus = sink.corpus();
    assert_eq!(corpus.gerrit.commits().len(), 3);
    assert!(corpus.gerrit.commits().iter().all(|commit| !commit.is_place()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_log_can_take_is_left_out_once() {
    let mut server = Server::new();
    let good = server.push("main", "", "first", "a");
    let literally = ["hash-object", "-t", "commit", "-w", "--stdin", "--literally"];
    let odd = server.git(
        &literally,
        format!("tree {}\nparent {good}\nauthor x\n\nodd\n", "4b825dc642cb6eb9a060e54bf8d69288fbee4904")
            .as_bytes(),
    );
    let tree = server.git(&["rev-parse", &format!("{good}^{{tree}}")], b"");
    let who = "A <a@x> 1500000000 +0000";
    let long = format!(
        "tree {tree}\nparent {good}\nauthor {who}\ncommitter {who}\n\nlong\n\n{}",
        "x".repeat(9 << 20)
    );
    let long = server.git(&literally, long.as_bytes());
    server.git(&["update-ref", "refs/heads/long", &long], b"");
    server.git(&["update-ref", "refs/tags/odd", &odd], b"");
    let blob = server.git(&["hash-object", "-w", "--stdin"], b"text");
    server.git(&["update-ref", "refs/tags/blob", &blob], b"");
    let sink = Arc::new(Folder::new());
    let mut poller = server.poller("a", sink.clone(), Follow::Gerrit);
    assert_eq!(poller.poll().await.unwrap().missed, 0);
    let corpus = sink.corpus();
    assert_eq!(at(&corpus, "refs/heads/main"), Some(good));
    assert_eq!(at(&corpus, "refs/heads/long"), Some(long.clone()));
    let number = corpus.gerrit.commit(&hash(&long)).unwrap();
    let message = corpus.gerrit.message(&corpus.log, number);
    assert!(message.starts_with(b"long\n\nxxx") && message.ends_with(b" bytes more]\n"));
    assert_eq!((at(&corpus, "refs/tags/odd"), at(&corpus, "refs/tags/blob")), (None, None));
    assert_eq!(poller.state().borrow().refused, 2);
    poller.poll().await.unwrap();
    assert_eq!((sink.corpus().records, poller.state().borrow().waiting), (corpus.records, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_shows_nothing_is_not_believed_and_a_damaged_folder_is_made_anew() {
    let mut server = Server::new();
    server.push("main", "", "first", "a");
    server.change(1);
    let sink = Arc::new(Folder::new());
    let mut poller = server.poller("a", sink.clone(), Follow::Gerrit);
    poller.poll().await.unwrap();
    // Its objects go, and what is new builds on them.
    let own = server.dir.path().join("a").join("h.example%2Fp.git");
    for pack in std::fs::read_dir(own.join("objects/pack")).unwrap() {
        std::fs::write(pack.unwrap().path(), "damaged").unwrap();
    }
    let head = server.push("main", "refs/heads/main^0", "second", "a");
    poller.poll().await.unwrap();
    assert_eq!(at(&sink.corpus(), "refs/heads/main"), Some(head));
    assert_eq!(lines(&sink.corpus()), lines(&fresh(&server).await));

    let served = server.path();
    std::fs::rename(&served, served.with_extension("away")).unwrap();
    assert!(matches!(poller.poll().await, Err(PollError::Git(_))));
    assert!(poller.state().borrow().error.is_some());
    // It comes back, with what happened meanwhile.
    std::fs::rename(served.with_extension("away"), &served).unwrap();
    let head = server.push("main", "refs/heads/main^0", "third", "a");
    server.change(2);
    poller.poll().await.unwrap();
    assert_eq!(poller.state().borrow().error, None);
    assert_eq!(at(&sink.corpus(), "refs/heads/main"), Some(head));
    assert_eq!(lines(&sink.corpus()), lines(&fresh(&server).await));

    std::fs::rename(&served, served.with_extension("away")).unwrap();
    std::fs::create_dir(&served).unwrap();
    server.git(&["init", "--quiet", "--bare"], b"");
    let refused = poller.poll().await;
    assert!(matches!(refused, Err(PollError::Empty { .. })), "{refused:?}");
    assert!(poller.state().borrow().error.as_deref().is_some_and(|why| why.contains("shows no ref")));
    assert!(at(&sink.corpus(), "refs/heads/main").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_at_the_remote_keeps_nothing_else_out() {
    let mut server = Server::new();
    let first = server.push("main", "", "first", "a");
    // A file that only one branch has, and a change.
    let bad = server.push("bad", "refs/heads/main^0", "its file is damaged", "b");
    server.change(1);
    let blob = server.git(&["rev-parse", "refs/heads/bad:b"], b"");
    let (object, whole) = server.damage(&blob);

    let sink = Arc::new(Folder::new());
    let mut poller = server.poller("a", sink.clone(), Follow::Gerrit);
    assert_eq!(poller.poll().await.unwrap().missed, 0);
    let corpus = sink.corpus();
    assert_eq!((at(&corpus, "refs/heads/main"), at(&corpus, "refs/heads/bad")), (Some(first), None));
    assert_eq!(view(&corpus, 1).owner, Some(1));
    let state = poller.state().borrow().clone();
    assert!(
        state.broken.is_some_and(|what| what.contains(&bad) && what.contains("corrupt")),
        "{:?}",
        state.error
    );
    // What comes meanwhile is followed.
    let second = server.push("main", "refs/heads/main^0", "second", "a");
    poller.poll().await.unwrap();
    assert_eq!(at(&sink.corpus(), "refs/heads/main"), Some(second));

    std::fs::write(&object, whole).unwrap();
    let mended = async {
        while poller.state().borrow().broken.is_some() {
            poller.poll().await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), mended).await.unwrap();
    assert_eq!(at(&sink.corpus(), "refs/heads/bad"), Some(bad));
    assert_eq!(lines(&sink.corpus()), lines(&fresh(&server).await));
}
