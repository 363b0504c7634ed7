//! The queries in docs/query.md.

use std::path::Path;

use bellwether_query::tables;

use crate::asked::Asked;
use crate::world::NOW;

fn document() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/query.md");
    std::fs::read_to_string(file).unwrap()
}

/// Each is answered, on the first of March, with a row or more.
#[tokio::test]
async fn each_query_of_the_book_has_an_answer() {
    let text = document();
    let queries: Vec<&str> =
        text.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(queries.len(), 10);
    let asked = Asked::new(Some(NOW)).await;
    for query in queries {
        let rows = asked.rows(query).await;
        assert!(!rows.is_empty(), "no row:\n{query}");
    }
}

/// All columns are in the book.
#[test]
fn each_column_is_in_the_book() {
    let text = document();
    for table in tables::all() {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{}` |", table.name)));
        let row = row.unwrap_or_else(|| panic!("{} is not in docs/query.md", table.name));
        for (name, ..) in (table.columns)() {
            assert!(row.contains(&format!("`{name}`")), "{}.{name} is not in docs/query.md", table.name);
        }
    }
}
