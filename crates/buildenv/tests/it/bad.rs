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

#[test]
fn what_is_too_much_is_said_and_bounded() {
    let project = |text: String| {
        let server = Source::server("server.toml", "[repo.site]\nurl = \"u\"\n[repo.x]\nurl = \"u\"\n");
        let sources =
            [buildenv::embedded("linux", "amd64"), server, Source::project(name("site"), "p.toml", text)];
        buildenv::load(&sources, &crate::no_includes, None).unwrap_err()
    };
    let keys = |n: usize| (0..n).map(|i| format!("k{i} = \"1\"\n")).collect::<String>();
    let first = |problems: &Problems| problems.0[0].message.clone();
    assert_eq!(first(&project("#".repeat(2 << 20))), "the file is over 1048576 bytes");
    let many = project(keys(3000));
    assert_eq!(many.0.len(), 1000);
    assert_eq!(many.0[999].notes, ["and 2000 more problems that are not listed"]);
    let recipe = format!("[recipe.r]\nrun = \"x\"\n[recipe.r.env]\n{}", keys(1001));
    assert_eq!(first(&project(recipe)), "recipe.r.env has 1001 keys");
    let axis = (0..300).map(|i| format!("\"{i}\"")).collect::<Vec<_>>().join(",");
    let heavy = format!(
        "[recipe.r]\nrun = \"x\"\n[matrix.m]\nname = \"b-{{a}}-{{b}}\"\nrecipe = \"r\"\nnotes = \"{}\"\naxes = {{ a = [{axis}], b = [{axis}] }}\n",
        "{a}".repeat(1000)
    );
    assert_eq!(first(&project(heavy)), "the builders take over 16 MiB together");
    let deep = project(format!("{}a = 1\n", "a.".repeat(100_000)));
    assert!(deep.to_string().len() < 1000, "a line that is too long is not shown");
}
