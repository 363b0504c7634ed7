//! What the TOML parser refuses, said so that it helps: which thing is there twice and where the first one is.

use crate::source::Place;
use crate::tree::SyntaxError;
use crate::values::Checker;

/// Reports the errors of one file, one for each line, and one for each table that is there twice.
pub(crate) fn report(checker: &mut Checker, text: &str, errors: Vec<SyntaxError>) {
    let lines: Vec<&str> = text.lines().collect();
    let mut seen = Vec::new();
    // The header, from 0, of a table that is there twice: all its keys are, too.
    let mut twice: Option<usize> = None;
    for error in errors {
        let problem = checker.problem(error.place, "", error.message.clone());
        let line = problem.line - 1;
        if seen.contains(&line) || twice.is_some_and(|twice| header_above(&lines, line) == Some(twice)) {
            continue;
        }
        seen.push(line);
        if error.message == "duplicate key" {
            if header(lines[line]).is_some() {
                twice = Some(line);
            }
            duplicate(checker, text, &lines, line, error.place);
            continue;
        }
        let problem = match problem.message.split_once(", expected ") {
            Some((message, expected)) => {
                let (message, expected) = (message.to_owned(), expected.to_owned());
                checker.problem(error.place, "", message).expected(expected)
            }
            None => problem,
        };
        checker.report(problem);
    }
}

/// The name in a table's header.
fn header(line: &str) -> Option<&str> {
    let inside = line.trim_start().strip_prefix('[')?;
    Some(inside.trim_start_matches('[').split(']').next()?.trim())
}

fn header_above(lines: &[&str], line: usize) -> Option<usize> {
    (0..=line.min(lines.len().checked_sub(1)?)).rev().find(|at| header(lines[*at]).is_some())
}

/// The key that a line sets.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    Some(key.trim().trim_matches('"'))
}

fn duplicate(checker: &mut Checker, text: &str, lines: &[&str], line: usize, place: Place) {
    let written = text.get(place.start as usize..place.end as usize).unwrap_or_default().trim_matches('"');
    let (name, first) = match header(lines[line]) {
        Some(name) => (name.to_owned(), (0..line).find(|at| header(lines[*at]) == Some(name))),
        None => {
            let above = header_above(lines, line);
            let table = above.and_then(|at| header(lines[at]));
            let name = table.map_or_else(|| written.to_owned(), |table| format!("{table}.{written}"));
            let mut from = above.map_or(0, |at| at + 1)..line;
            (name, from.find(|at| key(lines[*at]) == Some(written)))
        }
    };
    let mut problem = checker.problem(place, &name, format!("{name} is defined twice"));
    if let Some(first) = first {
        let file = problem.file.clone();
        problem = problem.note(format!("the other one is at {file}:{}", first + 1));
    }
    checker.report(problem);
}
