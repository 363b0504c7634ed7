//! Listing, fetch and push.

use std::time::Duration;

use git::{
    Error, FetchOptions, ObjectId, PushOptions, PushOutcome, RefName, RefSpec, RefUpdate, RemoteUrl,
    Repository, Scope,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::fixture::{Fixture, options, rev, run_in};

const LIMIT: Duration = Duration::from_secs(60);

fn branch(name: &str) -> RefName {
    RefName::branch(name).unwrap()
}

async fn fetch(fixture: &Fixture, mirror: &Repository) -> Vec<(String, Option<ObjectId>, Option<ObjectId>)> {
    let report = mirror.fetch(&fixture.url(), &RefSpec::heads_and_tags(), &options()).await.unwrap();
    report.changed.into_iter().map(|change| (change.name.to_string(), change.old, change.new)).collect()
}

#[tokio::test]
async fn a_fetch_tells_what_changed() {
    let fixture = Fixture::new();
    let one = fixture.commit("one");
    fixture.run(&["branch", "a"]);
    let mirror = fixture.git.init_bare(&fixture.path("mirror.git")).await.unwrap();
    let (a, main) = ("refs/heads/a".to_owned(), "refs/heads/main".to_owned());
    assert_eq!(
        fetch(&fixture, &mirror).await,
        [(a.clone(), None, Some(one)), (main.clone(), None, Some(one))]
    );
    assert_eq!(fetch(&fixture, &mirror).await, []);
    // Forced, pruned, and a folder where a branch was.
    fixture.run(&["commit", "-q", "--amend", "--allow-empty", "-m", "other"]);
    let other: ObjectId = fixture.run(&["rev-parse", "HEAD"]).parse().unwrap();
    fixture.run(&["branch", "-D", "a"]);
    fixture.run(&["branch", "a/b"]);
    let changed = fetch(&fixture, &mirror).await;
    let a_b = "refs/heads/a/b".to_owned();
    assert_eq!(changed, [(a, Some(one), None), (a_b, None, Some(other)), (main, Some(one), Some(other))]);
    assert!(mirror.contains(one).await.unwrap(), "what a force-push made unreachable stays");
}

#[tokio::test]
async fn ten_thousand_refs_are_listed_and_fetched() {
    let fixture = Fixture::new();
    let head = fixture.commit("one");
    let lines: String = (0..10_000).map(|n| format!("create refs/heads/b{n:05} {head}\n")).collect();
    run_in(&fixture.source, &["update-ref", "--stdin"], lines.as_bytes());
    fixture.run(&["pack-refs", "--all"]);
    let mirror = fixture.mirror().await;
    assert_eq!(mirror.refs("refs/heads/b").await.unwrap().len(), 10_000);
    let listing = fixture.git.ls_remote(&fixture.url(), Scope::All, LIMIT).await.unwrap();
    assert_eq!((listing.refs.len(), listing.head_branch), (10_001, Some(branch("main"))));
}

#[tokio::test]
async fn an_empty_or_detached_source_is_listed() {
    let fixture = Fixture::new();
    let listing = fixture.git.ls_remote(&fixture.url(), Scope::All, LIMIT).await.unwrap();
    assert!(listing.refs.is_empty() && listing.head.is_none());
    let head = fixture.commit("one");
    fixture.run(&["checkout", "-q", "--detach"]);
    fixture.run(&["branch", "-D", "main"]);
    let listing = fixture.git.ls_remote(&fixture.url(), Scope::All, LIMIT).await.unwrap();
    assert_eq!((listing.refs.len(), listing.head, listing.head_branch), (0, Some(head), None));
    let mirror = fixture.git.init_bare(&fixture.path("mirror.git")).await.unwrap();
    let to: RefName = "refs/bellwether/head".parse().unwrap();
    mirror.fetch(&fixture.url(), &[RefSpec::head(&to)], &options()).await.unwrap();
    assert!(mirror.contains(head).await.unwrap());
}

#[tokio::test]
async fn a_repository_is_found_from_any_path_in_it() {
    let fixture = Fixture::new();
    fixture.write("sub/dir/file", "x");
    let head = fixture.commit("one");
    let top = fixture.source.canonicalize().unwrap();
    let found = fixture.git.find(&fixture.source.join("sub/dir")).await.unwrap();
    assert_eq!((&found.top, &found.git_dir), (&top, &top.join(".git")));
    let linked = fixture.path("linked");
    fixture.run(&["worktree", "add", "-q", "-b", "other", linked.to_str().unwrap()]);
    let found = fixture.git.find(&linked.join("sub")).await.unwrap();
    assert_eq!((&found.top, &found.common_dir), (&linked.canonicalize().unwrap(), &top.join(".git")));
    assert!(found.git_dir.starts_with(top.join(".git/worktrees")));
    let listing =
        fixture.git.ls_remote(&RemoteUrl::from_path(&found.top).unwrap(), Scope::All, LIMIT).await.unwrap();
    assert_eq!((listing.head, listing.head_branch), (Some(head), Some(branch("other"))));
    let mirror = fixture.mirror().await;
    assert_eq!(fixture.git.find(mirror.dir()).await.unwrap().top, mirror.dir().canonicalize().unwrap());
    for nowhere in [fixture.path("home"), fixture.path("missing")] {
        let error = fixture.git.find(&nowhere).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_shallow_source_is_fetched_as_far_as_it_goes() {
    let fixture = Fixture::new();
    fixture.commit("one");
    fixture.commit("two");
    let head = fixture.commit("three");
    let shallow = fixture.path("shallow");
    let from = format!("file://{}", fixture.source.display());
    run_in(fixture.dir.path(), &["clone", "-q", "--depth=2", &from, shallow.to_str().unwrap()], b"");
    let mirror = fixture.git.init_bare(&fixture.path("mirror.git")).await.unwrap();
    let url = RemoteUrl::from_path(&shallow).unwrap();
    mirror.fetch(&url, &RefSpec::heads_and_tags(), &options()).await.unwrap();
    assert_eq!(mirror.first_parent(head, None, 10).await.unwrap().len(), 2);
    mirror.fetch(&url, &RefSpec::heads_and_tags(), &options()).await.unwrap();
    assert!(mirror.is_shallow().await);
    // It grows with its source.
    run_in(&shallow, &["fetch", "-q", "--unshallow"], b"");
    mirror.fetch(&url, &RefSpec::heads_and_tags(), &options()).await.unwrap();
    assert_eq!(mirror.first_parent(head, None, 10).await.unwrap().len(), 3);
    assert!(!mirror.is_shallow().await);
}

#[tokio::test]
async fn a_source_of_another_user_is_fetched() {
    let fixture = Fixture::new();
    let head = fixture.commit("one");
    // Only root can give files away; anyone else sees their own files here.
    let _ = std::process::Command::new("chown").args(["-R", "65534"]).arg(&fixture.source).status();
    let mirror = fixture.mirror().await;
    assert_eq!(mirror.resolve(&rev("main")).await.unwrap(), Some(head));
    assert!(fixture.git.find(&fixture.source).await.is_ok());
}

#[tokio::test]
async fn a_damaged_source_is_named_so() {
    let fixture = Fixture::new();
    fixture.write("file", "to be lost");
    fixture.commit("one");
    let lost = fixture.run(&["rev-parse", "HEAD:file"]);
    std::fs::remove_file(fixture.source.join(format!(".git/objects/{}/{}", &lost[..2], &lost[2..]))).unwrap();
    let mirror = fixture.git.init_bare(&fixture.path("mirror.git")).await.unwrap();
    let error = mirror.fetch(&fixture.url(), &RefSpec::heads_and_tags(), &options()).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn what_a_killed_git_left_is_no_obstacle() {
    let fixture = Fixture::new();
    let head = fixture.commit("one");
    let dir = fixture.path("mirror.git");
    fixture.git.init_bare(&dir).await.unwrap();
    std::fs::create_dir_all(dir.join("refs/heads")).unwrap();
    for name in ["packed-refs.lock", "HEAD.lock", "config.lock", "shallow.lock", "refs/heads/main.lock"] {
        std::fs::write(dir.join(name), "").unwrap();
    }
    std::fs::write(dir.join("objects/pack/tmp_pack_abc"), "half").unwrap();
    let mirror = fixture.mirror().await;
    assert_eq!(mirror.resolve(&rev("main")).await.unwrap(), Some(head));
    assert!(!dir.join("objects/pack/tmp_pack_abc").exists());
}

#[tokio::test]
async fn many_packs_are_joined_and_nothing_is_lost() {
    let fixture = Fixture::new();
    let mirror = fixture.git.init_bare(&fixture.path("mirror.git")).await.unwrap();
    let mut all = Vec::new();
    for n in 0..42 {
        fixture.write("file", n.to_string());
        all.push(fixture.commit(&n.to_string()));
        mirror.fetch_quietly(&fixture.url(), &RefSpec::heads_and_tags(), &options()).await.unwrap();
    }
    fixture.run(&["reset", "-q", "--hard", &all[0].to_string()]);
    mirror.fetch_quietly(&fixture.url(), &RefSpec::heads_and_tags(), &options()).await.unwrap();
    let packs = || {
        let entries = std::fs::read_dir(mirror.dir().join("objects/pack")).unwrap().flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "pack")).count()
    };
    assert!(packs() > 40);
    mirror.maintain().await.unwrap();
    assert!(packs() < 10, "{}", packs());
    assert_eq!(mirror.commits(&all).await.unwrap().len(), all.len());
}

#[tokio::test]
async fn each_ref_of_a_push_has_its_own_outcome() {
    let fixture = Fixture::new();
    let one = fixture.commit("one");
    let two = fixture.commit("two");
    let mirror = fixture.mirror().await;
    let dest = fixture.path("dest");
    std::fs::create_dir(&dest).unwrap();
    run_in(&dest, &["init", "-q", "-b", "main"], b"");
    let url = RemoteUrl::from_path(&dest).unwrap();
    let how = PushOptions { push_options: Vec::new(), timeout: LIMIT, cancel: Default::default() };
    let set = |name: &str, new| RefUpdate { name: branch(name), new };
    let updates = [set("a", Some(two)), set("--upload-pack=x", Some(one)), set("main", Some(one))];
    let results = mirror.push(&url, &updates, &how).await.unwrap();
    assert_eq!(results[0].outcome, PushOutcome::Done);
    assert_eq!(results[1].outcome, PushOutcome::Done);
    let PushOutcome::Refused(reason) = &results[2].outcome else {
        panic!("the checked-out branch was pushed")
    };
    assert!(reason.contains("checked out"), "{reason}");
    // Back by force, and a deletion.
    let results =
        mirror.push(&url, &[set("a", Some(one)), set("--upload-pack=x", None)], &how).await.unwrap();
    assert!(results.iter().all(|result| result.outcome == PushOutcome::Done), "{results:?}");
    let there = fixture.git.ls_remote(&url, Scope::All, LIMIT).await.unwrap();
    assert_eq!(there.refs, [git::Ref { name: branch("a"), id: one }]);
    let nowhere = RemoteUrl::from_path(&fixture.path("nowhere")).unwrap();
    assert!(matches!(mirror.push(&nowhere, &updates, &how).await, Err(Error::NotFound { .. })));
}

/// A web server that gives every request the same answer, and the requests it got.
async fn web(
    answer: &'static str,
) -> (u16, tokio::sync::mpsc::Receiver<String>, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = tokio::sync::mpsc::channel(100);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let (mut head, mut line) = (String::new(), String::new());
            while stream.read_line(&mut line).await.is_ok_and(|n| n > 2) {
                head += &std::mem::take(&mut line);
            }
            let _ = sender.send(head).await;
            let text = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    (port, receiver, task)
}

#[tokio::test]
async fn each_failure_of_a_remote_has_its_cause() {
    let fixture = Fixture::new();
    let mirror = fixture.git.init_bare(&fixture.path("mirror.git")).await.unwrap();
    let cause = async |url: &str| {
        let url: RemoteUrl = url.parse().unwrap();
        let options = FetchOptions { prune: true, depth: None, timeout: LIMIT, cancel: Default::default() };
        let listed = fixture.git.ls_remote(&url, Scope::All, LIMIT).await.unwrap_err();
        let fetched = mirror.fetch(&url, &RefSpec::heads_and_tags(), &options).await.unwrap_err();
        assert_eq!(std::mem::discriminant(&listed), std::mem::discriminant(&fetched), "{listed} / {fetched}");
        fetched
    };
    let missing = cause(fixture.path("missing").to_str().unwrap()).await;
    assert!(matches!(missing, Error::NotFound { .. }) && !missing.is_transient(), "{missing}");
    let folder = cause(fixture.path("home").to_str().unwrap()).await;
    assert!(matches!(folder, Error::NotFound { .. }), "{folder}");

    let (port, _, server) = web("404 Not Found").await;
    let gone = cause(&format!("http://127.0.0.1:{port}/x")).await;
    assert!(matches!(gone, Error::NotFound { .. }), "{gone}");
    server.abort();

    let (port, mut requests, server) = web("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"").await;
    let who = cause(&format!("http://127.0.0.1:{port}/x")).await;
    assert!(matches!(who, Error::NeedsCredentials { .. }) && !who.is_transient(), "{who}");
    while requests.try_recv().is_ok() {}
    let wrong = cause(&format!("http://me:s3cret@127.0.0.1:{port}/x")).await;
    assert!(matches!(wrong, Error::NeedsCredentials { .. }), "{wrong}");
    assert!(!format!("{wrong} {wrong:?}").contains("s3cret"), "{wrong:?}");
    let mut sent = Vec::new();
    while let Ok(request) = requests.try_recv() {
        sent.push(request);
    }
    assert!(sent.iter().any(|request| request.contains("Authorization: Basic bWU6czNjcmV0")), "{sent:?}");
    server.abort();

    let (port, _, server) = web("503 Service Unavailable").await;
    let away = cause(&format!("http://127.0.0.1:{port}/x")).await;
    assert!(matches!(away, Error::Unreachable { .. }) && away.is_transient(), "{away}");
    server.abort();
    let _ = server.await;
    let refused = cause(&format!("http://127.0.0.1:{port}/x")).await;
    assert!(matches!(refused, Error::Unreachable { .. }), "{refused}");

    fixture.commit("one");
    let to: RefName = "refs/bellwether/x".parse().unwrap();
    for spec in [RefSpec::object(ObjectId::from_bytes([7; 20]), &to), RefSpec::one(&branch("none"), &to)] {
        let none = mirror.fetch(&fixture.url(), &[spec], &options()).await.unwrap_err();
        assert!(matches!(none, Error::NoSuchRevision { .. }), "{none}");
    }
}
