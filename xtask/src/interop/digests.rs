//! Four digests of one log are equal: of a full replay, of a checkpoint and the tail, of a replay on one thread, and of what the
//! original's package shows.
//!
//! The original does not show everything: of the dumps that are held against its own, what it hides is taken out, and of its own
//! the place of what it hides. The three of ours are equal with all that is in them, by our rules and by the original's.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha224};

use super::corpus::{HIDDEN, Made, Unseen, named, said};

/// How a corpus is made other than by a full replay; `FILE` is a checkpoint of the first half, which is made.
const WAYS: [(&str, &[&str]); 2] =
    [("checkpoint + tail", &["--checkpoint", "FILE"]), ("one thread", &["--one-thread"])];
/// Letters of a digest that are shown.
const SHOWN: usize = 12;

/// Compares them, and says what they are.
pub(super) fn four(program: &Path, made: &Made) -> Result<String> {
    let kept = tempfile::tempdir().context("a folder for checkpoints")?;
    let digest = |rules: &str, way: &[&str], form: &str| {
        let file = kept.path().join(rules.trim_start_matches('-')).display().to_string();
        let mut command = Command::new(program);
        command.args(["log", "digest", form]).args(Some(rules).filter(|rules| *rules != "--ours"));
        command.args(way.iter().map(|word| if *word == "FILE" { &file } else { *word }));
        said(command.arg(made.dir.path()))
    };
    let names = names(&made.theirs);
    let theirs = normalised(&made.theirs, &names);
    let full = normalised(&made.ours, &names);
    ensure!(theirs == full, "the original's normalised is {theirs}, that of a full replay {full}");
    let ours: Value = serde_json::from_str(&digest("--ours", &[], "--json")?)?;
    for (name, way) in WAYS {
        let dump = digest("--original", way, "--dump")?;
        let other = normalised(&dump, &names);
        ensure!(other == theirs, "the original's normalised is {theirs}, that of {name} {other}");
        ensure!(dump == made.ours, "what is not shown differs between a full replay and {name}");
        let other: Value = serde_json::from_str(&digest("--ours", way, "--json")?)?;
        for field in ["digest", "records"] {
            ensure!(ours[field] == other[field], "by our rules: {ours} of a full replay, {other} of {name}");
        }
        let (tail, records) = (other["tail"].as_u64(), other["records"].as_u64());
        let some = tail.is_some_and(|tail| tail > 0) && tail < records;
        ensure!(
            some == way.contains(&"FILE"),
            "{name}: {tail:?} of {records:?} records are behind a checkpoint"
        );
    }
    let shown = |digest: &str| digest.chars().take(SHOWN).collect::<String>();
    Ok(format!(
        "{} …: full replay, checkpoint + tail, one thread, the original's normalised; by our rules the first three: {} …",
        shown(&theirs),
        shown(ours["digest"].as_str().context("a digest")?)
    ))
}

fn name<'a>(fields: &[&'a str]) -> Vec<&'a str> {
    fields.iter().take(named(fields[0])).copied().collect()
}

/// What the lines of a dump are of.
fn names(dump: &str) -> BTreeSet<Vec<&str>> {
    dump.lines().map(|line| name(&line.split('\t').collect::<Vec<_>>())).collect()
}

/// The digest of a dump without what the original does not show, whose dump has lines of these names.
fn normalised(dump: &str, shown: &BTreeSet<Vec<&str>>) -> String {
    let unseen = Unseen::of(dump);
    let mut lines = Vec::new();
    for line in dump.lines() {
        let mut fields: Vec<&str> = line.split('\t').collect();
        if unseen.why(&fields).is_some() && !shown.contains(&name(&fields)) {
            continue;
        }
        if fields[0] == "I" {
            fields
                .iter_mut()
                .enumerate()
                .filter(|(at, _)| HIDDEN.contains(at))
                .for_each(|(_, field)| *field = "?");
        }
        lines.push(fields.join("\t"));
    }
    lines.sort();
    let mut digest = Sha224::new();
    for line in lines {
        digest.update(line);
        digest.update("\n");
    }
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_original_hides_is_normalised() {
        let issue = |title: &str, hidden: &str| {
            format!("I\tr\t1{}\t{title}\t{hidden}\t{hidden}\t{hidden}\t{hidden}\n", "\t0".repeat(14))
        };
        let theirs = format!("{}U\t1\tann\n", issue("t", "?"));
        let shown = names(&theirs);
        let digest = |dump: String| normalised(&dump, &shown);
        let want = digest(theirs.clone());
        assert_eq!(digest(format!("H\tx\n{}U\t1\tann\nU\t2\tbob\n", issue("t", "7"))), want);
        for other in [
            format!("{}U\t1\tann\n", issue("other", "7")),
            format!("{}U\t1\tanna\n", issue("t", "7")),
            format!("{}C\tr\t1\t2\nU\t1\tann\n", issue("t", "7")),
            issue("t", "7"),
        ] {
            assert_ne!(digest(other.clone()), want, "{other}");
        }
    }
}
