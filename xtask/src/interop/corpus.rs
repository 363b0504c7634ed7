//! One mutation log, replayed by the original's package maintner and by ours: what both say of it is equal.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::around;
use crate::{corpus, process};

/// Of the Go project's size.
const SCALE: f64 = 0.01;
/// Either dump may take so long.
const LIMIT: Duration = Duration::from_secs(300);
/// Differences that are shown.
const SHOWN: usize = 5;

/// Fields of a line that name what it is of; the rest says what is known of it.
fn named(letter: &str) -> usize {
    match letter {
        "I" | "F" | "G" | "M" | "L" => 3,
        "C" | "E" | "V" | "N" | "Q" | "S" => 4,
        _ => 2,
    }
}

/// Compares the dumps of a made-up log (spec maintner, 3.6), and says what was compared.
pub(super) fn compare(program: &Path) -> Result<String> {
    let original = around("maintner", "./maintner")?;
    let dir = tempfile::tempdir().context("a folder for the log")?;
    corpus::make(dir.path(), SCALE)?;
    let theirs = said(Command::new(original).arg("dump").arg(dir.path()))?;
    let ours = said(Command::new(program).args(["log", "digest", "--original", "--dump"]).arg(dir.path()))?;
    equal(&theirs, &ours)
}

fn said(command: &mut Command) -> Result<String> {
    process::output(command, LIMIT)
}

/// What a line is of, and all of it.
fn lines(dump: &str) -> Result<BTreeMap<Vec<&str>, Vec<&str>>> {
    let mut all = BTreeMap::new();
    for line in dump.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let name = fields.iter().take(named(fields[0])).copied().collect();
        ensure!(all.insert(name, fields).is_none(), "two lines are of the same: {line}");
    }
    Ok(all)
}

fn equal(theirs: &str, ours: &str) -> Result<String> {
    let (theirs, mut ours) = (lines(theirs)?, lines(ours)?);
    let (mut other, mut hidden) = (Vec::new(), 0);
    for (name, want) in &theirs {
        let have = ours.remove(name).unwrap_or_default();
        let same = have.len() == want.len()
            && have.iter().zip(want).all(|(have, want)| have == want || *want == "?");
        hidden += want.iter().zip(&have).filter(|(want, have)| **want == "?" && want != have).count();
        if !same {
            other.push(format!("theirs {}\nours   {}", want.join(" "), have.join(" ")));
        }
    }
    // What the original's public names do not show.
    let unseen =
        |fields: &&Vec<&str>| matches!(fields[0], "H" | "U" | "T") || (fields[0] == "G" && fields[3] == "0");
    let more = ours.values().filter(unseen).count();
    other.extend(
        ours.values()
            .filter(|fields| !unseen(fields))
            .map(|fields| format!("only ours: {}", fields.join(" "))),
    );
    ensure!(theirs.len() > 1000, "the original's dump has {} lines", theirs.len());
    ensure!(
        other.is_empty(),
        "{} lines differ:\n{}",
        other.len(),
        other[..other.len().min(SHOWN)].join("\n")
    );
    Ok(format!("{} lines equal; it does not show {more} others and {hidden} fields", theirs.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(more: &str) -> String {
        let mut all: String = (0..1001).map(|number| format!("U\t{number}\tx\n")).collect();
        all.push_str(more);
        all
    }

    #[test]
    fn what_differs_is_told_and_what_is_not_shown_is_counted() {
        let theirs = many("I\tr\t1\t0\t?\t5\n");
        let said = equal(&theirs, &many("I\tr\t1\t0\t7\t5\nH\ta\tb\n")).unwrap();
        assert_eq!(said, "1002 lines equal; it does not show 1 others and 1 fields");
        for (ours, why) in [
            ("I\tr\t1\t0\t7\t6\n", "ours   I r 1 0 7 6"),
            ("I\tr\t1\t0\t7\n", "ours   I r 1 0 7"),
            ("", "theirs I r 1 0 ? 5\nours   "),
            ("I\tr\t1\t0\t7\t5\nR\ta/b\n", "only ours: R a/b"),
            ("I\tr\t1\t0\t7\t5\nG\tp\t1\t1\n", "only ours: G p 1 1"),
        ] {
            let said = equal(&theirs, &many(ours)).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }
}
