//! A row as a line of JSON: integers as numbers, texts as texts, floats as decimal texts that lose nothing, bytes in base64.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sqlx::Row as _;
use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::query::Query;

use super::tables::{Column, Kind, Table};
use crate::StoreError;
use crate::bind::Double;

pub(super) fn encode(row: &AnyRow, table: &Table) -> Result<Vec<Value>, StoreError> {
    let one = |(at, column): (usize, &Column)| -> Result<Value, StoreError> {
        Ok(match column.kind {
            Kind::Text => row.try_get::<Option<String>, _>(at)?.into(),
            Kind::Integer => row.try_get::<Option<i64>, _>(at)?.into(),
            Kind::Real => row.try_get::<Option<f64>, _>(at)?.map(|value| value.to_string()).into(),
            Kind::Bytes => {
                row.try_get::<Option<Vec<u8>>, _>(at)?.map(|bytes| BASE64_STANDARD.encode(bytes)).into()
            }
        })
    };
    table.columns.iter().enumerate().map(one).collect()
}

/// A value of a row, for the database.
#[derive(Debug, PartialEq)]
pub(super) enum Cell {
    Text(Option<String>),
    Integer(Option<i64>),
    Real(Option<f64>),
    Bytes(Option<Vec<u8>>),
}

/// Reads a line; an error says what is wrong with it.
pub(super) fn decode(line: &str, table: &Table) -> Result<Vec<Cell>, String> {
    let values: Vec<Value> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if values.len() != table.columns.len() {
        return Err(format!("{} values for {} columns", values.len(), table.columns.len()));
    }
    values.into_iter().zip(&table.columns).map(|(value, column)| cell(value, column)).collect()
}

fn cell(value: Value, column: &Column) -> Result<Cell, String> {
    let bad = || format!("not a value of column {}", column.name);
    let text = |value: Value| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(bad()),
    };
    Ok(match column.kind {
        Kind::Text => Cell::Text(text(value)?),
        Kind::Integer if value.is_null() => Cell::Integer(None),
        Kind::Integer => Cell::Integer(Some(value.as_i64().ok_or_else(bad)?)),
        Kind::Real => Cell::Real(text(value)?.map(|text| text.parse().map_err(|_| bad())).transpose()?),
        Kind::Bytes => {
            let decoded = text(value)?.map(|text| BASE64_STANDARD.decode(text).map_err(|_| bad()));
            Cell::Bytes(decoded.transpose()?)
        }
    })
}

pub(super) fn bind(query: Query<'_, Any, AnyArguments>, cell: Cell) -> Query<'_, Any, AnyArguments> {
    match cell {
        Cell::Text(value) => query.bind(value),
        Cell::Integer(value) => query.bind(value),
        Cell::Real(value) => query.bind(value.map(Double)),
        Cell::Bytes(value) => query.bind(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_does_not_fit_is_refused() {
        let column = |name: &str, kind| Column { name: name.into(), kind };
        let columns = vec![
            column("t", Kind::Text),
            column("i", Kind::Integer),
            column("r", Kind::Real),
            column("b", Kind::Bytes),
        ];
        let table = Table { name: "x".into(), columns };
        let cells = decode(r#"["é", -9223372036854775808, "0.1", "AAE="]"#, &table).unwrap();
        let expected = [
            Cell::Text(Some("é".into())),
            Cell::Integer(Some(i64::MIN)),
            Cell::Real(Some(0.1)),
            Cell::Bytes(Some(vec![0, 1])),
        ];
        assert_eq!(cells, expected);
        assert!(decode("[null, null, null, null]", &table).is_ok());
        for bad in [
            "",
            "[]",
            r#"[1, 1, "1", ""]"#,
            r#"["", 1.5, "1", ""]"#,
            r#"["", 1, 1, ""]"#,
            r#"["", 1, "1", "?"]"#,
        ] {
            assert!(decode(bad, &table).is_err(), "{bad}");
        }
    }
}
