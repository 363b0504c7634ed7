use std::sync::Arc;

use dashboard::api::{CellState, Outcome, RepoState, RepoUpdate};

use crate::fixture::{CONFIG, Fixture, config, done, hash, line, report, revision};

pub(crate) async fn a_repo_by_itself(on: Fixture) {
    assert!(on.empty().await.is_empty());
    on.push("one", "main", &[1]).await;
    assert_eq!(on.due("one").await, ["a 0 one@1", "b 0 one@1"]);
    let cell = on.empty().await.remove(0);
    assert_eq!((&*cell.class, &*cell.branch, cell.commit_time_us), ("post_submit", "main", 1_000_000));
    assert_eq!(cell.toolchain_branch, None);
    // Taken into the window by its owner, it is not empty any more.
    on.client.put_build(&report(1, "a", &revision("one@1"))).await.unwrap();
    assert_eq!(on.due("one").await, ["b 0 one@1"]);
    // Branches that the configuration does not build, and repos it does not know, have no cells.
    on.push("one", "feature", &[7, 1]).await;
    on.push("stranger", "main", &[1]).await;
    assert_eq!(on.due("one").await, ["b 0 one@1"]);
    assert!(on.due("stranger").await.is_empty());
}

pub(crate) async fn newest_first_then_back_to_the_horizon(on: Fixture) {
    on.push("one", "main", &[6, 5, 4, 3, 2, 1]).await;
    let expected = ["a 0 one@6", "b 0 one@6", "a 1 one@5", "b 1 one@5", "a 2 one@4", "b 2 one@4"];
    assert_eq!(on.due("one").await, expected);
    let some = on.client.empty_cells(4).await.unwrap();
    assert_eq!((some.cells.len(), some.more), (4, 2));
    // A commit on two branches is built once.
    on.push("lib", "main", &[3, 2, 1]).await;
    on.push("lib", "release-1", &[4, 2]).await;
    assert_eq!(on.due("lib").await, ["a 0 lib@4", "a 0 lib@3", "a 1 lib@2"]);
    // Newest first over all repos.
    let all: Vec<_> = on.empty().await.iter().map(|cell| (cell.position, -cell.commit_time_us)).collect();
    assert!(all.is_sorted(), "{all:?}");
}

pub(crate) async fn a_repo_that_needs_another(on: Fixture) {
    on.push("sub", "main", &[13, 12, 11]).await;
    assert!(on.due("sub").await.is_empty());
    let window = on.client.cells("sub", "main", 9).await.unwrap();
    assert!(window.blocked.as_deref().unwrap().contains("lib"), "{window:?}");
    on.push("lib", "main", &[1]).await;
    let expected = ["a 0 sub@13+lib@1", "a 1 sub@12+lib@1", "a 2 sub@11+lib@1"];
    assert_eq!(on.due("sub").await, expected);
    on.client.put_build(&report(1, "a", &revision("sub@13+lib@1"))).await.unwrap();
    on.client.put_build(&report(2, "a", &revision("sub@12+lib@1"))).await.unwrap();
    assert_eq!(on.due("sub").await, ["a 2 sub@11+lib@1"]);
    // The head is built against each new commit of what it needs; older commits against any.
    on.push("lib", "main", &[2, 1]).await;
    assert_eq!(on.due("sub").await, ["a 0 sub@13+lib@2", "a 2 sub@11+lib@2"]);
    let cell = on.empty().await.into_iter().find(|cell| cell.repo == "sub").unwrap();
    assert_eq!(cell.toolchain_branch.as_deref(), Some("main"));
}

pub(crate) async fn a_blocked_repo_has_no_due_cells(on: Fixture) {
    on.push("one", "main", &[1]).await;
    let blocked = RepoUpdate {
        state: RepoState::Blocked,
        reason: Some("it needs credentials".into()),
        default_branch: None,
        head: None,
        visibility: None,
    };
    on.client.put_repo("one", &blocked).await.unwrap();
    assert!(on.due("one").await.is_empty());
    let window = on.client.cells("one", "main", 9).await.unwrap();
    assert_eq!(window.blocked.as_deref(), Some("it needs credentials"));
    for cell in &window.rows[0].cells {
        assert_eq!((cell.state, cell.reason.as_deref()), (CellState::Blocked, Some("it needs credentials")));
    }
    on.push("one", "main", &[1]).await;
    assert_eq!(on.due("one").await.len(), 2);
}

pub(crate) async fn a_head_is_due_once_its_own_configuration_was_read(on: Fixture) {
    let read = |at: Option<u32>, blocked: Option<&str>| {
        let project = buildenv::Project { at: at.map(hash), blocked: blocked.map(str::to_owned) };
        Arc::new(config(CONFIG).with_projects([("one".parse().unwrap(), project)].into()))
    };
    let post = async |commits: &[u32]| {
        let state = RepoUpdate {
            state: RepoState::Ok,
            reason: None,
            default_branch: Some("main".into()),
            head: commits.first().map(|n| hash(*n)),
            visibility: None,
        };
        on.client.put_repo("one", &state).await.unwrap();
        on.client.put_branch("one", "main", &line("main", commits)).await.unwrap();
    };
    on.config.send_replace(read(None, None));
    post(&[1]).await;
    assert!(on.due("one").await.is_empty(), "nothing was read yet");
    on.config.send_replace(read(Some(1), None));
    assert_eq!(on.due("one").await, ["a 0 one@1", "b 0 one@1"]);
    post(&[2, 1]).await;
    assert!(on.due("one").await.is_empty(), "it was read at the commit before");
    on.config.send_replace(read(Some(2), None));
    assert_eq!(on.due("one").await.len(), 4);
    on.config.send_replace(read(Some(2), Some("its configuration is bad")));
    assert!(on.due("one").await.is_empty());
    let window = on.client.cells("one", "main", 9).await.unwrap();
    assert_eq!(window.blocked.as_deref(), Some("its configuration is bad"));
    let repos = on.client.repos().await.unwrap();
    let one = repos.iter().find(|repo| repo.name == "one").unwrap();
    assert_eq!((one.state, one.reason.as_deref()), (RepoState::Blocked, Some("its configuration is bad")));
    assert!(on.text("/grid?repo=one").await.contains("blocked: its configuration is bad"));
}

pub(crate) async fn the_answer_follows_every_change(on: Fixture) {
    on.push("one", "main", &[1]).await;
    assert_eq!(on.due("one").await, ["a 0 one@1", "b 0 one@1"]);
    assert_eq!(on.due("one").await, ["a 0 one@1", "b 0 one@1"]);
    on.push("one", "main", &[2, 1]).await;
    assert_eq!(on.due("one").await.len(), 4);
    for (n, cell) in on.empty().await.into_iter().enumerate() {
        on.client.put_build(&report(n as u8 + 1, &cell.builder, &cell.revision)).await.unwrap();
    }
    assert!(on.due("one").await.is_empty());
    // A build that goes on changes nothing here.
    let finished = done(report(1, "a", &revision("one@2")), Outcome::Failed, 5);
    on.client.put_build(&finished).await.unwrap();
    assert!(on.due("one").await.is_empty());
    let more = format!("{CONFIG}\n[builder.c]\nhost = \"local\"\nrecipe = \"r\"\nrepos = [\"one\"]\n");
    on.config.send_replace(Arc::new(config(&more)));
    assert_eq!(on.due("one").await, ["c 0 one@2", "c 1 one@1"]);
    let window = on.client.cells("one", "main", 9).await.unwrap();
    assert_eq!(window.builders, ["a", "b", "c"]);
    let states: Vec<_> = window.rows[0].cells.iter().map(|cell| cell.state).collect();
    assert_eq!(states, [CellState::Build, CellState::Build, CellState::Due]);
    // `b` is for `one` only, and `lib`'s page says so.
    on.push("lib", "main", &[9]).await;
    let window = on.client.cells("lib", "main", 9).await.unwrap();
    let b = window.rows[0].cells.iter().find(|cell| cell.builder == "b").unwrap();
    assert_eq!(b.state, CellState::LeftOut);
    assert!(b.reason.as_deref().unwrap().contains("server.toml"), "{b:?}");
}

pub(crate) async fn commits_pushed_away_get_nothing_new(on: Fixture) {
    on.push("one", "main", &[3, 2, 1]).await;
    assert_eq!(on.due("one").await.len(), 6);
    on.push("one", "main", &[4, 1]).await;
    assert_eq!(on.due("one").await, ["a 0 one@4", "b 0 one@4", "a 1 one@1", "b 1 one@1"]);
    let window = on.client.cells("one", "main", 9).await.unwrap();
    let gone = window.rows.iter().find(|row| !row.reachable).unwrap();
    assert!(gone.cells.iter().all(|cell| cell.state == CellState::None));
}
