//! What our rules change in a dump: each field in which it is other than the original's, held against the list of differences.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::corpus::{Unseen, is_hidden, lines};
use super::odd::{self, Field, PROJECT, REPO};

/// Differences that are shown.
const SHOWN: usize = 5;
/// Where votes are in a line `Q`.
const VOTES: usize = 9;

/// Holds the fields in which a dump by our rules differs from the original's against the list: of the repo and the project that
/// are made for it by name, of all else by what they are.
pub(super) fn differ(theirs: &str, ours: &str) -> Result<String> {
    let listed = odd::all();
    let mut wanted: BTreeSet<&Field> = listed.iter().flat_map(|one| &one.seen).collect();
    let found = fields(theirs, ours)?;
    let (mut votes, mut other) = (0, Vec::new());
    for field in &found {
        if wanted.remove(field) {
            continue;
        }
        if is_vote(field) && !is_odd(field) {
            votes += 1;
        } else {
            other.push(format!(
                "{} differs in field {}: theirs {}, ours {}",
                field.line, field.at, field.theirs, field.ours
            ));
        }
    }
    ensure!(
        other.is_empty(),
        "{} differences are in no list:\n{}",
        other.len(),
        other[..other.len().min(SHOWN)].join("\n")
    );
    for one in &listed {
        let missing = one.seen.iter().find(|field| wanted.contains(field));
        ensure!(missing.is_none(), "{}: no such difference: {missing:?}", one.what);
    }
    ensure!(votes > 0, "no vote of the made-up log is of a newer server");
    let rules = listed.iter().filter(|one| !one.seen.is_empty()).count();
    Ok(format!(
        "{rules} of our rules, each in the fields of its record; votes of newer servers in {votes} lines"
    ))
}

fn is_odd(field: &Field) -> bool {
    field.line.split(' ').nth(1).is_some_and(|of| of == REPO || of == PROJECT)
}

/// Whether votes are others only in that some were 0.
fn is_vote(field: &Field) -> bool {
    let (theirs, ours): (Vec<&str>, Vec<&str>) =
        (field.theirs.split(',').collect(), field.ours.split(',').collect());
    field.line.starts_with("Q ")
        && field.at == VOTES
        && theirs.len() == ours.len()
        && theirs.iter().zip(ours).all(|(theirs, ours)| {
            let whose = |vote: &str| vote.rsplit_once('=').map(|(whose, _)| whose.to_owned());
            *theirs == ours || (theirs.ends_with("=0") && whose(theirs) == whose(ours))
        })
}

/// Each field that is another in one of the dumps; a line that is in one of them only is an error.
fn fields(theirs: &str, ours: &str) -> Result<BTreeSet<Field>> {
    let unseen = Unseen::of(ours);
    let (theirs, mut ours) = (lines(theirs)?, lines(ours)?);
    let mut found = BTreeSet::new();
    for (name, want) in &theirs {
        let line = name.join(" ");
        let have = ours.remove(name).unwrap_or_default();
        ensure!(have.len() == want.len(), "{line} has {} fields, and theirs {}", have.len(), want.len());
        for at in (0..want.len()).filter(|at| have[*at] != want[*at] && !is_hidden(want, *at)) {
            let (theirs, ours) = (want[at].to_owned(), have[at].to_owned());
            found.insert(Field { line: line.clone(), at, theirs, ours });
        }
    }
    let more = ours.values().find(|fields| unseen.why(fields).is_none());
    ensure!(more.is_none(), "only ours: {more:?}");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both dumps, with the listed fields of a line told apart.
    fn dumps() -> (String, String) {
        let mut lines: std::collections::BTreeMap<String, Vec<Field>> = std::collections::BTreeMap::new();
        for field in odd::all().into_iter().flat_map(|one| one.seen) {
            lines.entry(field.line.clone()).or_default().push(field);
        }
        let dump = |of: &dyn Fn(&Field) -> String| -> String {
            let line = |(name, fields): (&String, &Vec<Field>)| {
                let mut all: Vec<String> = name.split(' ').map(str::to_owned).collect();
                all.resize(22, "x".into());
                fields.iter().for_each(|field| all[field.at] = of(field));
                all.join("\t") + "\n"
            };
            lines.iter().map(line).collect()
        };
        let vote = |value: &str| format!("Q\tp\t1\t0\th\t-\t-\t-\t-\ta=1@u=1,b=1@u={value}\n");
        (dump(&|field| field.theirs.clone()) + &vote("0"), dump(&|field| field.ours.clone()) + &vote("2"))
    }

    #[test]
    fn what_is_in_no_list_and_what_is_missing_is_told() {
        let (theirs, ours) = dumps();
        let said = differ(&theirs, &ours).unwrap();
        assert_eq!(
            said,
            "11 of our rules, each in the fields of its record; votes of newer servers in 1 lines"
        );
        for (ours, why) in [
            (theirs.clone(), "no such difference"),
            (ours.replace("\tx\t7\tx", "\tx\t8\tx"), "differs in field 14: theirs 7,7, ours 8"),
            (ours.replace("a=1@u=1", "a=1@u=2"), "Q p 1 0 differs in field 9"),
            (ours.replace("b=1@u=2", "c=1@u=2"), "Q p 1 0 differs in field 9"),
            (ours.replace("b=1@u=2", "b=1@u=0"), "no vote of the made-up log"),
            (ours.clone() + "R\ta/b\n", "only ours"),
            (ours.replace("Q\tp\t1\t0\th", "Q\tp\t1\t1\th"), "Q p 1 0 has 0 fields"),
        ] {
            let said = differ(&theirs, &ours).unwrap_err().to_string();
            assert!(said.contains(why), "{why}: {said}");
        }
    }
}
