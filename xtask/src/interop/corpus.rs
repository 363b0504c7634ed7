//! One mutation log, replayed by the original's package maintner and by ours: what both say of it is equal.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::around;
use crate::{corpus, process};

/// Of the Go project's size.
const SCALE: f64 = 0.01;
/// Either dump may take so long.
const LIMIT: Duration = Duration::from_secs(300);
/// Differences that are shown.
const SHOWN: usize = 5;

/// Fields of an issue's line that the original's public names do not show: until when it was read, and its latest event.
pub(super) const HIDDEN: std::ops::Range<usize> = 18..22;

/// Fields of a line that name what it is of; the rest says what is known of it.
pub(super) fn named(letter: &str) -> usize {
    match letter {
        "I" | "F" | "G" | "M" | "L" => 3,
        "C" | "E" | "V" | "N" | "Q" | "S" => 4,
        _ => 2,
    }
}

/// A made-up log, and the dumps of it (spec maintner, 3.6) by the original's rules.
pub(super) struct Made {
    pub(super) dir: TempDir,
    pub(super) theirs: String,
    pub(super) ours: String,
}

impl Made {
    pub(super) fn new(program: &Path) -> Result<Self> {
        let original = around("maintner", "./maintner")?;
        let dir = tempfile::tempdir().context("a folder for the log")?;
        corpus::make(dir.path(), SCALE)?;
        let theirs = said(Command::new(original).arg("dump").arg(dir.path()))?;
        let ours =
            said(Command::new(program).args(["log", "digest", "--original", "--dump"]).arg(dir.path()))?;
        Ok(Self { dir, theirs, ours })
    }

    /// Compares the dumps, and says what was compared.
    pub(super) fn compare(&self) -> Result<String> {
        equal(&self.theirs, &self.ours)
    }
}

pub(super) fn said(command: &mut Command) -> Result<String> {
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

/// Whether a line is one that the original's public names may not show.
pub(super) fn unseen(fields: &[&str]) -> bool {
    matches!(fields[0], "H" | "U" | "T") || (fields[0] == "G" && fields.get(3) == Some(&"0"))
}

fn equal(theirs: &str, ours: &str) -> Result<String> {
    let (theirs, mut ours) = (lines(theirs)?, lines(ours)?);
    let (mut other, mut hidden) = (Vec::new(), 0);
    for (name, want) in &theirs {
        let have = ours.remove(name).unwrap_or_default();
        let hides = |at: usize| name[0] == "I" && HIDDEN.contains(&at) && want[at] == "?";
        let same = have.len() == want.len() && (0..want.len()).all(|at| have[at] == want[at] || hides(at));
        hidden += (0..want.len()).filter(|at| hides(*at)).count();
        if !same {
            other.push(format!("theirs {}\nours   {}", want.join(" "), have.join(" ")));
        }
    }
    let more = ours.values().filter(|fields| unseen(fields)).count();
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
        let issue = |milestone: &str, last: &str| {
            format!(
                "I\tr\t1\t0\t0\t5\t5\t-\t0\t0\t0\t9\t-\t{milestone}\t-\t-\t0\t0\t{last}\t{last}\t{last}\t{last}\n"
            )
        };
        let theirs = many(&issue("?", "?"));
        let said = equal(&theirs, &many(&(issue("?", "7") + "H\ta\tb\n"))).unwrap();
        assert_eq!(said, "1002 lines equal; it does not show 1 others and 4 fields");
        let right = issue("?", "7");
        for (ours, why) in [
            (issue("none", "7"), "ours   I r 1 0 0 5 5 - 0 0 0 9 - none"),
            (right.replace("\t9\t", "\t8\t"), "ours   I r 1 0 0 5 5 - 0 0 0 8"),
            (right.replace("\t7\n", "\n"), "ours   I r 1"),
            (String::new(), "theirs I r 1"),
            (right.clone() + "R\ta/b\n", "only ours: R a/b"),
            (right.clone() + "G\tp\t1\t1\n", "only ours: G p 1 1"),
        ] {
            let said = equal(&theirs, &many(&ours)).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }
}
