//! Bad configurations with the message that each must give, side by side in tests/bad.
//!
//! `BELLWETHER_BLESS=1` writes the expected files anew.

use std::fs;
use std::path::{Path, PathBuf};

use buildenv::{Problems, Source};

use crate::name;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad")
}

fn files() -> Vec<PathBuf> {
    let list = fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path());
    let mut list: Vec<_> = list.filter(|p| p.extension().is_some_and(|e| e == "toml")).collect();
    list.sort();
    list
}

fn problems(path: &Path) -> Problems {
    let file = path.file_name().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let mut sources = vec![buildenv::embedded("linux", "amd64")];
    if file.contains("project") {
        let server = "[repo.site]\nurl = \"u\"\nbranches = [\"trunk\"]\n[builder.taken]\nrecipe = \"r\"\n[recipe.r]\nrun = \"x\"\n";
        sources.push(Source::server("server.toml", server));
        sources.push(Source::project(name("site"), file, text));
    } else {
        sources.push(Source::server(file, text));
    }
    let include =
        |name: &str| fs::read_to_string(folder().join("inc").join(name)).map_err(|e| e.kind().into());
    buildenv::load(&sources, &include, None).err().unwrap_or_else(|| panic!("{file} is no bad file"))
}

#[test]
fn every_bad_file_gives_its_expected_message() {
    let bless = std::env::var_os("BELLWETHER_BLESS").is_some();
    let files = files();
    assert!(files.len() >= 12);
    for path in files {
        let shown = problems(&path).to_string();
        let expected = path.with_extension("expected");
        if bless {
            fs::write(&expected, &shown).unwrap();
        }
        let want = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(shown, want, "{}", path.display());
    }
}

#[test]
fn every_problem_names_file_line_and_column() {
    for path in files() {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap();
        let problems = problems(&path);
        assert!(!problems.0.is_empty());
        for problem in problems.0.iter().filter(|p| p.file == file) {
            let line = text.lines().nth(problem.line - 1).expect("the line exists");
            assert_eq!(problem.snippet, line);
            assert!(problem.column >= 1 && problem.column <= line.chars().count() + 1);
            let head = format!("{file}:{}:{}: ", problem.line, problem.column);
            assert!(problem.to_string().starts_with(&head));
        }
        assert!(problems.0.iter().all(|p| p.line >= 1 && p.column >= 1 && !p.message.is_empty()));
    }
}
