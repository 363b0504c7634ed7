//! Each destination on its own.

use crate::fixture::{Fixture, Source, until};

#[tokio::test]
async fn one_destination_that_fails_does_not_hold_the_others() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    source.run(&["branch", "old"]);
    source.run(&["tag", "v1"]);
    let good = Source(fixture.path("good"));
    let picky = Source(fixture.path("picky"));
    for dest in [&good, &picky] {
        std::fs::create_dir(&dest.0).unwrap();
        dest.run(&["init", "-q", "--bare", "-b", "unused", "."]);
    }
    picky.run(&["config", "receive.denyDeletes", "true"]);
    let mut repo = fixture.repo("r", &source.0);
    repo.destinations =
        [&fixture.path("nowhere"), &picky.0, &good.0].map(|path| path.to_str().unwrap().into()).into();
    let running = fixture.start(vec![repo]).await;
    running.first("r").await;
    assert!(fixture.dashboard.head("r", "main").is_some(), "posting does not wait for pushes");
    let refs = |dest: &Source| dest.run(&["for-each-ref", "--format=%(refname)"]);
    until("all is there", || refs(&good) == "refs/heads/main\nrefs/heads/old\nrefs/tags/v1").await;

    // A deletion, a force-push, and a branch that someone made at the destination.
    good.run(&["branch", "stray", "main"]);
    source.run(&["branch", "-D", "old"]);
    source.run(&["commit", "-q", "--amend", "--allow-empty", "-m", "other"]);
    let head = source.run(&["rev-parse", "HEAD"]);
    until("the deletion is there", || refs(&good) == "refs/heads/main\nrefs/tags/v1").await;
    until("the new head is there", || good.run(&["rev-parse", "main"]) == head).await;
    // The one that refuses a ref names it, and takes the rest.
    until("the refusal is known", || {
        let state = running.mirror.state("r").unwrap();
        let place = state.destinations.iter().find(|place| place.url.ends_with("picky")).unwrap();
        place.ok == Some(false) && place.problems.iter().any(|line| line.starts_with("refs/heads/old: "))
    })
    .await;
    assert_eq!(refs(&picky), "refs/heads/main\nrefs/heads/old\nrefs/tags/v1");
    assert_eq!(picky.run(&["rev-parse", "main"]), head);
    let state = running.mirror.state("r").unwrap();
    let place = |end: &str| state.destinations.iter().find(|place| place.url.ends_with(end)).unwrap();
    assert_eq!((place("good").ok, place("nowhere").ok), (Some(true), Some(false)));
    assert!(place("nowhere").problems[0].contains("does not exist"), "{state:?}");
    running.stop().await;
    assert_eq!(fixture.alive(), 0);
}
