//! `--at`.

use serde_json::json;

use crate::asked::Asked;
use crate::world::NOW;

#[tokio::test]
async fn tables_say_what_was() {
    for (at, open, closed, comments, events) in [
        ("2017-10-01", vec![], vec![], 0, 0),
        ("2017-11-10", vec![json!(1)], vec![], 1, 0),
        ("2017-12-05", vec![json!(1)], vec![json!(2)], 2, 4),
        ("2017-12-25T12:00:00Z", vec![json!(1), json!(2), json!(3)], vec![], 3, 6),
        (NOW, vec![json!(1), json!(2), json!(5), json!(6)], vec![json!(3)], 3, 7),
    ] {
        let asked = Asked::new(Some(at)).await;
        let state = |state| format!("SELECT number FROM issues WHERE state = '{state}' ORDER BY number");
        assert_eq!(asked.values(&state("open")).await, open, "{at}");
        assert_eq!(asked.values(&state("closed")).await, closed, "{at}");
        assert_eq!(asked.values("SELECT count(*) FROM comments").await, [comments], "{at}");
        assert_eq!(asked.values("SELECT count(*) FROM events").await, [events], "{at}");
        // Nothing is of later, and now is then.
        for (table, time) in [
            ("issues", "updated"),
            ("comments", "created"),
            ("events", "created"),
            ("cls", "updated"),
            ("patch_sets", "created"),
            ("messages", "created"),
            ("commits", "commit_time"),
            ("refs", "commit_time"),
        ] {
            let later = format!("SELECT count(*) FROM {table} WHERE {time} > now()");
            assert_eq!(asked.values(&later).await, [0], "{table} at {at}");
        }
    }
}

#[tokio::test]
async fn a_change_is_as_it_was() {
    for (at, status, patch_set, votes, master_is) in [
        ("2018-02-01T12:00:00Z", "new", 1, json!([-1]), "all: begin"),
        // By the time of its commit, which is all that there is to tell by.
        ("2018-02-02T12:00:00Z", "new", 2, json!([]), "net: fix a leak"),
        ("2018-02-09", "new", 2, json!([2]), "net: fix a leak"),
        ("2018-02-10", "merged", 2, json!([2]), "net: fix a leak"),
    ] {
        let asked = Asked::new(Some(at)).await;
        let cl = asked.rows("SELECT status, patch_set FROM cls WHERE number = 103").await;
        assert_eq!(cl, [json!({"status": status, "patch_set": patch_set})], "{at}");
        let said = asked.values("SELECT value FROM votes WHERE cl = 103").await;
        assert_eq!(json!(said), votes, "{at}");
        let sets = asked.values("SELECT count(*) FROM patch_sets WHERE cl = 103").await;
        assert_eq!(sets, [patch_set], "{at}");
        let master = "SELECT c.subject FROM refs r JOIN commits c ON c.commit = r.commit WHERE r.name = 'refs/heads/master'";
        assert_eq!(asked.values(master).await, [master_is], "{at}");
        let there = asked.values("SELECT count(*) FROM cls WHERE number = 104").await;
        assert_eq!(there, [0], "{at}");
    }
}

#[tokio::test]
async fn now_is_then() {
    let asked = Asked::new(Some("2018-02-01T12:00:00Z")).await;
    let said = asked.rows("SELECT now() AS now, current_date AS day").await;
    assert_eq!(said, [json!({"now": "2018-02-01T12:00:00Z", "day": "2018-02-01"})]);
    let asked = Asked::new(None).await;
    assert_eq!(asked.values("SELECT now() > '2020-01-01'").await, [true]);
}
