//! What the origin is asked for is asked once.

use std::os::unix::fs::PermissionsExt;

use axum::body::Body;
use gitmirror::RepoConfig;
use http::{Request, StatusCode};

use crate::fixture::{Fixture, Source};

/// Reaches the source through a script in ssh's place, which writes a line for each command that the origin runs.
fn counted(fixture: &mut Fixture, source: &Source) -> RepoConfig {
    let (script, count) = (fixture.path("ssh.sh"), fixture.path("count"));
    let text = format!(
        "#!/bin/sh\nfor last; do :; done\necho \"$last\" >> {}\nexec sh -c \"$last\"\n",
        count.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    fixture.env.push(("GIT_SSH_COMMAND".into(), script.to_str().unwrap().into()));
    fixture.env.push(("GIT_SSH_VARIANT".into(), "simple".into()));
    let mut repo = fixture.repo("r", &source.0);
    repo.url = format!("ssh://origin{}", source.0.display());
    repo
}

fn asked(fixture: &Fixture) -> usize {
    std::fs::read_to_string(fixture.path("count")).unwrap_or_default().lines().count()
}

async fn ask_often(
    running: &crate::fixture::Running,
    path: &str,
    times: usize,
) -> Vec<(StatusCode, Vec<u8>)> {
    let asks = (0..times).map(|_| async {
        let (status, _, body) = running.send(Request::get(path).body(Body::empty()).unwrap()).await;
        (status, body)
    });
    futures::future::join_all(asks).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_builds_of_one_commit_cost_the_origin_one_fetch() {
    let mut fixture = Fixture::new();
    let source = fixture.source("source");
    source.write("file", "hello");
    source.commit("two");
    let repo = counted(&mut fixture, &source);
    let running = fixture.start(vec![repo]).await;
    assert_eq!(running.first("r").await.reason, None);
    assert_eq!(asked(&fixture), 2, "a listing and a fetch");

    // A commit that the mirror has not seen.
    source.write("file", "hello again");
    let commit = source.commit("three");
    let path = format!("/r.tar.gz?rev={commit}");
    let answers = ask_often(&running, &path, 1000).await;
    assert!(answers.iter().all(|(status, body)| *status == StatusCode::OK && *body == answers[0].1));
    assert_eq!(asked(&fixture), 3, "one fetch");

    // With the mirror's folder gone, nothing but the kept archive can answer.
    let (folder, away) = (fixture.path("mirrors/r.git"), fixture.path("away"));
    std::fs::rename(&folder, &away).unwrap();
    let answers = ask_often(&running, &path, 1000).await;
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::OK));
    std::fs::rename(&away, &folder).unwrap();
    assert_eq!(asked(&fixture), 3);

    // One that nobody has.
    let path = format!("/r.tar.gz?rev={}", "7".repeat(40));
    let answers = ask_often(&running, &path, 300).await;
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::NOT_FOUND));
    assert_eq!(asked(&fixture), 4);
    assert_eq!(running.get(&path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(asked(&fixture), 4, "what is unknown is not asked again at once");

    // A branch that is new since the last round.
    source.run(&["branch", "late"]);
    let answers = ask_often(&running, "/mirror/r/resolve?rev=late", 100).await;
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::OK));
    assert_eq!(asked(&fixture), 6, "a listing and a fetch");
    running.stop().await;
}

#[tokio::test]
async fn an_unchanged_source_is_only_listed() {
    let mut fixture = Fixture::new();
    let source = fixture.source("source");
    let repo = counted(&mut fixture, &source);
    let running = fixture.start(vec![repo.clone()]).await;
    running.first("r").await;
    for _ in 0..3 {
        running.mirror.hint_and_wait("r").await.unwrap();
    }
    let state = running.mirror.state("r").unwrap();
    assert_eq!((state.rounds, state.fetches, asked(&fixture)), (4, 1, 5));
    running.stop().await;
    // Nor after a restart.
    let running = fixture.start(vec![repo]).await;
    assert_eq!(running.first("r").await.fetches, 0);
    running.stop().await;
}
