//! The program itself.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Output, Stdio};

use crate::world;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether-query"));
    command.env_remove("BELLWETHER_QUERY_DATA").stdin(Stdio::null());
    command
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn it_answers_from_a_folder() {
    let folder = world::folder();
    let ask =
        |words: &[&str]| said(&program().arg("--data").arg(folder.path()).args(words).output().unwrap());
    let count = "SELECT count(*) AS n FROM issues";
    assert_eq!(ask(&["--format", "csv", count]), (Some(0), "n\n5\n".into(), String::new()));
    assert_eq!(ask(&["--format", "csv", "--at", "2017-11-10", count]).1, "n\n1\n");
    assert_eq!(ask(&["--format", "csv", "--at", "1 minute ago", count]).1, "n\n5\n");
    assert_eq!(ask(&["--format", "csv", "--at", "200 years ago", count]).1, "n\n0\n");
    let (code, out, err) = ask(&["SELECT numbr FROM issues"]);
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(err.starts_with("bellwether-query: ") && err.contains("line 1, column 8"), "{err}");
    assert!(ask(&[""]).2.contains("no statement"));
    let output =
        program().env("BELLWETHER_QUERY_DATA", folder.path()).args(["--format", "csv", count]).output();
    assert_eq!(said(&output.unwrap()).1, "n\n5\n");
}

#[test]
fn statements_come_from_standard_input() {
    let folder = world::folder();
    for dash in [Some("-"), None] {
        let mut child = program()
            .args(["--format", "ndjson", "--data"])
            .arg(folder.path())
            .args(dash)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"SELECT 1 AS a;\nSELECT 2 AS b;\n").unwrap();
        assert_eq!(said(&child.wait_with_output().unwrap()).1, "{\"a\":1}\n{\"b\":2}\n");
    }
}

/// Deeper than the usual stack of a thread.
#[test]
fn a_long_chain_is_answered() {
    let folder = world::folder();
    let likes = " OR title LIKE '%1%'".repeat(600);
    let sql = format!("SELECT count(*) AS n FROM issues WHERE title LIKE '%leaks'{likes}");
    let output = program().args(["--format", "csv", "--data"]).arg(folder.path()).arg(sql).output().unwrap();
    assert_eq!(said(&output), (Some(0), "n\n2\n".into(), String::new()));
}

#[test]
fn what_is_missing_is_said() {
    let (code, _, err) = said(&program().arg("SELECT 1").output().unwrap());
    assert_eq!(code, Some(1));
    assert!(err.contains("--data DIR") && err.contains("--url"), "{err}");
    let empty = tempfile::tempdir().unwrap();
    let (code, _, err) = said(&program().arg("--data").arg(empty.path()).arg("SELECT 1").output().unwrap());
    assert!(code == Some(1) && err.contains("no log is here") && !err.contains("verify"), "{err}");
    // What is wrong with a statement is said before a log is looked for.
    let (code, _, err) =
        said(&program().arg("--data").arg(empty.path()).arg("SELECT 1 FROM nosuch").output().unwrap());
    assert!(code == Some(1) && err.contains("nosuch"), "{err}");
    let (code, _, err) =
        said(&program().args(["--data", "x", "--url", "http://localhost/", "SELECT 1"]).output().unwrap());
    assert!(code == Some(2) && err.contains("'--data <DIR>' cannot be used with '--url <URL>'"), "{err}");
    let (code, _, err) = said(&program().args(["--at", "yesterday", "SELECT 1"]).output().unwrap());
    assert!(code == Some(2) && err.contains("2018-02-01") && err.contains("3d"), "{err}");
    let (code, _, err) = said(&program().args(["--memory", "8M", "SELECT 1"]).output().unwrap());
    assert!(code == Some(2) && err.contains("16M or more"), "{err}");
    let (code, out, _) = said(&program().arg("--help").output().unwrap());
    assert!(code == Some(0) && out.contains("patch_sets") && out.contains("Examples:"), "{out}");
    let (code, out, _) = said(&program().arg("--tables").output().unwrap());
    assert!(
        code == Some(0) && out.contains("cls: a change of Gerrit") && out.contains("  hashtags"),
        "{out}"
    );
}

/// An endless answer: what it prints is a batch at a time.
const ENDLESS: &str = "SELECT a.value, b.value AS other FROM generate_series(1, 100000000) a CROSS JOIN generate_series(1, 3) b";

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let folder = world::folder();
    for format in ["csv", "json", "ndjson", "table"] {
        let mut child = program()
            .args(["--format", format, "--data"])
            .arg(folder.path())
            .arg(ENDLESS)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let (code, _, err) = said(&child.wait_with_output().unwrap());
        assert_eq!((code, &*err), (Some(0), ""), "{format}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it() {
    let folder = world::folder();
    let mut child = program()
        .args(["--format", "csv", "--data"])
        .arg(folder.path())
        .arg(ENDLESS)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    // What it still prints has to go somewhere.
    std::io::copy(&mut out, &mut std::io::sink()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
