//! Many objects by programs that stay.

use std::time::Duration;

use git::{Changes, Did, Error, ObjectId, Peel, Want};
use tokio_util::sync::CancellationToken;

use crate::fixture::Fixture;

async fn read(changes: &mut Changes, ids: &[ObjectId], most: usize) -> Vec<Did> {
    changes.ask(ids).await.unwrap();
    let mut all = Vec::new();
    for _ in ids {
        all.push(changes.next(most).await.unwrap());
    }
    all
}

const ABSENT: ObjectId = ObjectId::from_bytes([0xab; 20]);

#[tokio::test]
async fn objects_come_in_the_order_of_the_question() {
    let fixture = Fixture::new();
    fixture.write("a", "one\n");
    let first = fixture.commit("first");
    fixture.run(&["tag", "-a", "-m", "t", "v1"]);
    let tag: ObjectId = fixture.run(&["rev-parse", "v1"]).parse().unwrap();
    let blob: ObjectId = fixture.run(&["rev-parse", "HEAD:a"]).parse().unwrap();
    let mirror = fixture.mirror().await;
    let mut objects = mirror.objects().await.unwrap();
    for _ in 0..2 {
        objects.ask(&[first, ABSENT, blob, tag], Peel::Nothing).await.unwrap();
        let commit = objects.next(1000).await.unwrap().unwrap();
        assert_eq!(
            (commit.id, commit.kind.as_str(), commit.bytes.len() as u64),
            (first, "commit", commit.size)
        );
        assert_eq!(objects.next(1000).await.unwrap(), None);
        // Of a long one only the begin is kept, and the next one is not lost for it.
        let cut = objects.next(2).await.unwrap().unwrap();
        assert_eq!((cut.size, cut.bytes.as_slice()), (4, &b"on"[..]));
        assert_eq!(objects.next(1000).await.unwrap().unwrap().kind, "tag");
        objects.ask(&[tag, blob], Peel::ToCommit).await.unwrap();
        assert_eq!(objects.next(1000).await.unwrap().unwrap().id, first);
        assert_eq!(objects.next(1000).await.unwrap(), None);
    }
    let many = vec![first; 513];
    assert!(matches!(objects.ask(&many, Peel::Nothing).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn what_commits_did_is_told_for_each() {
    let fixture = Fixture::new();
    fixture.write("a", "one\ntwo\n");
    let root = fixture.commit("root");
    fixture.write("a", "one\n");
    fixture.write("naïve \"x\"", "1\n");
    fixture.write("z.bin", [0, 1, 2]);
    let change = fixture.commit("change");
    let empty = fixture.commit("empty");
    let mirror = fixture.mirror().await;
    let mut changes = mirror.changes().await.unwrap();
    let all = read(&mut changes, &[root, change, empty, change], 100).await;
    assert_eq!((all[0].files.len(), all[2].files.len(), &all[3]), (0, 0, &all[1]));
    let files: Vec<(&str, u64, u64, bool)> =
        all[1].files.iter().map(|file| (file.path.as_str(), file.added, file.deleted, file.binary)).collect();
    // By the bytes of the names as they are, not as they are shown.
    let shown = r#""na\303\257ve \"x\"""#;
    assert_eq!(files, [("a", 0, 1, false), (shown, 1, 0, false), ("z.bin", 0, 0, true)]);
    let blob: ObjectId = fixture.run(&["rev-parse", "HEAD:z.bin"]).parse().unwrap();
    let binary = all[1].files.iter().find(|file| file.binary).unwrap();
    assert_eq!((binary.old, binary.new), (None, Some(blob)));
    let few = read(&mut changes, &[change], 2).await;
    assert_eq!((few[0].files.len(), few[0].more), (2, true));
    // One that is not here did nothing.
    let all = read(&mut changes, &[ABSENT, change], 100).await;
    assert_eq!((all[0].files.len(), all[1].files.len()), (0, 3));
    let all = read(&mut changes, &[change, ABSENT, empty, ABSENT], 100).await;
    assert_eq!(all.iter().map(|did| did.files.len()).collect::<Vec<_>>(), [3, 0, 0, 0]);
    // An answer that was not taken is not one to the next question.
    changes.ask(&[change, root]).await.unwrap();
    assert_eq!(changes.next(100).await.unwrap().files.len(), 3);
    assert!(matches!(changes.ask(&[change]).await, Err(Error::Unexpected { .. })));
    assert_eq!(changes.next(100).await.unwrap(), Did::default());
}

#[tokio::test]
async fn objects_are_fetched_by_name_and_histories_walked_from_parents_to_children() {
    let fixture = Fixture::new();
    let ids: Vec<ObjectId> = (0..4).map(|number| fixture.commit(&format!("c{number}"))).collect();
    fixture.run(&["update-ref", "refs/odd/one", &ids[3].to_string()]);
    fixture.run(&["tag", "-a", "-m", "t", "v1"]);
    let rows = fixture.git.list_rows(&fixture.url(), Duration::from_secs(60)).await.unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["HEAD", "refs/heads/main", "refs/odd/one", "refs/tags/v1", "refs/tags/v1^{}"]);

    let own = fixture.git.init_bare(&fixture.path("own.git")).await.unwrap();
    let (limit, never) = (Duration::from_secs(60), CancellationToken::new());
    let want = |id, keep: Option<&str>| Want { id, keep: keep.map(|name| name.parse().unwrap()) };
    own.fetch_objects(&fixture.url(), &[want(ids[1], Some("refs/keep/a"))], &[], limit, &never)
        .await
        .unwrap();
    assert_eq!(own.missing(&[ids[0], ids[1], ids[3], ABSENT]).await.unwrap(), [ids[3], ABSENT]);
    own.fetch_objects(&fixture.url(), &[want(ids[3], None)], &[ids[1]], limit, &never).await.unwrap();
    assert_eq!(own.between(&[ids[3]], &[]).await.unwrap(), ids);
    assert_eq!(own.between(&[ids[3], ABSENT], &[ids[1], ABSENT]).await.unwrap(), ids[2..]);
    let refused = own.fetch_objects(&fixture.url(), &[want(ABSENT, None)], &[], limit, &never).await;
    assert!(matches!(refused, Err(Error::NoSuchRevision { .. })), "{refused:?}");
}
