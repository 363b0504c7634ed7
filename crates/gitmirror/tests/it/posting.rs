//! What the dashboard learns.

use serde_json::Value;

use crate::fixture::{Fixture, until};

fn branch_calls(fixture: &Fixture) -> Vec<Value> {
    let told = fixture.dashboard.told();
    told.calls.iter().filter(|(path, _)| path.contains("/branches/")).map(|(_, body)| body.clone()).collect()
}

#[tokio::test]
async fn a_local_commit_is_posted_without_a_hint() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    for n in 0..150 {
        source.commit(&format!("c{n}"));
    }
    let head = source.run(&["rev-parse", "HEAD"]);
    let running = fixture.start(vec![fixture.repo("r", &source.0)]).await;
    let state = running.first("r").await;
    assert_eq!((state.reason, state.head.as_deref()), (None, Some(head.as_str())));
    assert_eq!(fixture.dashboard.branch("r", "main").unwrap().len(), 151);
    let repo = fixture.dashboard.told().repos["/api/v1/repos/r"].clone();
    assert_eq!(repo["state"], "ok");
    assert_eq!((repo["default_branch"].as_str(), repo["head"].as_str()), (Some("main"), Some(head.as_str())));
    let calls = branch_calls(&fixture);
    assert_eq!((calls[0]["base"].as_str(), calls[0]["complete"].as_bool()), (None, Some(true)));
    assert!(calls.len() >= 3, "what it missed was sent in parts");
    assert_eq!(fixture.dashboard.told().commits[&head]["author_email"], "a@x");

    let next = source.commit("next");
    until("the commit is posted", || fixture.dashboard.head("r", "main").as_ref() == Some(&next)).await;
    let last = branch_calls(&fixture).pop().unwrap();
    assert_eq!(
        (last["base"].as_str(), last["first_parent"].as_array().unwrap().len()),
        (Some(head.as_str()), 1)
    );
    assert_eq!(last["commits"][0]["message"], "next\n");
    assert_eq!(fixture.dashboard.branch("r", "main").unwrap().len(), 152);

    // A look that finds nothing new tells nothing.
    let before = fixture.dashboard.told().calls.len();
    running.mirror.hint_and_wait("r").await.unwrap();
    let rounds = running.mirror.hint_and_wait("r").await.unwrap();
    assert_eq!((fixture.dashboard.told().calls.len(), rounds.fetches), (before, 2));
    running.stop().await;
    assert_eq!(fixture.alive(), 0);
}

#[tokio::test]
async fn a_force_push_replaces_the_list() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    let base = source.commit("base");
    let old = source.commit("old");
    let running = fixture.start(vec![fixture.repo("r", &source.0)]).await;
    running.first("r").await;
    source.run(&["reset", "-q", "--hard", &base]);
    let new = source.commit("new");
    running.mirror.hint_and_wait("r").await.unwrap();
    assert_eq!(fixture.dashboard.head("r", "main"), Some(new.clone()));
    let last = branch_calls(&fixture).pop().unwrap();
    assert!(last["base"].is_null());
    assert_eq!(last["first_parent"].as_array().unwrap().len(), 3);
    // Back to an ancestor.
    source.run(&["reset", "-q", "--hard", &base]);
    running.mirror.hint_and_wait("r").await.unwrap();
    assert_eq!(fixture.dashboard.branch("r", "main").unwrap().len(), 2);
    // The lost commits can still be built.
    for lost in [old, new] {
        let (status, _) = running.get(&format!("/mirror/r/resolve?rev={lost}")).await;
        assert_eq!(status, 200);
    }
    running.stop().await;
}

#[tokio::test]
async fn branches_go_by_pattern_and_deletions_are_told_even_after_a_restart() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    for name in ["release-branch.1", "release-branch.2", "feature", "release"] {
        source.run(&["branch", name]);
    }
    let head = source.run(&["rev-parse", "HEAD"]);
    source.run(&["update-ref", "refs/heads/--upload-pack=x", &head]);
    let mut repo = fixture.repo("r", &source.0);
    repo.branches = vec!["main".into(), "release-branch.*".into(), "--*".into()];
    let running = fixture.start(vec![repo.clone()]).await;
    let state = running.first("r").await;
    let names: Vec<&str> = state.branches.keys().map(String::as_str).collect();
    assert_eq!(names, ["--upload-pack=x", "main", "release-branch.1", "release-branch.2"]);
    assert_eq!(fixture.dashboard.head("r", "--upload-pack%3Dx"), Some(head.clone()));
    let resolved = running.json("/mirror/r/resolve?rev=--upload-pack%3Dx").await;
    assert_eq!(resolved["commit"], head);
    source.run(&["branch", "-D", "release-branch.1"]);
    running.mirror.hint_and_wait("r").await.unwrap();
    assert_eq!(fixture.dashboard.head("r", "release-branch.1"), None);
    running.stop().await;

    source.run(&["branch", "-D", "release-branch.2"]);
    let running = fixture.start(vec![repo]).await;
    running.first("r").await;
    assert_eq!(fixture.dashboard.head("r", "release-branch.2"), None);
    assert_eq!(fixture.dashboard.head("r", "main"), Some(head));
    running.stop().await;
}

#[tokio::test]
async fn a_dashboard_that_was_away_or_forgot_is_told_all() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    fixture.dashboard.told().down = true;
    let running = fixture.start(vec![fixture.repo("r", &source.0)]).await;
    let state = running.first("r").await;
    assert!(state.reason.is_some_and(|reason| reason.contains("not now")), "a fetch alone is not all");
    assert_eq!(state.state, gitmirror::Health::Ok);
    fixture.dashboard.told().down = false;
    until("it is told", || fixture.dashboard.head("r", "main").is_some()).await;
    fixture.dashboard.told().branches.clear();
    let next = source.commit("next");
    until("it is told again", || fixture.dashboard.branch("r", "main").is_some_and(|list| list.len() == 2))
        .await;
    assert_eq!(fixture.dashboard.head("r", "main"), Some(next));
    running.stop().await;
}

#[tokio::test]
async fn the_default_branch_follows_head_also_where_it_is_on_no_branch() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    let running = fixture.start(vec![fixture.repo("r", &source.0)]).await;
    assert_eq!(running.first("r").await.default_branch.as_deref(), Some("main"));
    source.run(&["checkout", "-q", "-b", "feature"]);
    let on_feature = source.commit("on feature");
    until("the other branch is posted", || {
        fixture.dashboard.head("r", "feature").as_ref() == Some(&on_feature)
    })
    .await;
    until("the first is no longer watched", || fixture.dashboard.head("r", "main").is_none()).await;
    source.run(&["checkout", "-q", "--detach"]);
    let detached = source.commit("detached");
    until("HEAD is posted", || fixture.dashboard.head("r", "HEAD").as_ref() == Some(&detached)).await;
    for branch in ["main", "feature"] {
        source.run(&["branch", "-D", branch]);
    }
    let state = running.mirror.hint_and_wait("r").await.unwrap();
    assert_eq!((state.default_branch.as_deref(), state.head), (Some("HEAD"), Some(detached)));
    assert_eq!(state.state, gitmirror::Health::Ok, "{:?}", state.reason);
    running.stop().await;
}

/// The server's file may be read again before the first round has ended, and name another source.
#[tokio::test]
async fn a_wait_for_the_first_round_outlives_changed_settings() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    let before = fixture.repo("r", &source.0);
    let mirror = fixture.open(vec![before.clone()]).await;
    let mut waiting = std::pin::pin!(mirror.wait_first_round("r"));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    let url = source.0.join(".").display().to_string();
    mirror.set_repos(vec![gitmirror::RepoConfig { url, ..before }]).unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let running = mirror.run(fixture.dashboard.service(), shutdown.clone());
    let waited = async {
        let state = waiting.await;
        shutdown.cancel();
        state
    };
    let limit = std::time::Duration::from_secs(60);
    let (state, ()) = tokio::time::timeout(limit, async { tokio::join!(waited, running) }).await.unwrap();
    assert_eq!(state.unwrap().rounds, 1);
    // Without such a repository there is nothing to wait for.
    assert!(mirror.wait_first_round("none").await.is_none());
}
