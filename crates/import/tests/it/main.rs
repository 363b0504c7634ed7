//! Files of other systems, as their projects publish them and in every shape that their manuals know.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

mod buildbot;
mod github;
mod gitlab;
mod properties;
mod prow;
mod published;
mod zuul;

use import::{Imported, Options, SourceFile, System, Verdict, translate};

/// Translates one file, which must be accepted by `buildenv` and of which every key must be spoken for.
#[track_caller]
fn translated(system: System, name: &str, text: &str) -> Imported {
    let file = SourceFile { name: name.into(), text: text.into() };
    let imported = translate(&[file], system, &Options::default()).unwrap_or_else(|why| panic!("{why}"));
    sound(&imported);
    imported
}

#[track_caller]
fn sound(imported: &Imported) {
    let problems: Vec<String> = imported.problems.iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}\n{}\n{}", problems.join("\n"), imported.project, imported.server);
    for one in &imported.findings {
        assert!(one.line > 0 && one.column > 0 && !one.message.is_empty(), "{one:?}");
        assert_eq!(one.verdict == Verdict::Open, one.remedy.is_some(), "{one}");
    }
}

/// Fails unless the project file has these lines, one after another.
#[track_caller]
fn has(imported: &Imported, lines: &[&str]) {
    let mut rest = imported.project.as_str();
    for line in lines {
        match rest.find(line) {
            Some(at) => rest = &rest[at + line.len()..],
            None => panic!("{line:?} is not in what is left of\n{}", imported.project),
        }
    }
}

/// Fails unless a finding of the kind at this line has these words.
#[track_caller]
fn says(imported: &Imported, verdict: Verdict, line: usize, words: &str) {
    let all: Vec<String> = imported.findings.iter().map(ToString::to_string).collect();
    let found = imported
        .findings
        .iter()
        .any(|one| one.verdict == verdict && one.line == line && one.to_string().contains(words));
    assert!(found, "no {verdict:?} in line {line} with {words:?} in\n{}", all.join("\n"));
}

/// Keys that no rule spoke of.
fn unknown(imported: &Imported) -> Vec<String> {
    let unknown =
        imported.findings.iter().filter(|one| one.message.starts_with("this import knows no such key"));
    unknown.map(ToString::to_string).collect()
}
