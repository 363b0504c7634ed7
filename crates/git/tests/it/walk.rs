//! Commits of every kind are read.

use crate::fixture::{Fixture, rev};

#[tokio::test]
async fn first_parents_are_walked_through_merges() {
    let fixture = Fixture::new();
    let root = fixture.commit("root");
    for branch in ["a", "b", "c"] {
        fixture.run(&["checkout", "-q", "-b", branch, &root.to_string()]);
        fixture.write(branch, branch);
        fixture.commit(branch);
    }
    fixture.run(&["checkout", "-q", "main"]);
    let second = fixture.commit("second");
    fixture.run(&["merge", "-q", "--no-ff", "-m", "octopus", "a", "b", "c"]);
    // A second root, joined by a merge.
    fixture.run(&["checkout", "-q", "--orphan", "island"]);
    let island = fixture.commit("island");
    fixture.run(&["checkout", "-q", "main"]);
    fixture.run(&["merge", "-q", "--no-ff", "--allow-unrelated-histories", "-m", "two roots", "island"]);
    let mirror = fixture.mirror().await;
    let head = mirror.resolve(&rev("main")).await.unwrap().unwrap();
    let all = mirror.first_parent(head, None, 100).await.unwrap();
    let messages: Vec<&str> = all.iter().map(|commit| commit.message.trim_end()).collect();
    assert_eq!(messages, ["two roots", "octopus", "second", "root"]);
    assert_eq!(all[1].parents.len(), 4);
    assert_eq!(all[0].parents[1], island);
    assert_eq!(all[3].author.email.as_deref(), Some("a@example.com"));
    assert_eq!((all[3].author_time, all[3].committer_time), (1_500_000_000, 1_500_000_001));
    let ids = mirror.first_parent_ids(head, Some(second), 100).await.unwrap();
    assert_eq!(ids, [all[0].id, all[1].id]);
    assert_eq!(mirror.first_parent_ids(head, None, 1).await.unwrap(), [head]);
    assert_eq!(mirror.first_parent(head, Some(second), 100).await.unwrap().len(), 2);
    assert_eq!(mirror.commits(&[root, head]).await.unwrap()[0].id, root);
    assert!(
        mirror.is_ancestor(island, head).await.unwrap() && !mirror.is_ancestor(head, island).await.unwrap()
    );
    assert_eq!(mirror.merge_base(island, second).await.unwrap(), None);
    assert_eq!(mirror.merge_base(second, head).await.unwrap(), Some(second));
    let nowhere = git::ObjectId::from_bytes([7; 20]);
    assert!(mirror.is_ancestor(nowhere, head).await.is_err());
    assert!(mirror.contains(head).await.unwrap() && !mirror.contains(nowhere).await.unwrap());
}

#[tokio::test]
async fn odd_commits_are_read() {
    let fixture = Fixture::new();
    let first = fixture.commit("first");
    let tree = fixture.run(&["rev-parse", "HEAD^{tree}"]);
    let head = |author: &[u8], more: &str, message: &[u8]| {
        let mut text = format!("tree {tree}\nparent {first}\nauthor ").into_bytes();
        text.extend_from_slice(author);
        text.extend_from_slice(format!("\ncommitter C <c@x> 7 +0000\n{more}\n").as_bytes());
        text.extend_from_slice(message);
        fixture.raw_commit(&text)
    };
    let latin = head(b"J\xfcrgen <j@x> 5 +0000", "encoding ISO-8859-1\n", b"Gr\xfc\xdfe\n\nbody \xe9\n");
    let nobody = head(b"No Mail <> 5 +0000", "", b"without e-mail\n");
    let broken = head(b"Just A Name", "", b"without anything\n");
    let bytes = head(b"A <a@x> 5 +0000", "", b"not UTF-8: \xff\n");
    let late = head(b"A <a@x> 99999999999999999999 +0000", "", b"beyond time\n");
    let long = head(b"A <a@x> 5 +0000", "", &vec![b'x'; 200_000]);
    let silent = head(b"A <a@x> 5 +0000", "", b"");
    let all = [latin, nobody, broken, bytes, late, long, silent];
    for (n, id) in all.iter().enumerate() {
        fixture.run(&["update-ref", &format!("refs/heads/b{n}"), &id.to_string()]);
    }
    let mirror = fixture.mirror().await;
    let read = mirror.commits(&all).await.unwrap();
    assert_eq!(read.iter().map(|commit| commit.id).collect::<Vec<_>>(), all);
    assert_eq!((read[0].author.name.as_str(), read[0].message.as_str()), ("Jürgen", "Grüße\n\nbody é\n"));
    assert_eq!((read[1].author.name.as_str(), &read[1].author.email), ("No Mail", &None));
    assert_eq!((read[2].author.email.as_deref(), read[2].message.as_str()), (None, "without anything\n"));
    assert_eq!(read[3].message, "not UTF-8: \u{fffd}\n");
    assert_eq!(read[4].message, "beyond time\n");
    assert_eq!(read[5].message.len(), 64 << 10);
    assert_eq!(read[6].message, "");
    assert!(read.iter().all(|commit| commit.parents == [first]));
}
