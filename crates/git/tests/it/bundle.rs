//! Histories as files, out and in.

use git::{Error, ObjectId, RefName};

use crate::fixture::{Fixture, options, run_in};

#[tokio::test]
async fn a_shallow_bundle_can_be_checked_out_and_described() {
    let fixture = Fixture::new();
    for n in 0..5 {
        fixture.write("file", n.to_string());
        fixture.commit(&format!("c{n}"));
        fixture.run(&["tag", "-a", "-m", "release", &format!("v{n}")]);
    }
    let head = fixture.commit("last");
    let mirror = fixture.mirror().await;
    let bundle = mirror.bundle(head, Some(3), 1 << 20).await.unwrap();
    assert_eq!(bundle.shallow.len(), 1);
    let (file, tree) = (fixture.path("x.bundle"), fixture.path("tree"));
    std::fs::write(&file, &bundle.bytes).unwrap();
    std::fs::create_dir(&tree).unwrap();
    run_in(&tree, &["init", "-q"], b"");
    std::fs::write(tree.join(".git/shallow"), format!("{}\n", bundle.shallow[0])).unwrap();
    run_in(&tree, &["fetch", "-q", file.to_str().unwrap(), "+refs/*:refs/*", "HEAD"], b"");
    run_in(&tree, &["checkout", "-q", &head.to_string()], b"");
    assert_eq!(std::fs::read_to_string(tree.join("file")).unwrap(), "4");
    assert!(run_in(&tree, &["describe"], b"").starts_with("v4-1-g"));
    assert_eq!(run_in(&tree, &["rev-list", "--count", "HEAD"], b""), "3");

    let whole = mirror.bundle(head, None, 1 << 20).await.unwrap();
    assert!(whole.shallow.is_empty());
    assert!(matches!(mirror.bundle(head, None, 100).await, Err(Error::TooLarge { .. })));
    let left: Vec<_> =
        std::fs::read_dir(mirror.dir()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("bundle-")), "{left:?}");
}

#[tokio::test]
async fn a_thin_bundle_brings_an_unpublished_commit() {
    let fixture = Fixture::new();
    fixture.commit("published");
    let mirror = fixture.mirror().await;
    fixture.write("file", "dirty");
    let commit = fixture.commit("not published");
    let file = fixture.path("x.bundle");
    fixture.run(&["bundle", "create", "-q", file.to_str().unwrap(), "HEAD", "^HEAD~"]);
    let to: RefName = format!("refs/bellwether/dirty/{commit}").parse().unwrap();
    let other = ObjectId::from_bytes([7; 20]);
    assert!(matches!(mirror.import_bundle(&file, other, &to).await, Err(Error::NoSuchRevision { .. })));
    mirror.import_bundle(&file, commit, &to).await.unwrap();
    assert_eq!(mirror.read_file(commit, "file", 100).await.unwrap().unwrap(), b"dirty");
    // A later fetch of the source with pruning leaves it alone.
    mirror.fetch(&fixture.url(), &git::RefSpec::heads_and_tags(), &options()).await.unwrap();
    assert!(mirror.refs("refs/bellwether/").await.unwrap().iter().any(|entry| entry.id == commit));

    let empty = fixture.git.init_bare(&fixture.path("empty.git")).await.unwrap();
    assert!(
        empty.import_bundle(&file, commit, &to).await.is_err(),
        "it builds on a commit that is not there"
    );
    std::fs::write(&file, "no bundle at all").unwrap();
    assert!(mirror.import_bundle(&file, commit, &to).await.is_err());
}
