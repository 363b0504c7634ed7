//! No text makes the loader panic, and every problem points into the text.

use buildenv::{Source, detect, embedded};
use proptest::prelude::*;

use crate::{design::DESIGN, name, no_includes};

/// Loads a text in both scopes; every problem must point into it.
fn feed(text: &str) {
    let server = Source::server("s.toml", "[repo.site]\nurl = \"u\"\n");
    let cases = [
        vec![embedded("linux", "amd64"), Source::server("x.toml", text)],
        vec![embedded("linux", "amd64"), server, Source::project(name("site"), "x.toml", text)],
    ];
    for sources in cases {
        let Err(problems) = buildenv::load(&sources, &no_includes, None) else { continue };
        assert!(!problems.0.is_empty());
        for problem in problems.0.iter().filter(|p| p.file == "x.toml") {
            assert!(problem.line >= 1 && problem.column >= 1);
            assert!(problem.line <= text.matches('\n').count() + 1);
            assert!(problem.to_string().starts_with("x.toml:"));
        }
    }
}

/// Pieces of real files in any order reach further than random characters.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[builder.x]\n"),
        Just("[builder.X]\n"),
        Just("[recipe.x]\n"),
        Just("[repo.x]\n"),
        Just("[host.x]\n"),
        Just("[matrix.x]\n"),
        Just("[template.x]\n"),
        Just("[[matrix.x.set]]\n"),
        Just("[secret.x]\n"),
        Just("[environment.x]\n"),
        Just("[[policy]]\n"),
        Just("[builder]\n"),
        Just("repo = 3\n"),
        Just("template = \"x\"\n"),
        Just("recipe = \"x\"\n"),
        Just("name = \"a-{b}-{c}\"\n"),
        Just("axes = { b = [\"1\", \"{c}\"], c = [\"é\"] }\n"),
        Just("when = { b = \"1\" }\n"),
        Just("run = \"a\"\n"),
        Just("needs = [\"x\"]\n"),
        Just("needs = { os = \"l*\" }\n"),
        Just("env = { A = \"é\" }\n"),
        Just("url = \"u\"\n"),
        Just("branches = [[1], \"[\"]\n"),
        Just("build = \"never\"\n"),
        Just("try = [{}]\n"),
        Just("limits = { memory = -1 }\n"),
        Just("file = \"..\"\n"),
        Just("step = [1, { run = \"a\" }]\n"),
        Just("include = \"x.toml\"\n"),
        Just("timeout_scale = inf\n"),
        Just("horizon = 99999999999999999999\n"),
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|list| list.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "(\\PC|\n|\t|\r){0,120}") {
        feed(&text);
    }

    #[test]
    fn no_mixture_of_pieces_makes_the_loader_panic(text in pieces()) {
        feed(&text);
    }

    #[test]
    fn no_damaged_file_makes_the_loader_panic(at in 0..1500usize, cut in 0..40usize, put in "\\PC{0,6}") {
        let chars: Vec<char> = DESIGN.chars().collect();
        let at = at.min(chars.len());
        let text: String = chars[..at].iter().chain(put.chars().collect::<Vec<_>>().iter())
            .chain(&chars[(at + cut).min(chars.len())..]).collect();
        feed(&text);
    }

    #[test]
    fn no_tree_makes_detection_panic_or_write_a_bad_file(
        dirs in proptest::collection::vec("[a-zé.]{0,4}(/[A-Z é'\"\\\\]{1,4})?", 1..6),
        text in "\\PC{0,60}|\\{\"scripts\":\\{\"test\":\"[a-z\\\\\"]{0,5}",
    ) {
        let names = ["Cargo.toml", "go.mod", "a.go", "package.json", "pyproject.toml", "setup.py", "Makefile", "CMakeLists.txt"];
        let paths: Vec<String> = dirs.iter().flat_map(|d| names.map(|n| if d.is_empty() { n.into() } else { format!("{d}/{n}") })).collect();
        let found = detect::detect(&paths, &|_| Some(text.clone()));
        let file = Source::project(name("site"), "x.toml", detect::to_toml(&found, "main"));
        let server = Source::server("s.toml", "[repo.site]\nurl = \"u\"\n");
        let loaded = buildenv::load(&[embedded("linux", "amd64"), server, file.clone()], &no_includes, None);
        prop_assert!(loaded.is_ok(), "{}\n{}", loaded.unwrap_err(), file.text);
        prop_assert_eq!(loaded.unwrap().builders().len(), found.len());
    }
}
