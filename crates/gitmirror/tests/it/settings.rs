//! A repository's settings change while it is mirrored: what is known of it stays.

use std::time::Duration;

use gitmirror::RepoConfig;

use crate::fixture::{Fixture, Running, Source, until};

/// Waits until the repository's loop rests, so that nothing but a change starts a round.
async fn rest(running: &Running) -> u64 {
    running.first("r").await;
    running.mirror.hint_and_wait("r").await.unwrap().rounds
}

/// Adds so many commits to `main` at once.
fn many(fixture: &Fixture, source: &Source, count: usize) {
    let one = "commit refs/heads/main\ncommitter C <c@x> 1700000000 +0000\ndata 1\nx\n";
    let stream = format!("{one}from refs/heads/main^0\n{}", one.repeat(count - 1));
    let file = fixture.path("stream");
    std::fs::write(&file, stream).unwrap();
    let import = format!("alias.import=!git fast-import --quiet < {}", file.display());
    source.run(&["-c", &import, "import"]);
}

/// A project file is read when the first round has ended, and says branches and a horizon: would the mirror begin anew
/// by that, whoever composes the configuration would begin anew too, and so on for ever.
#[tokio::test]
async fn other_branches_and_another_horizon_change_the_repository_in_place() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    many(&fixture, &source, 600);
    source.run(&["branch", "side"]);
    let plain = fixture.repo("r", &source.0);
    let running = fixture.start(vec![plain.clone()]).await;
    let rounds = rest(&running).await;
    let before = running.mirror.state("r").unwrap();
    assert_eq!(fixture.dashboard.branch("r", "main").unwrap().len(), 500);

    let branches = vec!["main".into(), "side".into()];
    let wide = RepoConfig { branches, horizon: 550, ..plain.clone() };
    running.mirror.set_repos(vec![wide.clone()]).unwrap();
    let at_once = running.mirror.state("r").unwrap();
    assert!(at_once.rounds >= rounds, "{at_once:?}");
    assert_eq!((&at_once.head, at_once.fetches, at_once.branches.len()), (&before.head, before.fetches, 2));
    until("the other branch is posted", || fixture.dashboard.head("r", "side") == before.head).await;
    let deep = |branch| fixture.dashboard.branch("r", branch).is_some_and(|list| list.len() == 551);
    until("as far back as is wanted now", || deep("main") && deep("side")).await;
    let after = running.mirror.hint_and_wait("r").await.unwrap();
    assert_eq!(after.fetches, before.fetches, "all branches were here before");

    // What is as it was disturbs nothing.
    running.mirror.set_repos(vec![wide]).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(running.mirror.state("r").unwrap().rounds, after.rounds);

    running.mirror.set_repos(vec![plain]).unwrap();
    assert_eq!(running.mirror.state("r").unwrap().head, before.head);
    until("what is wanted no more is taken back", || fixture.dashboard.head("r", "side").is_none()).await;
    assert_eq!(fixture.dashboard.head("r", "main"), before.head);
    running.stop().await;
}

#[tokio::test]
async fn who_may_see_it_and_how_often_it_is_looked_at_change_in_place() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    let plain = fixture.repo("r", &source.0);
    let running = fixture.start(vec![plain.clone()]).await;
    let rounds = rest(&running).await;
    let poll = Duration::from_millis(50);
    running.mirror.set_repos(vec![RepoConfig { private: true, poll, ..plain }]).unwrap();
    assert!(running.mirror.state("r").unwrap().rounds >= rounds);
    let visibility = || fixture.dashboard.told().repos["/api/v1/repos/r"]["visibility"].clone();
    until("the dashboard knows", || visibility() == "private").await;
    until("it is looked at often", || running.mirror.state("r").unwrap().rounds > rounds + 3).await;
    running.stop().await;
}

/// Another place to push to needs tasks of its own; what is known of the source stays.
#[tokio::test]
async fn another_destination_forgets_nothing_and_another_source_all() {
    let fixture = Fixture::new();
    let (source, other) = (fixture.source("source"), fixture.source("other"));
    let place = Source(fixture.path("place"));
    std::fs::create_dir(&place.0).unwrap();
    place.run(&["init", "-q", "--bare"]);
    let plain = fixture.repo("r", &source.0);
    let running = fixture.start(vec![plain.clone()]).await;
    let rounds = rest(&running).await;
    let head = running.mirror.state("r").unwrap().head;
    let destinations = vec![place.0.display().to_string()];
    running.mirror.set_repos(vec![RepoConfig { destinations, ..plain }]).unwrap();
    let at_once = running.mirror.state("r").unwrap();
    assert_eq!((at_once.rounds >= rounds, &at_once.head), (true, &head));
    until("it is pushed", || place.run(&["for-each-ref"]).contains(head.as_ref().unwrap())).await;

    let new = other.commit("elsewhere");
    running.mirror.set_repos(vec![fixture.repo("r", &other.0)]).unwrap();
    assert_eq!(running.mirror.state("r").unwrap().rounds, 0);
    assert_eq!(running.first("r").await.head, Some(new));
    running.stop().await;
}
