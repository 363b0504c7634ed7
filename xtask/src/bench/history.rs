//! A long history out of a short one: a backup of a server that built one commit becomes that of one which built thousands.
//!
//! Every row that speaks of the newest commit, of its builds or of their attempts is written again for each older commit,
//! with ids, hashes and times of its own. So the rows are as a server of this version writes them, in all tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::setup;

/// Digits of a ULID, by value.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Digits of a ULID that tell its time, in ms.
const TIME_DIGITS: usize = 10;
const ULID: usize = 26;
/// How much older each commit's builds are than those of the next one.
const APART_MS: u64 = 60_000;
/// The most rows of the feed that a server keeps.
const FEED: usize = 100_000;

/// A table of a backup.
struct Table {
    columns: Vec<String>,
    head: String,
    rows: Vec<Vec<Value>>,
}

impl Table {
    fn read(path: &Path) -> Result<Self> {
        let mut lines = BufReader::new(zstd::Decoder::new(File::open(path)?)?).lines();
        let head = lines.next().context("it is empty")??;
        let columns: Vec<Value> = serde_json::from_str(&head)?;
        let columns = columns
            .iter()
            .map(|one| Ok(one["name"].as_str().context("a column without a name")?.to_owned()))
            .collect::<Result<_>>()?;
        let rows = lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Result<_>>()?;
        Ok(Self { columns, head, rows })
    }

    fn at(&self, column: &str) -> Result<usize> {
        self.columns.iter().position(|name| name == column).with_context(|| format!("no column {column}"))
    }

    fn texts(&self, column: &str) -> Result<Vec<&str>> {
        let at = self.at(column)?;
        Ok(self.rows.iter().filter_map(|row| row.get(at)?.as_str()).collect())
    }
}

/// A text of a row, by what changes in it from commit to commit.
enum Piece {
    Fixed(String),
    Id(String),
    Hash,
    Parent,
}

/// A row to be written again.
struct Pattern(Vec<Cell>);

enum Cell {
    Same(Value),
    Text(Vec<Piece>),
    /// Microseconds.
    Time(i64),
    /// One more in each copy.
    Up(i64),
    /// One less in each copy.
    Down(i64),
}

/// Writes the backup at `from`, whose server built the first of `line`, once more into `to`, with the builds of all of
/// `line` (a branch's commits, newest first; the last has no builds, for it has no parent). Returns how many builds it has.
pub(super) fn enlarge(from: &Path, to: &Path, line: &[String]) -> Result<usize> {
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(from.join("manifest.json"))?)?;
    if manifest["objects"]["rows"] != 0 {
        bail!("the history names objects, which are not written again");
    }
    std::fs::create_dir_all(to.join("tables"))?;
    std::fs::create_dir_all(to.join("objects"))?;
    std::fs::copy(from.join("objects.jsonl.zst"), to.join("objects.jsonl.zst"))?;
    let names: Vec<String> =
        manifest["tables"].as_object().context("no tables in the manifest")?.keys().cloned().collect();
    let mut tables = BTreeMap::new();
    for name in names {
        let file = format!("tables/{name}.jsonl.zst");
        let table = Table::read(&from.join(&file)).with_context(|| file)?;
        tables.insert(name, table);
    }
    let (newest, ids) = known(&tables, line)?;
    let builds = tables.get("builds").context("no table builds")?;
    let built: BTreeSet<&str> =
        line.iter().map(String::as_str).filter(|hash| is_named(builds, hash)).collect();
    let (mut count, mut fed) = (0, 0);
    // In the order of their names: `feed` comes before `feed_last`, which has the last number of it.
    for (name, table) in &mut tables {
        let part = &mut manifest["tables"][name.as_str()];
        let path = to.join(format!("tables/{name}.jsonl.zst"));
        if name == "feed_last" {
            let at = table.at("seq")?;
            table
                .rows
                .iter_mut()
                .for_each(|row| row[at] = Value::from(fed.max(row[at].as_i64().unwrap_or_default())));
        }
        let (rows, last) =
            write(&path, name, table, &newest, &ids, &built, line).with_context(|| name.clone())?;
        match name.as_str() {
            "builds" => count = rows,
            "feed" => fed = last,
            _ => {}
        }
        part["rows"] = rows.into();
        part["sha256"] = setup::digest(&path)?.into();
    }
    std::fs::write(to.join("manifest.json"), manifest.to_string())?;
    Ok(count)
}

/// Whether a backup shows a moment at which nothing was under way: every build's end is reported, every lease has ended.
pub(super) fn settled(backup: &Path) -> Result<bool> {
    let table = |name: &str| Table::read(&backup.join(format!("tables/{name}.jsonl.zst")));
    let (builds, leases) = (table("builds")?, table("leases")?);
    let (reported, ended) = (builds.at("reported")?, leases.at("ended_us")?);
    Ok(builds.rows.iter().all(|row| row[reported] == 1)
        && leases.rows.iter().all(|row| !row[ended].is_null()))
}

/// The hashes of the commit whose rows are copied and of its parent, and the ids in those rows that are its own.
fn known(tables: &BTreeMap<String, Table>, line: &[String]) -> Result<((String, String), BTreeSet<String>)> {
    let [newest, parent, ..] = line else { bail!("a history of at least two commits") };
    let table = |name: &str| tables.get(name).with_context(|| format!("no table {name}"));
    let builds = table("builds")?;
    let (id, revision) = (builds.texts("id")?, builds.texts("revision")?);
    let of_newest = id.iter().zip(revision).filter(|(_, revision)| revision.contains(newest.as_str()));
    let mut ids: BTreeSet<String> = of_newest.map(|(id, _)| (*id).to_owned()).collect();
    if ids.is_empty() {
        bail!("commit {newest} has no builds");
    }
    for (name, of) in [("attempts", "build"), ("leases", "build")] {
        let table = table(name)?;
        let more: Vec<String> = (table.texts("id")?.iter().zip(table.texts(of)?))
            .filter(|(_, build)| ids.contains(*build))
            .map(|(id, _)| (*id).to_owned())
            .collect();
        ids.extend(more);
    }
    Ok(((newest.clone(), parent.clone()), ids))
}

/// Returns how many rows there are, and the highest number that was given to a copy.
fn write(
    path: &Path,
    name: &str,
    table: &Table,
    (newest, parent): &(String, String),
    ids: &BTreeSet<String>,
    built: &BTreeSet<&str>,
    line: &[String],
) -> Result<(usize, i64)> {
    let mut out = zstd::Encoder::new(BufWriter::new(File::create_new(path)?), 1)?;
    writeln!(out, "{}", table.head)?;
    let mut count = 0;
    for row in &table.rows {
        serde_json::to_writer(&mut out, row)?;
        out.write_all(b"\n")?;
        count += 1;
    }
    // What a server knows of older commits, and the few of them that it has built, is there already.
    let present: BTreeSet<&str> = match name {
        "commits" | "branch_commits" => table.texts("hash")?.into_iter().collect(),
        _ => built.clone(),
    };
    let patterns: Vec<Pattern> =
        (table.rows.iter()).filter_map(|row| pattern(name, table, row, newest, parent, ids)).collect();
    // The copies' events come after all that are there, each copy's after those of the copy before.
    let most = |pattern: &Pattern| pattern.0.iter().filter_map(Cell::up).max();
    let seqs = patterns.iter().filter_map(most).max().unwrap_or_default();
    let mut last = seqs;
    for (nth, pair) in line.windows(2).enumerate().skip(1) {
        if present.contains(pair[0].as_str()) {
            continue;
        }
        if name == "feed" && count + patterns.len() > FEED {
            break;
        }
        last += seqs;
        for Pattern(cells) in &patterns {
            let row: Vec<Value> =
                cells.iter().map(|cell| cell.of(nth as i64, &pair[0], &pair[1], seqs)).collect();
            serde_json::to_writer(&mut out, &row)?;
            out.write_all(b"\n")?;
            count += 1;
        }
    }
    out.finish()?.flush()?;
    Ok((count, last))
}

fn is_named(table: &Table, hash: &str) -> bool {
    table.rows.iter().flatten().any(|value| value.as_str().is_some_and(|text| text.contains(hash)))
}

/// The row as a pattern, if it speaks of the commit or of something of its own.
fn pattern(
    name: &str,
    table: &Table,
    row: &[Value],
    newest: &str,
    parent: &str,
    ids: &BTreeSet<String>,
) -> Option<Pattern> {
    // Heads are of one commit only, whatever its history.
    if ["repos", "branches"].contains(&name) {
        return None;
    }
    let mut own = false;
    let cells = row.iter().zip(&table.columns).map(|(value, column)| match value {
        Value::String(text) => {
            let pieces = cut(text, newest, parent, ids);
            own |= pieces.iter().any(|piece| matches!(piece, Piece::Id(_) | Piece::Hash));
            Cell::Text(pieces)
        }
        Value::Number(number) => match (name, column.as_str(), number.as_i64()) {
            ("events" | "feed", "seq", Some(seq)) => Cell::Up(seq),
            ("branch_commits", "position", Some(position)) => Cell::Down(position),
            (_, column, Some(time)) if column.ends_with("_us") && time > 0 => Cell::Time(time),
            _ => Cell::Same(value.clone()),
        },
        _ => Cell::Same(value.clone()),
    });
    let cells = cells.collect();
    own.then_some(Pattern(cells))
}

fn cut(text: &str, newest: &str, parent: &str, ids: &BTreeSet<String>) -> Vec<Piece> {
    let (mut pieces, mut fixed, mut at) = (Vec::new(), String::new(), 0);
    while at < text.len() {
        let rest = &text[at..];
        let (piece, length) = if rest.starts_with(newest) {
            (Piece::Hash, newest.len())
        } else if rest.starts_with(parent) {
            (Piece::Parent, parent.len())
        } else if let Some(id) = rest.get(..ULID).filter(|id| ids.contains(*id)) {
            (Piece::Id(id.to_owned()), ULID)
        } else {
            let next = rest.chars().next().unwrap_or_default();
            fixed.push(next);
            at += next.len_utf8();
            continue;
        };
        if !fixed.is_empty() {
            pieces.push(Piece::Fixed(std::mem::take(&mut fixed)));
        }
        pieces.push(piece);
        at += length;
    }
    if !fixed.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Fixed(fixed));
    }
    pieces
}

impl Cell {
    fn up(&self) -> Option<i64> {
        if let Self::Up(value) = self { Some(*value) } else { None }
    }

    fn of(&self, nth: i64, hash: &str, parent: &str, seqs: i64) -> Value {
        match self {
            Self::Same(value) => value.clone(),
            Self::Time(time) => (time - nth * APART_MS as i64 * 1000).into(),
            Self::Up(value) => (value + nth * seqs).into(),
            Self::Down(value) => (value - nth).into(),
            Self::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Fixed(fixed) => text.push_str(fixed),
                        Piece::Hash => text.push_str(hash),
                        Piece::Parent => text.push_str(parent),
                        Piece::Id(id) => text.push_str(&older(id, nth as u64 * APART_MS)),
                    }
                }
                text.into()
            }
        }
    }
}

/// The ULID of the same chance and of a time so many ms earlier.
fn older(id: &str, ms: u64) -> String {
    let value = |digit: u8| DIGITS.iter().position(|known| *known == digit).unwrap_or_default() as u64;
    let time = id.bytes().take(TIME_DIGITS).fold(0, |time, digit| time << 5 | value(digit));
    let time = time.saturating_sub(ms);
    let mut text: String =
        (0..TIME_DIGITS).rev().map(|at| char::from(DIGITS[(time >> (at * 5) & 31) as usize])).collect();
    text.push_str(&id[TIME_DIGITS..]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: &str = "01J00000000000000000000009";

    #[test]
    fn an_older_id_has_another_time_and_the_same_chance() {
        assert_eq!(older("01J00000000000000000000009", 1), "01HZZZZZZZ0000000000000009");
        assert!(older(BUILD, 60_000).as_str() < BUILD);
    }

    #[test]
    fn a_row_is_written_again_for_each_older_commit() {
        let dir = tempfile::tempdir().unwrap();
        let line: Vec<String> = ["a", "b", "c", "d"].iter().map(|one| one.repeat(40)).collect();
        let from = dir.path().join("from");
        std::fs::create_dir_all(from.join("tables")).unwrap();
        let file = |name: &str, columns: &[&str], rows: &[Value]| {
            let mut out = zstd::Encoder::new(File::create(from.join(name)).unwrap(), 1).unwrap();
            let head: Vec<_> = columns.iter().map(|name| serde_json::json!({"name": name})).collect();
            for line in [Value::from(head)].iter().chain(rows) {
                writeln!(out, "{line}").unwrap();
            }
            out.finish().unwrap();
        };
        let json = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        file("objects.jsonl.zst", &[], &[]);
        let (a, b) = (&line[0], &line[1]);
        file(
            "tables/builds.jsonl.zst",
            &["id", "revision", "state", "created_us"],
            &[json(format!(r#"["{BUILD}", "r@{a}", "done", 1700000000000000]"#))],
        );
        for name in ["attempts", "leases"] {
            file(&format!("tables/{name}.jsonl.zst"), &["id", "build"], &[]);
        }
        file(
            "tables/commits.jsonl.zst",
            &["hash", "parents"],
            &[json(format!(r#"["{a}", "{b}"]"#)), json(format!(r#"["{b}", "?"]"#))],
        );
        file(
            "tables/events.jsonl.zst",
            &["seq", "body"],
            &[json(r#"[3, "a start"]"#.into()), json(format!(r#"[7, "of {BUILD}"]"#))],
        );
        let tables = ["builds", "attempts", "leases", "commits", "events"];
        let parts: serde_json::Map<String, Value> =
            tables.iter().map(|name| ((*name).to_owned(), serde_json::json!({"rows": 0}))).collect();
        let manifest = serde_json::json!({"tables": parts, "objects": {"rows": 0}});
        std::fs::write(from.join("manifest.json"), manifest.to_string()).unwrap();

        let to = dir.path().join("to");
        assert_eq!(enlarge(&from, &to, &line).unwrap(), 3);
        let read = |name: &str| Table::read(&to.join(format!("tables/{name}.jsonl.zst"))).unwrap().rows;
        let builds = read("builds");
        assert_eq!(builds[2][1], format!("r@{}", line[2]));
        assert_eq!(builds[2][3], 1_700_000_000_000_000_i64 - 120_000_000);
        assert_eq!(read("commits").len(), 3, "one was known, the last has no parent");
        assert_eq!(read("commits")[2], [line[2].as_str(), line[3].as_str()]);
        let events = read("events");
        let seqs: Vec<i64> = events.iter().map(|row| row[0].as_i64().unwrap()).collect();
        assert_eq!(seqs, [3, 7, 14, 21]);
        assert_eq!(events[3][1], format!("of {}", builds[2][0].as_str().unwrap()));
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(to.join("manifest.json")).unwrap()).unwrap();
        assert_eq!(manifest["tables"]["builds"]["rows"], 3);
        assert_eq!(manifest["tables"]["builds"]["sha256"].as_str().unwrap().len(), 64);
    }
}
