//! What is damaged at a remote that is followed, or in our copy of it: each is told from the other, and nothing stays out once it
//! can be had.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use maintner::live::Sink as _;
use maintner::sources::git::{Follow, Poller};
use maintpb::{GerritMutation, GitCommit, GitRef, Mutation};

use crate::poller::at;
use crate::server::{PROJECT, Server};
use crate::sink::Folder;

/// So long that nothing damaged is tried again within a test.
const NEVER: Duration = Duration::from_secs(3600);

fn told(poller: &Poller) -> Option<String> {
    poller.state().borrow().broken.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_by_another_way_is_read() {
    let mut server = Server::new();
    server.push("main", "", "first", "a");
    let bad = server.push("bad", "refs/heads/main^0", "its file is damaged", "b");
    let (object, whole) = server.damage(&server.git(&["rev-parse", "refs/heads/bad:b"], b""));
    let sink = Arc::new(Folder::new());
    let mut poller = server.poller_every("a", sink.clone(), Follow::Plain, NEVER);
    poller.poll().await.unwrap();
    assert_eq!(at(&sink.corpus(), "refs/heads/bad"), None);
    assert!(told(&poller).is_some_and(|what| what.contains(&bad)));

    std::fs::write(&object, whole).unwrap();
    let merged = server.push("main", "refs/heads/bad^0", "merged", "a");
    poller.poll().await.unwrap();
    let corpus = sink.corpus();
    assert_eq!((at(&corpus, "refs/heads/main"), at(&corpus, "refs/heads/bad")), (Some(merged), Some(bad)));
    assert_eq!(told(&poller), None);
}

/// An annotated tag, say, of which no log has a name before it is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_here_already_is_tried_again_as_well() {
    let mut server = Server::new();
    server.push("main", "", "first", "a");
    let bad = server.push("bad", "refs/heads/main^0", "its file is damaged", "b");
    server.git(&["tag", "-a", "-m", "one", "v1", &bad], b"");
    let tag = server.git(&["rev-parse", "refs/tags/v1"], b"");
    server.delete("refs/heads/bad");
    let (object, whole) = server.damage(&server.git(&["rev-parse", &format!("{bad}:b")], b""));
    let sink = Arc::new(Folder::new());
    let mut poller = server.poller_every("a", sink.clone(), Follow::Plain, Duration::from_millis(1));
    poller.poll().await.unwrap();
    assert!(told(&poller).is_some());
    std::fs::write(&object, whole).unwrap();
    let own = server.dir.path().join("a").join("h.example%2Fp.git");
    let fetched = ["--git-dir", own.to_str().unwrap(), "fetch", "--quiet", "--no-tags", ".", "refs/tags/v1"];
    server.git(&fetched, b"");
    mended(&mut poller).await;
    assert_eq!(at(&sink.corpus(), "refs/tags/v1"), Some(tag));
}

/// Polls until nothing is damaged any more.
async fn mended(poller: &mut Poller) {
    for _ in 0..100 {
        poller.poll().await.unwrap();
        if told(poller).is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", told(poller));
}

/// A log whose last writer left out what comes before the last commit, which is damaged at the remote, and so is a branch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_gap_is_no_more_to_be_told_once_nobody_wants_it() {
    for gone in [false, true] {
        let mut server = Server::new();
        server.push("main", "", "first", "a");
        let second = server.push("main", "refs/heads/main^0", "second", "a");
        let third = server.push("main", "refs/heads/main^0", "third", "a");
        server.push("bad", "refs/heads/main^0", "its file is damaged", "b");
        let (object, whole) = server.damage(&server.git(&["rev-parse", &format!("{second}:a")], b""));
        server.damage(&server.git(&["rev-parse", "refs/heads/bad:b"], b""));
        let sink = Arc::new(Folder::new());
        let raw = server.git(&["cat-file", "commit", &third], b"").into_bytes();
        let commits = vec![GitCommit { sha1: third.clone(), raw, ..GitCommit::default() }];
        let refs = ["HEAD", "refs/heads/main"].map(|name| GitRef { r#ref: name.into(), sha1: third.clone() });
        let gerrit =
            GerritMutation { project: PROJECT.into(), commits, refs: refs.into(), deleted_refs: Vec::new() };
        sink.add(vec![Mutation { gerrit: Some(gerrit), ..Mutation::default() }]).await.unwrap();
        let mut poller = server.poller_every("a", sink.clone(), Follow::Plain, Duration::from_millis(1));
        poller.poll().await.unwrap();
        assert!(told(&poller).is_some_and(|what| what.contains("1 more")), "{:?}", told(&poller));

        server.delete("refs/heads/bad");
        if gone {
            // Forced away and cleaned up.
            server.push("main", "", "anew", "a");
            server.git(&["update-ref", "-d", "refs/heads/main@{1}"], b"");
            std::fs::remove_file(server.path().join("objects").join(&second[..2]).join(&second[2..]))
                .unwrap();
        } else {
            std::fs::write(&object, whole).unwrap();
        }
        mended(&mut poller).await;
        let corpus = sink.corpus();
        assert_eq!(
            corpus.gerrit.commits().iter().filter(|commit| commit.is_place()).count(),
            usize::from(gone)
        );
        let state = poller.state().borrow().clone();
        assert_eq!((state.error, state.refused), (None, usize::from(gone)));
    }
}

fn spoil(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            spoil(&path);
        } else if path.extension().is_some_and(|it| it == "pack") {
            let mut bytes = std::fs::read(&path).unwrap();
            // Head and sum stay: another pack than its index is of, git leaves out by itself.
            let (from, to) = (12, bytes.len() - 20);
            bytes[from..to].fill(b'x');
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

/// The remote says what it can't read of a file, and of a commit it breaks off without a word of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_damage_is_not_taken_for_the_remotes() {
    for what in ["refs/heads/bad:b", "refs/heads/bad"] {
        let mut server = Server::new();
        server.push("main", "", "first", "a");
        let bad = server.push("bad", "refs/heads/main^0", "its file is damaged", "b");
        server.damage(&server.git(&["rev-parse", what], b""));
        let sink = Arc::new(Folder::new());
        let mut poller = server.poller_every("a", sink.clone(), Follow::Plain, NEVER);
        poller.poll().await.unwrap();
        assert!(told(&poller).is_some_and(|what| what.contains(&bad)), "{what}: {:?}", told(&poller));
        spoil(&server.dir.path().join("a").join("h.example%2Fp.git/objects"));
        let head = server.push("main", "refs/heads/main^0", "second", "a");
        poller.poll().await.unwrap();
        assert_eq!(at(&sink.corpus(), "refs/heads/main"), Some(head), "{what}: {:?}", told(&poller));
        let told = told(&poller).unwrap();
        assert!(told.contains(&bad) && !told.contains("more such"), "{told}");
    }
}
