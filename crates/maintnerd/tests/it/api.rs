//! The questions over gRPC, by the rules of the specification.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::FutureExt as _;
use maintnerd::api::try_work::{Comment, Posted, Reviews, TryWork, TryWorkError, Waiting};
use maintnerd::api::{Home, View};
use maintpb::api::maintner_service_client::MaintnerServiceClient;
use maintpb::api::*;
use tokio::sync::Notify;
use tonic::Code;
use transport::{CallError, Service};

use crate::daemon::{asked, leads};

/// A commit of some seconds since 1970, with its hash made of a letter and a number.
pub fn commit(hash: &str, parent: Option<&str>, seconds: i64, message: &str) -> maintpb::GitCommit {
    let parent = parent.map(|parent| format!("parent {parent}\n")).unwrap_or_default();
    let who = format!("Ann B <ann@example.org> {seconds} +0000");
    let tree = "0".repeat(40);
    let raw = format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\n{message}\n");
    maintpb::GitCommit { sha1: hash.into(), raw: raw.into_bytes(), ..Default::default() }
}

pub fn hash(letter: char, number: usize) -> String {
    format!("{letter}{number:039}")
}

/// A line of commits, each a minute after the one before, from a moment on.
fn line(letter: char, count: usize, begin: i64) -> Vec<maintpb::GitCommit> {
    (0..count)
        .map(|nth| {
            let parent = nth.checked_sub(1).map(|before| hash(letter, before));
            let seconds = begin + 60 * i64::try_from(nth).unwrap();
            commit(&hash(letter, nth), parent.as_deref(), seconds, &format!("all: {letter}{nth}\n\nMore."))
        })
        .collect()
}

pub fn project(name: &str, commits: Vec<maintpb::GitCommit>, refs: &[(&str, String)]) -> maintpb::Mutation {
    let refs = refs.iter().map(|(name, sha1)| maintpb::GitRef { r#ref: (*name).into(), sha1: sha1.clone() });
    let gerrit = maintpb::GerritMutation {
        project: format!("go.googlesource.com/{name}"),
        commits,
        refs: refs.collect(),
        ..Default::default()
    };
    maintpb::Mutation { gerrit: Some(gerrit), ..Default::default() }
}

/// Go with ten commits and two releases, and net with five beside it.
fn world() -> Vec<maintpb::Mutation> {
    let go = project(
        "go",
        line('a', 10, 1_000_000),
        &[
            ("refs/heads/master", hash('a', 9)),
            ("refs/heads/release-branch.go1.11", hash('a', 5)),
            ("refs/heads/release-branch.go1.10", hash('a', 3)),
            ("refs/tags/go1.11.1", hash('a', 4)),
            ("refs/tags/go1.10.4", hash('a', 2)),
            ("refs/tags/go1.12beta1", hash('a', 8)),
        ],
    );
    // Half a minute after every other one of go's.
    let net: Vec<_> = (0..5usize)
        .map(|nth| {
            let parent = nth.checked_sub(1).map(|before| hash('b', before));
            commit(
                &hash('b', nth),
                parent.as_deref(),
                1_000_030 + 120 * i64::try_from(nth).unwrap(),
                "net: one",
            )
        })
        .collect();
    vec![go, project("net", net, &[("refs/heads/master", hash('b', 4))])]
}

async fn client() -> (MaintnerServiceClient<Service>, tempfile::TempDir) {
    let log = tempfile::tempdir().unwrap();
    let daemon = leads(log.path()).await;
    daemon.sink().unwrap().add(world()).await.unwrap();
    (MaintnerServiceClient::new(Service::in_process(asked(&daemon))), log)
}

#[tokio::test(flavor = "multi_thread")]
async fn ancestors_and_refs() {
    let (mut client, _log) = client().await;
    let (a, unknown) = (|nth| hash('a', nth), "f".repeat(40));
    for (commit, ancestor, has, unknown_commit) in [
        (a(9), a(0), true, false),
        (a(9), a(8), true, false),
        (a(9), a(9), false, false),
        (a(0), a(9), false, false),
        (a(9).to_uppercase(), a(1), true, false),
        (a(9), hash('b', 0), false, false),
        (unknown.clone(), a(0), false, true),
        (a(0), unknown.clone(), false, false),
        (unknown.clone(), unknown.clone(), false, true),
        ("x".repeat(40), a(0), false, true),
        (a(0), "x".repeat(40), false, false),
    ] {
        let request = HasAncestorRequest { commit: commit.clone(), ancestor: ancestor.clone() };
        let answer = client.has_ancestor(request).await.unwrap().into_inner();
        assert_eq!(
            (answer.has_ancestor, answer.unknown_commit),
            (has, unknown_commit),
            "{commit} {ancestor}"
        );
    }
    for (commit, ancestor, said) in
        [("a".into(), a(1), "invalid Commit"), (a(1), a(1) + "0", "invalid Ancestor")]
    {
        let refused = client.has_ancestor(HasAncestorRequest { commit, ancestor }).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::Unknown, said));
    }
    let asked = |name: &str, server: &str, project: &str| GetRefRequest {
        r#ref: name.into(),
        gerrit_server: server.into(),
        gerrit_project: project.into(),
    };
    for (name, server, want) in [
        ("refs/heads/master", "go.googlesource.com", a(9)),
        ("refs/heads/master", "https://go-review.googlesource.com/", a(9)),
        ("refs/heads/none", "go.googlesource.com", String::new()),
        ("refs/changes/01/1/1", "go.googlesource.com", String::new()),
    ] {
        assert_eq!(
            client.get_ref(asked(name, server, "go")).await.unwrap().into_inner().value,
            want,
            "{name} {server}"
        );
    }
    let refused =
        client.get_ref(asked("refs/heads/master", "go.googlesource.com", "bogus")).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, "unknown gerrit project"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_page_by_page() {
    let (mut client, _log) = client().await;
    let ask = |repo: &str, branch: &str, page: i32, max_commits: i32| DashboardRequest {
        page,
        repo: repo.into(),
        branch: branch.into(),
        max_commits,
    };
    let all = client.get_dashboard(ask("", "", 0, 0)).await.unwrap().into_inner();
    assert_eq!(all.branches, ["master", "release-branch.go1.10", "release-branch.go1.11"]);
    let heads: Vec<_> = all.repo_heads.iter().map(|head| head.gerrit_project.as_str()).collect();
    assert_eq!((heads, all.commits.len(), all.commits_truncated), (vec!["go", "net"], 10, false));
    let releases: Vec<_> =
        all.releases.iter().map(|one| (one.branch_name.as_str(), one.tag_name.as_str())).collect();
    assert_eq!(
        releases,
        [("master", ""), ("release-branch.go1.11", "go1.11.1"), ("release-branch.go1.10", "go1.10.4")]
    );
    let first = &all.commits[0];
    assert_eq!(
        (first.commit.clone(), first.title.as_str(), first.branch.as_str()),
        (hash('a', 9), "all: a9", "master")
    );
    let person = (first.author_name.as_str(), first.author_email.as_str(), first.commit_time_sec);
    assert_eq!(person, ("Ann B", "ann@example.org", 1_000_540));
    assert_eq!((first.go_commit_at_time.as_str(), first.go_commit_latest.as_str()), ("", ""));

    let page = client.get_dashboard(ask("go", "master", 1, 4)).await.unwrap().into_inner();
    let commits =
        |page: &DashboardResponse| page.commits.iter().map(|one| one.commit.clone()).collect::<Vec<_>>();
    assert_eq!(
        (commits(&page), page.commits_truncated),
        ([5, 4, 3, 2].map(|nth| hash('a', nth)).to_vec(), true)
    );

    // At the time of net's nth, half a minute after go's 2n, go was there; before net's next, at go's 2n+2.
    let net = client.get_dashboard(ask("golang.org/x/net", "", 0, 3)).await.unwrap().into_inner();
    let beside: Vec<_> =
        net.commits.iter().map(|one| (one.go_commit_at_time.clone(), one.go_commit_latest.clone())).collect();
    let pair = |at, latest| (hash('a', at), hash('a', latest));
    assert_eq!(beside, [pair(8, 8), pair(6, 8), pair(4, 6)]);
    let older = client.get_dashboard(ask("golang.org/x/net", "", 1, 3)).await.unwrap().into_inner();
    assert_eq!(older.commits[0].go_commit_latest, hash('a', 4), "up to the oldest of the page before");

    let mixed = client.get_dashboard(ask("", "mixed", 0, 4)).await.unwrap().into_inner();
    assert_eq!(
        (commits(&mixed), mixed.commits_truncated),
        ([9, 8, 7, 6].map(|nth| hash('a', nth)).to_vec(), true)
    );
    for (asked, code) in [
        (ask("golang.org/x/none", "", 0, 0), Code::NotFound),
        (ask("net", "", 0, 0), Code::NotFound),
        (ask("", "none", 0, 0), Code::NotFound),
        (ask("", "mixed", 5, 0), Code::InvalidArgument),
        (ask("", "mixed", 0, 2), Code::InvalidArgument),
        (ask("", "", -1, 0), Code::InvalidArgument),
        (ask("", "", 0, -1), Code::InvalidArgument),
        (ask("", "", 1_000_000, 0), Code::InvalidArgument),
        (ask("golang.org/x/none", "", -1, -1), Code::NotFound),
    ] {
        assert_eq!(client.get_dashboard(asked.clone()).await.unwrap_err().code(), code, "{asked:?}");
    }
    let releases = client.list_go_releases(ListGoReleasesRequest {}).await.unwrap().into_inner().releases;
    assert_eq!(
        (releases[0].tag_commit.clone(), releases[1].branch_commit.clone()),
        (hash('a', 4), hash('a', 3))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_corpus_has_errors_and_no_crashes() {
    let log = tempfile::tempdir().unwrap();
    let daemon = leads(log.path()).await;
    let mut client = MaintnerServiceClient::new(Service::in_process(asked(&daemon)));
    assert_eq!(client.list_go_releases(ListGoReleasesRequest {}).await.unwrap_err().code(), Code::Unknown);
    assert_eq!(client.get_dashboard(DashboardRequest::default()).await.unwrap_err().code(), Code::Unknown);
    let refused = client.go_find_try_work(GoFindTryWorkRequest::default()).await.unwrap_err();
    assert!(refused.message().contains("no Gerrit is configured"), "{refused}");
}

/// Says that two changes wait, one of which the corpus has; counts how often it was asked.
#[derive(Default)]
struct Told(Mutex<u32>);

#[async_trait]
impl Reviews for Told {
    async fn waiting(&self) -> Result<Vec<Waiting>, CallError> {
        *self.0.lock().unwrap() += 1;
        let posted =
            Posted { author: 7, date: "d".into(), version: 1, text: "Patch Set 1: Run-TryBot+1".into() };
        let known = Waiting { project: "net".into(), number: 30, current: None, messages: vec![posted] };
        Ok(vec![Waiting { number: 31, ..known.clone() }, known])
    }

    async fn comments(&self, _: &str, number: i32) -> Result<Vec<Comment>, CallError> {
        assert_eq!(number, 30, "of what is not in the corpus nothing is asked");
        Ok(vec![Comment { author: 7, date: "d".into(), text: "TRY=x".into() }])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_asked_once_for_all() {
    let log = tempfile::tempdir().unwrap();
    let daemon = leads(log.path()).await;
    let sink = daemon.sink().unwrap();
    sink.add(world()).await.unwrap();
    let id = format!("I{}", "1".repeat(40));
    let change =
        commit(&hash('c', 1), Some(&hash('b', 4)), 2_000_000, &format!("net: change\n\nChange-Id: {id}"));
    let meta = "Create change\n\nPatch-set: 1\nChange-id: x\nBranch: refs/heads/master\nStatus: new\n";
    let commits = vec![change, commit(&hash('d', 1), None, 2_000_000, meta)];
    let refs = [("refs/changes/30/30/1", hash('c', 1)), ("refs/changes/30/30/meta", hash('d', 1))];
    sink.add(vec![project("net", commits, &refs)]).await.unwrap();
    let told = Arc::new(Told::default());
    let view: View = Arc::new(move || daemon.corpus());
    let (try_work, home) = (TryWork::new(told.clone()), Home::default());
    let (one, two) = tokio::join!(try_work.find(&view, &home), try_work.find(&view, &home));
    let (found, again) = (one.unwrap(), two.unwrap());
    assert_eq!((&found, *told.0.lock().unwrap()), (&again, 1));
    assert_eq!(found, try_work.find(&view, &home).await.unwrap());
    assert_eq!(*told.0.lock().unwrap(), 1);
    let [item] = &found.waiting[..] else { panic!("{found:?}") };
    assert_eq!(
        (item.project.as_str(), item.branch.as_str(), item.commit.as_str()),
        ("net", "master", &*hash('c', 1))
    );
    assert_eq!((item.change_id.as_str(), item.author_email.as_str()), (id.as_str(), "ann@example.org"));
    assert_eq!(item.go_branch, ["master", "release-branch.go1.11", "release-branch.go1.10"]);
    assert_eq!(
        (item.go_commit.len(), item.go_version[0].minor, item.try_message[0].message.as_str()),
        (3, 12, "x")
    );
}

/// Panics at first; then waits until it is let.
#[derive(Default)]
struct Falters(AtomicUsize, Notify);

#[async_trait]
impl Reviews for Falters {
    async fn waiting(&self) -> Result<Vec<Waiting>, CallError> {
        let asked = self.0.fetch_add(1, Ordering::SeqCst);
        assert!(asked > 0, "the first question fails by design");
        self.1.notified().await;
        Ok(Vec::new())
    }

    async fn comments(&self, _: &str, _: i32) -> Result<Vec<Comment>, CallError> {
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_broke_off_or_was_left_spoils_no_other() {
    let log = tempfile::tempdir().unwrap();
    let daemon = leads(log.path()).await;
    let falters = Arc::new(Falters::default());
    let view: View = Arc::new(move || daemon.corpus());
    let (try_work, home) = (TryWork::new(falters.clone()), Home::default());
    let broke = try_work.find(&view, &home).await.unwrap_err();
    assert!(matches!(broke, TryWorkError::Ended), "{broke}");
    assert!(try_work.find(&view, &home).now_or_never().is_none());
    // There is nothing in the corpus; by that it is seen that the second question was answered, which nobody waited for.
    let lets = async { falters.1.notify_one() };
    let answered = tokio::join!(try_work.find(&view, &home), lets).0.unwrap_err();
    assert!(matches!(answered, TryWorkError::NoHome(_)), "{answered}");
    assert_eq!(falters.0.load(Ordering::SeqCst), 2);
}
