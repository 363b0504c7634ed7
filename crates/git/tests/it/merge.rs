//! Two commits together.

use git::Merge;

use crate::fixture::Fixture;

#[tokio::test]
async fn two_commits_are_one_or_in_conflict() {
    let fixture = Fixture::new();
    fixture.write("a", "1\n");
    fixture.write("b", "1\n");
    let base = fixture.commit("base");
    fixture.write("a", "2\n");
    let left = fixture.commit("left");
    fixture.run(&["checkout", "-q", "-b", "right", &base.to_string()]);
    fixture.write("b", "2\n");
    let right = fixture.commit("right");
    fixture.run(&["checkout", "-q", "-b", "against", &base.to_string()]);
    fixture.write("a", "3\n");
    let against = fixture.commit("against");
    fixture.run(&["checkout", "-q", "--orphan", "other"]);
    let other = fixture.commit("other");
    let mirror = fixture.mirror().await;
    // One that has the other already is it.
    assert_eq!(mirror.merge(base, left).await.unwrap(), Merge::Commit(left));
    assert_eq!(mirror.merge(left, base).await.unwrap(), Merge::Commit(left));
    let Merge::Commit(both) = mirror.merge(left, right).await.unwrap() else { panic!("no conflict") };
    assert_eq!(mirror.merge(left, right).await.unwrap(), Merge::Commit(both), "the same is the same");
    let commits = mirror.commits(&[both]).await.unwrap();
    assert_eq!(commits[0].parents, [left, right]);
    for file in ["a", "b"] {
        assert_eq!(mirror.read_file(both, file, 10).await.unwrap().unwrap(), b"2\n", "{file}");
    }
    assert_eq!(mirror.merge(left, against).await.unwrap(), Merge::Conflict(vec!["a".into()]));
    assert_eq!(mirror.merge(left, other).await.unwrap(), Merge::Unrelated);
}
