//! One mutation log, replayed by the original's package maintner and by ours: what both say of it is equal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{around, odd, rules};
use crate::{corpus, process};

/// Of the Go project's size.
const SCALE: f64 = 0.01;
/// Either dump may take so long.
const LIMIT: Duration = Duration::from_secs(300);
/// Differences that are shown.
const SHOWN: usize = 5;

/// Fields of an issue's line that the original's public names do not show: until when it was read, and its latest event.
pub(super) const HIDDEN: std::ops::Range<usize> = 18..22;

/// All that a dump has lines of.
const LETTERS: &str = "UTRLMICEVKHPFSGNQ";
/// What [`Unseen::why`] says.
const UNSEEN: [&str; 5] = ["H", "U", "T", "G0", "S of G0"];

/// Fields of a line that name what it is of; the rest says what is known of it.
pub(super) fn named(letter: &str) -> usize {
    match letter {
        "I" | "F" | "G" | "M" | "L" => 3,
        "C" | "E" | "V" | "N" | "Q" | "S" => 4,
        _ => 2,
    }
}

/// A made-up log, the dumps of it (spec maintner, 3.6) by the original's rules, and one by ours.
pub(super) struct Made {
    pub(super) dir: TempDir,
    pub(super) theirs: String,
    pub(super) ours: String,
    by_our_rules: String,
    /// How much of it we say is passed over.
    passed_over: Option<u64>,
    /// How many comments on lines are in it, which only our own leader writes.
    inline: u64,
}

impl Made {
    pub(super) fn new(program: &Path) -> Result<Self> {
        let original = around("maintner", "./maintner")?;
        let dir = tempfile::tempdir().context("a folder for the log")?;
        let inline = corpus::make(dir.path(), SCALE)?;
        odd::append(dir.path())?;
        let theirs = said(Command::new(original).arg("dump").arg(dir.path()))?;
        let digest = |rules: Option<&str>| {
            said(Command::new(program).args(["log", "digest", "--dump"]).args(rules).arg(dir.path()))
        };
        let (ours, by_our_rules) = (digest(Some("--original"))?, digest(None)?);
        let stats: Value = serde_json::from_str(&said(
            Command::new(program).args(["log", "stats", "--json"]).arg(dir.path()),
        )?)?;
        let passed_over = stats["passed_over"].as_u64();
        Ok(Self { dir, theirs, ours, by_our_rules, passed_over, inline })
    }

    /// Compares the dumps, and says what was compared.
    pub(super) fn compare(&self) -> Result<String> {
        let compared = equal(&self.theirs, &self.ours)?;
        compared.is_needed()?;
        for dump in [&self.theirs, &self.ours, &self.by_our_rules] {
            ensure!(!dump.contains(odd::NOTHING), "a commit that is none is in a dump");
        }
        let passed_over = self.passed_over;
        ensure!(passed_over == Some(odd::PASSED_OVER), "{passed_over:?} elements were passed over");
        ensure!(
            self.inline > 0,
            "no comments on lines are in the log, which the original would have to pass over"
        );
        Ok(format!("{compared}; it passed over {} comments on lines", self.inline))
    }

    /// Compares the original's dump with ours by our own rules: they differ where spec maintner §11 says so, and nowhere else.
    pub(super) fn differ(&self) -> Result<String> {
        rules::differ(&self.theirs, &self.by_our_rules)
    }
}

pub(super) fn said(command: &mut Command) -> Result<String> {
    process::output(command, LIMIT)
}

/// What a line is of, and all of it.
pub(super) fn lines(dump: &str) -> Result<BTreeMap<Vec<&str>, Vec<&str>>> {
    let mut all = BTreeMap::new();
    for line in dump.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let name = fields.iter().take(named(fields[0])).copied().collect();
        ensure!(all.insert(name, fields).is_none(), "two lines are of the same: {line}");
    }
    Ok(all)
}

/// Which lines of a dump the original's public names may not show.
pub(super) struct Unseen<'a> {
    /// Changes that lack notes or a patch set.
    incomplete: BTreeSet<[&'a str; 2]>,
}

impl<'a> Unseen<'a> {
    pub(super) fn of(dump: &'a str) -> Self {
        let incomplete = dump.lines().filter_map(|line| {
            let mut fields = line.strip_prefix("G\t")?.split('\t');
            let change = [fields.next()?, fields.next()?];
            (fields.next()? == "0").then_some(change)
        });
        Self { incomplete: incomplete.collect() }
    }

    /// Why a line of that dump may be shown by it alone.
    pub(super) fn why(&self, fields: &[&str]) -> Option<&'static str> {
        let incomplete = || self.incomplete.contains(&[fields[1], fields[2]]);
        match fields[0] {
            "H" => Some("H"),
            "U" => Some("U"),
            "T" => Some("T"),
            "G" if incomplete() => Some("G0"),
            "S" if incomplete() => Some("S of G0"),
            _ => None,
        }
    }
}

/// What was compared.
#[derive(Debug, Default)]
struct Compared {
    /// Lines that are equal.
    lines: usize,
    /// What lines there are in ours.
    letters: BTreeSet<String>,
    /// What there is in ours that was not compared, by why.
    hidden: BTreeMap<String, usize>,
}

impl Compared {
    /// Whether all that a dump may have was in it, and each thing that is not compared is one that the original does not show.
    fn is_needed(&self) -> Result<()> {
        for letter in LETTERS.chars() {
            ensure!(
                self.letters.contains(letter.encode_utf8(&mut [0; 4])),
                "no line is of the kind {letter}"
            );
        }
        let fields = HIDDEN.map(|at| format!("I field {at}"));
        for why in UNSEEN.map(str::to_owned).into_iter().chain(fields) {
            ensure!(
                self.hidden.get(&why).is_some_and(|count| *count > 0),
                "the original shows all of {why}: it is to be compared"
            );
        }
        Ok(())
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines of {} kinds equal; not shown:", self.lines, self.letters.len())?;
        self.hidden.iter().enumerate().try_for_each(|(nth, (why, count))| {
            write!(f, "{} {why} {count}", if nth == 0 { "" } else { "," })
        })
    }
}

fn equal(theirs: &str, ours: &str) -> Result<Compared> {
    let unseen = Unseen::of(ours);
    let (theirs, mut ours) = (lines(theirs)?, lines(ours)?);
    let mut compared = Compared { lines: theirs.len(), ..Compared::default() };
    compared.letters.extend(ours.values().map(|fields| fields[0].to_owned()));
    let mut other = Vec::new();
    for (name, want) in &theirs {
        let have = ours.remove(name).unwrap_or_default();
        let hides = |at: usize| is_hidden(want, at);
        let same = have.len() == want.len() && (0..want.len()).all(|at| have[at] == want[at] || hides(at));
        if !same {
            other.push(format!("theirs {}\nours   {}", want.join(" "), have.join(" ")));
            continue;
        }
        for at in (0..want.len()).filter(|at| hides(*at) && have[*at] != "-") {
            *compared.hidden.entry(format!("I field {at}")).or_default() += 1;
        }
    }
    for fields in ours.values() {
        match unseen.why(fields) {
            Some(why) => *compared.hidden.entry(why.to_owned()).or_default() += 1,
            None => other.push(format!("only ours: {}", fields.join(" "))),
        }
    }
    ensure!(theirs.len() > 1000, "the original's dump has {} lines", theirs.len());
    ensure!(
        other.is_empty(),
        "{} lines differ:\n{}",
        other.len(),
        other[..other.len().min(SHOWN)].join("\n")
    );
    Ok(compared)
}

/// Whether the original's dump says of a field of this line of its that it can't tell.
pub(super) fn is_hidden(theirs: &[&str], at: usize) -> bool {
    theirs[0] == "I" && HIDDEN.contains(&at) && theirs[at] == "?"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(more: &str) -> String {
        let mut all: String = (0..1001).map(|number| format!("U\t{number}\tx\n")).collect();
        all.push_str(more);
        all
    }

    fn issue(milestone: &str, last: &str) -> String {
        format!(
            "I\tr\t1\t0\t0\t5\t5\t-\t0\t0\t0\t9\t-\t{milestone}\t-\t-\t0\t0\t{last}\t{last}\t{last}\t{last}\n"
        )
    }

    #[test]
    fn what_differs_is_told_and_what_is_not_shown_is_counted() {
        let theirs = many(&issue("?", "?"));
        let alone = "H\ta\tb\nG\tp\t1\t0\t1\tc\t-\nS\tp\t1\t1\tc\n";
        let said = equal(&theirs, &many(&(issue("?", "7") + alone))).unwrap().to_string();
        assert_eq!(
            said,
            "1002 lines of 5 kinds equal; not shown: G0 1, H 1, I field 18 1, I field 19 1, I field 20 1, \
             I field 21 1, S of G0 1"
        );
        let right = issue("?", "7");
        for (ours, why) in [
            (issue("none", "7"), "ours   I r 1 0 0 5 5 - 0 0 0 9 - none"),
            (right.replace("\t9\t", "\t8\t"), "ours   I r 1 0 0 5 5 - 0 0 0 8"),
            (right.replace("\t7\n", "\n"), "ours   I r 1"),
            (String::new(), "theirs I r 1"),
            (right.clone() + "R\ta/b\n", "only ours: R a/b"),
            (right.clone() + "G\tp\t1\t1\n", "only ours: G p 1 1"),
            (right.clone() + "G\tp\t1\t0\nS\tp\t2\t1\tc\n", "only ours: S p 2 1 c"),
        ] {
            let said = equal(&theirs, &many(&ours)).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn what_is_left_out_for_no_reason_is_told() {
        let needed = || Compared {
            lines: 1,
            letters: LETTERS.chars().map(String::from).collect(),
            hidden: UNSEEN
                .map(str::to_owned)
                .into_iter()
                .chain(HIDDEN.map(|at| format!("I field {at}")))
                .map(|why| (why, 1))
                .collect(),
        };
        needed().is_needed().unwrap();
        for why in needed().hidden.into_keys() {
            let mut other = needed();
            other.hidden.remove(&why);
            assert!(other.is_needed().unwrap_err().to_string().contains(&why));
        }
        for letter in needed().letters {
            let mut other = needed();
            other.letters.remove(&letter);
            assert!(other.is_needed().is_err(), "{letter}");
        }
        // An instant that there is none of is no reason.
        let compared = equal(&many(&issue("?", "?")), &many(&issue("?", "-"))).unwrap();
        assert!(compared.hidden.is_empty());
    }
}
