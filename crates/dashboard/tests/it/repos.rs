use dashboard::api::{BranchUpdate, CommitInfo, RepoState, RepoUpdate, Visibility};

use crate::fixture::{Fixture, commit, hash, line, report, revision};

async fn window(on: &Fixture) -> Vec<(String, bool, Option<u32>)> {
    let window = on.client.cells("one", "main", 50).await.unwrap();
    window.rows.into_iter().map(|row| (row.commit.hash, row.reachable, row.position)).collect()
}

pub(crate) async fn a_branch_moves_only_with_its_commits(on: Fixture) {
    let all = line("main", &[3, 2, 1]);
    let mut bare = BranchUpdate { commits: Vec::new(), ..all.clone() };
    let missing = on.client.put_branch("one", "main", &bare).await.unwrap().missing;
    assert_eq!(missing, [hash(3), hash(2), hash(1)]);
    assert!(window(&on).await.is_empty());
    // What comes in parts is kept.
    bare.commits = vec![commit(3, Some(2))];
    let missing = on.client.put_branch("one", "main", &bare).await.unwrap().missing;
    assert_eq!(missing, [hash(2), hash(1)]);
    bare.commits = vec![commit(2, Some(1)), commit(1, None)];
    assert!(on.client.put_branch("one", "main", &bare).await.unwrap().missing.is_empty());
    assert_eq!(window(&on).await.len(), 3);
    // From then on a head and a base are enough.
    let next = BranchUpdate {
        head: Some(hash(4)),
        first_parent: vec![hash(4)],
        base: Some(hash(3)),
        commits: vec![commit(4, Some(3))],
        ..all
    };
    assert!(on.client.put_branch("one", "main", &next).await.unwrap().missing.is_empty());
    let places = window(&on).await;
    assert_eq!(places[0], (hash(4), true, Some(0)));
    assert_eq!(places[3], (hash(1), true, Some(3)));
}

pub(crate) async fn posting_again_changes_nothing(on: Fixture) {
    on.push("one", "main", &[2, 1]).await;
    let before = (on.client.repos().await.unwrap(), window(&on).await);
    on.push("one", "main", &[2, 1]).await;
    let again = on.client.repos().await.unwrap();
    assert_eq!(again[0].updated, before.0[0].updated);
    assert_eq!(again[0].branches[0].head, Some(hash(2)));
    assert_eq!(window(&on).await, before.1);
    assert_eq!(again[0].visibility, Visibility::Public);
    assert_eq!(again[0].default_branch.as_deref(), Some("main"));
}

pub(crate) async fn a_force_push_keeps_what_was_built(on: Fixture) {
    on.push("one", "main", &[3, 2, 1]).await;
    on.client.put_build(&report(1, "a", &revision("one@3"))).await.unwrap();
    on.push("one", "main", &[5, 4, 1]).await;
    let rows = window(&on).await;
    let expected = [
        (hash(5), true, Some(0)),
        (hash(4), true, Some(1)),
        (hash(3), false, None),
        (hash(2), false, None),
        (hash(1), true, Some(2)),
    ];
    assert_eq!(rows, expected);
    let cells = on.client.cells("one", "main", 9).await.unwrap().rows[2].cells.clone();
    assert_eq!(cells.iter().filter(|cell| cell.build.is_some()).count(), 1);
    // And back.
    on.push("one", "main", &[3, 2, 1]).await;
    let rows = window(&on).await;
    assert_eq!(
        rows.iter().filter(|row| row.1).map(|row| row.0.clone()).collect::<Vec<_>>(),
        [hash(3), hash(2), hash(1)]
    );
    assert_eq!(rows.len(), 5);
    // Deleted: its commits stay to be seen, nothing is due.
    let gone =
        BranchUpdate { head: None, first_parent: Vec::new(), commits: Vec::new(), ..line("main", &[1]) };
    on.client.put_branch("one", "main", &gone).await.unwrap();
    assert!(on.client.repos().await.unwrap()[0].branches[0].head.is_none());
    assert!(on.empty().await.is_empty());
}

pub(crate) async fn bad_posts_are_refused(on: Fixture) {
    let good = line("main", &[2, 1]);
    let state = RepoUpdate {
        state: RepoState::Blocked,
        reason: Some("no".into()),
        default_branch: None,
        head: None,
        visibility: None,
    };
    for name in ["One", "a/b", "-a", "", "..", &"x".repeat(65)] {
        let refused = on.client.put_repo(name, &state).await.unwrap_err();
        assert!(refused.is_code("bad_request") || refused.is_code("not_found"), "{name:?}: {refused}");
    }
    for bad in [
        BranchUpdate { head: Some("main".into()), ..good.clone() },
        BranchUpdate { head: Some(hash(1)), ..good.clone() },
        BranchUpdate { head: None, ..good.clone() },
        BranchUpdate { first_parent: vec![hash(2), "x".into()], ..good.clone() },
        BranchUpdate {
            commits: vec![CommitInfo { parents: vec!["x".into()], ..commit(2, None) }],
            ..good.clone()
        },
    ] {
        let refused = on.client.put_branch("one", "main", &bad).await.unwrap_err();
        assert!(refused.is_code("bad_request"), "{refused}");
    }
    on.client.put_branch("one", "--upload-pack=x/ü y", &good).await.unwrap();
    assert_eq!(on.client.repos().await.unwrap().len(), 0);
}

pub(crate) async fn awkward_texts_come_back(on: Fixture) {
    let awkward = CommitInfo {
        author_name: "\u{1f411} <&\"'>\0".into(),
        author_email: None,
        message: format!("{}é", "x".repeat(64 * 1024 - 1)),
        time_us: i64::MIN,
        ..commit(1, None)
    };
    let update = BranchUpdate { commits: vec![awkward], ..line("main", &[1]) };
    on.push("one", "other", &[9]).await;
    on.client.put_branch("one", "main", &update).await.unwrap();
    let row = on.client.cells("one", "main", 9).await.unwrap().rows.remove(0);
    assert_eq!(row.commit.author_name, "\u{1f411} <&\"'>\u{fffd}");
    assert_eq!(row.commit.author_email, None);
    assert_eq!(row.commit.message, "x".repeat(64 * 1024 - 1));
    assert_eq!(on.empty().await.len(), 2);
    assert!(
        on.text("/grid?repo=one&branch=main").await.contains("&lt;&amp;")
            || on.text("/grid").await.contains("&#60;")
    );
}
