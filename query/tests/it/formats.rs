//! How rows are printed.

use bellwether_query::output::Format;

use crate::asked::Asked;

const TWO: &str =
    "SELECT number, title, labels, closed_at FROM issues WHERE number IN (2, 6) ORDER BY number";

#[tokio::test]
async fn a_table_has_a_line_for_each_row() {
    let asked = Asked::new(None).await;
    let table = asked.printed(TWO, Format::Table).await.unwrap();
    let want = "\
number  title                                   labels                       closed_at
------  --------------------------------------  ---------------------------  ---------
     2  net: it leaks                           [NeedsFix, release-blocker]
     6  \"quoted\", with a comma, ü and  [31mred  []
";
    assert_eq!(table, want);
    let long = asked.printed("SELECT repeat('ab', 100) AS x, 1.5 AS y", Format::Table).await.unwrap();
    let row = long.lines().nth(2).unwrap();
    assert!(row.ends_with("…  1.5") && row.chars().count() == 60 + 2 + 3, "{row}");
    let none = asked.printed("SELECT number FROM issues WHERE number = 99", Format::Table).await.unwrap();
    assert_eq!(none, "number\n------\n");
}

#[tokio::test]
async fn csv_quotes_what_needs_it() {
    let asked = Asked::new(None).await;
    let csv = asked.printed(TWO, Format::Csv).await.unwrap();
    let want = "\
number,title,labels,closed_at
2,net: it leaks,\"[NeedsFix, release-blocker]\",
6,\"\"\"quoted\"\", with a comma, ü and \u{1b}[31mred\",[],
";
    assert_eq!(csv, want);
    let time = asked.printed("SELECT closed_at FROM issues WHERE number = 3", Format::Csv).await.unwrap();
    assert_eq!(time, "closed_at\n2018-01-11T00:00:00Z\n");
    let none =
        asked.printed("SELECT number, labels FROM issues WHERE number = 99", Format::Csv).await.unwrap();
    assert_eq!(none, "number,labels\n");
}

#[tokio::test]
async fn json_is_one_array_and_ndjson_a_line_each() {
    let asked = Asked::new(None).await;
    let rows = asked.rows(TWO).await;
    assert_eq!(rows[0]["labels"], serde_json::json!(["NeedsFix", "release-blocker"]));
    assert_eq!(rows[1]["closed_at"], serde_json::Value::Null);
    assert_eq!(
        asked.printed("SELECT number FROM issues WHERE number = 99", Format::Json).await.unwrap(),
        "[]\n"
    );
    let lines = asked.printed(TWO, Format::Ndjson).await.unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, rows);
}

/// More rows than a batch has, and than a page.
#[tokio::test]
async fn many_batches_are_one_answer() {
    let asked = Asked::new(None).await;
    let many = "SELECT value FROM generate_series(1, 20000) ORDER BY value";
    assert_eq!(asked.rows(many).await.len(), 20_000);
    assert_eq!(asked.printed(many, Format::Csv).await.unwrap().lines().count(), 20_001);
    let table = asked.printed(many, Format::Table).await.unwrap();
    assert_eq!(table.lines().filter(|line| line.contains("value")).count(), 4);
    assert_eq!(table.lines().count(), 20_000 + 2 * 4);
}

#[tokio::test]
async fn statements_are_answered_one_after_the_other() {
    let asked = Asked::new(None).await;
    let csv = asked.printed("SELECT 1 AS a; SELECT 2 AS b;", Format::Csv).await.unwrap();
    assert_eq!(csv, "a\n1\nb\n2\n");
}

/// Whatever its zone is, an instant is what it says, and in all forms the same.
#[tokio::test]
async fn instants_have_their_zone() {
    let asked = Asked::new(None).await;
    let sql = "SELECT arrow_cast(closed_at, 'Timestamp(Microsecond, Some(\"+02:00\"))') AS t FROM issues WHERE number = 3";
    let plain = "SELECT arrow_cast('2018-01-11T00:00:00.5', 'Timestamp(Microsecond, None)') AS t";
    for (sql, want) in [(sql, "2018-01-11T02:00:00+02:00"), (plain, "2018-01-11T00:00:00.500")] {
        assert_eq!(asked.printed(sql, Format::Csv).await.unwrap(), format!("t\n{want}\n"));
        assert_eq!(asked.values(sql).await, [want]);
        assert!(asked.printed(sql, Format::Table).await.unwrap().ends_with(&format!("\n{want}\n")));
    }
}

#[tokio::test]
async fn a_plan_is_whole_and_tables_stand_apart() {
    let asked = Asked::new(None).await;
    let columns =
        "number, title, state, author, created, updated, closed_at, pull_request, locked, milestone";
    let sql = format!("EXPLAIN FORMAT INDENT SELECT {columns} FROM issues; SELECT 1 AS a; SELECT 2 AS b");
    let said = asked.printed(&sql, Format::Table).await.unwrap();
    assert!(said.starts_with("logical_plan\n  ") && said.contains("\nphysical_plan\n  "), "{said}");
    assert!(said.contains("locked, milestone]") && !said.contains('…'), "{said}");
    assert!(said.ends_with("\n\na\n-\n1\n\nb\n-\n2\n"), "{said}");
}
