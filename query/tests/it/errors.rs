//! What is wrong with a statement, and where.

use bellwether_query::output::Format;

use crate::asked::Asked;

#[tokio::test]
async fn a_mistake_is_shown_where_it_is() {
    let asked = Asked::new(None).await;
    for (sql, said) in [
        ("SELECT number\nFORM issues", vec!["line 2, column 6", "    FORM issues"]),
        (
            "SELECT title,\n  numbr FROM issues",
            vec!["numbr", "line 2, column 3:\n      numbr FROM issues\n      ^", "number"],
        ),
        ("SELECT 1 FROM isues", vec!["isues"]),
        ("SELECT nosuch(title) FROM issues", vec!["nosuch"]),
        ("SELECT 'open", vec!["Unterminated string", "line 1, column 8"]),
    ] {
        let wrong = asked.wrong(sql).await;
        for part in said {
            assert!(wrong.contains(part), "{sql}\n{wrong}");
        }
    }
}

#[tokio::test]
async fn nothing_is_written() {
    let asked = Asked::new(None).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.csv");
    let file = file.to_str().unwrap();
    for sql in [
        format!("COPY (SELECT 1) TO '{file}' STORED AS CSV"),
        format!("CREATE EXTERNAL TABLE x (a INT) STORED AS CSV LOCATION '{file}'"),
        "CREATE TABLE x AS SELECT 1".into(),
        "CREATE VIEW x AS SELECT 1".into(),
        "DROP TABLE issues".into(),
        "INSERT INTO issues (number) VALUES (1)".into(),
        "DELETE FROM issues".into(),
        "SET datafusion.execution.batch_size = 1".into(),
        "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1".into(),
    ] {
        let wrong = asked.wrong(&sql).await;
        assert!(wrong.contains("can only be read"), "{sql}\n{wrong}");
    }
    // Files of this machine are no tables.
    std::fs::write(file, "a\n1\n").unwrap();
    asked.wrong(&format!("SELECT * FROM '{file}'")).await;
    assert_eq!(std::fs::read_to_string(file).unwrap(), "a\n1\n");
}

#[tokio::test]
async fn memory_has_a_limit() {
    let asked = Asked::with(None, &["--memory", "16M"]).await;
    let join = "SELECT count(*) FROM generate_series(1, 4000000) a JOIN generate_series(1, 4000000) b ON a.value = b.value";
    let wrong = asked.wrong(join).await;
    assert!(wrong.contains("Resources exhausted") && wrong.contains("--memory"), "{wrong}");
    assert_eq!(asked.values("SELECT count(*) FROM issues").await, [5]);
}

/// Sorts and groups use files where memory does not do, whatever processors there are.
#[tokio::test]
async fn what_spills_is_answered_with_little_memory() {
    let asked = Asked::with(None, &["--memory", "16M"]).await;
    let texts = "SELECT repeat(CAST(value AS VARCHAR), 20) AS t FROM generate_series(1, 200000)";
    let sorted = asked.printed(&format!("{texts} ORDER BY t"), Format::Csv).await.unwrap();
    assert!(sorted.lines().count() == 200_001 && sorted.lines().skip(1).is_sorted());
}

#[tokio::test]
async fn a_statement_that_is_too_long_or_too_deep_is_refused() {
    let asked = Asked::new(None).await;
    let long = format!("SELECT '{}'", "x".repeat(1 << 18));
    assert!(asked.wrong(&long).await.contains("longer than"));
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    asked.wrong(&deep).await;
}
