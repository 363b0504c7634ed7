//! Trees as they occur, and what is found in them.

use std::collections::BTreeMap;

use super::*;
use crate::source::Source;

fn found(files: &[(&str, &str)]) -> Vec<Found> {
    let texts: BTreeMap<_, _> = files.iter().map(|(p, t)| (p.to_string(), t.to_string())).collect();
    let paths: Vec<_> = texts.keys().cloned().collect();
    let found = detect(&paths, &|path| texts.get(path).cloned());
    // Whatever is found can be written out and read back.
    let project = Source::project("site".parse().unwrap(), "bellwether.toml", to_toml(&found, "main"));
    let server = Source::server("server.toml", "[repo.site]\nurl = \"u\"\n");
    let sources = [crate::embedded("linux", "amd64"), server, project];
    let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let config = crate::load(&sources, &none, None).unwrap_or_else(|p| panic!("{p}"));
    let mut written: Vec<_> = config
        .builders()
        .iter()
        .map(|b| {
            (
                b.name.clone(),
                config.recipe_of(b).unwrap().main.steps.iter().map(|s| s.run.clone()).collect::<Vec<_>>(),
            )
        })
        .collect();
    let mut given: Vec<_> = found
        .iter()
        .map(|f| (f.builder_name.clone(), f.steps.iter().map(|s| s.run.clone()).collect::<Vec<_>>()))
        .collect();
    written.sort();
    given.sort();
    assert_eq!(written, given);
    found
}

/// `NAME DIR: COMMAND; COMMAND` of each.
fn shown(files: &[(&str, &str)]) -> Vec<String> {
    let steps = |f: &Found| f.steps.iter().map(|s| s.run.clone()).collect::<Vec<_>>().join("; ");
    found(files).iter().map(|f| format!("{} {}: {}", f.builder_name, f.dir, steps(f))).collect()
}

#[test]
fn a_cargo_package_and_a_workspace() {
    let package = "[package]\nname = \"x\"\n";
    assert_eq!(shown(&[("Cargo.toml", package)]), ["cargo : cargo test --no-run; cargo test"]);
    let files = [
        ("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"tools\"]\n"),
        ("Cargo.lock", ""),
        ("crates/a/Cargo.toml", package),
        ("crates/b/Cargo.toml", package),
        ("tools/Cargo.toml", package),
        ("fuzz/Cargo.toml", package),
    ];
    assert_eq!(
        shown(&files),
        [
            "cargo : cargo test --workspace --locked --no-run; cargo test --workspace --locked",
            "cargo-tools tools: cargo test --no-run; cargo test",
        ]
    );
    assert_eq!(found(&files)[0].tools, ["cargo", "rustc"]);
}

#[test]
fn go_modules_each_stand_alone() {
    let files = [
        ("go.mod", "module x\n"),
        ("x.go", "package x\n"),
        ("sub/go.mod", "module x/sub\n"),
        ("sub/y.go", "package y\n"),
        ("vendor/a/go.mod", "module a\n"),
        ("testdata/go.mod", "module t\n"),
        ("testdata/t.go", "package t\n"),
        ("only-tools/go.mod", "module tools\n"),
    ];
    assert_eq!(
        shown(&files),
        ["go : go build ./...; go test ./...", "go-sub sub: go build ./...; go test ./..."]
    );
}

#[test]
fn npm_packages_by_lock_and_scripts() {
    let test = r#"{"name": "x", "config": {"scripts": [1, "}"]}, "scripts": {"build": "tsc", "test": "node \"t\".js"}}"#;
    assert_eq!(
        shown(&[
            ("package.json", test),
            ("package-lock.json", "{}"),
            ("node_modules/y/package.json", test),
            ("packages/z/package.json", test)
        ]),
        ["npm : npm ci; npm run build; npm test"]
    );
    let none = r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#;
    assert_eq!(shown(&[("package.json", none)]), ["npm : npm install --no-audit --no-fund"]);
    assert_eq!(
        shown(&[("package.json", none), ("web/package.json", test), ("web/package-lock.json", "{}")]),
        ["npm web: npm ci; npm run build; npm test"]
    );
    assert_eq!(shown(&[("package.json", "not json at all")]).len(), 1);
}

#[test]
fn python_by_pytest_or_unittest() {
    let run = |files: &[(&str, &str)]| found(files).pop().unwrap().steps.pop().unwrap().run;
    let install = |files: &[(&str, &str)]| found(files).pop().unwrap().steps[0].run.clone();
    let project = "[project]\nname = \"x\"\n[project.optional-dependencies]\ntest = [\"pytest\"]\n";
    let files = [("pyproject.toml", project), ("tests/test_a.py", "")];
    assert!(run(&files).ends_with("-m pytest"));
    assert!(install(&files).contains("install --disable-pip-version-check \".[test]\""));
    assert!(install(&files).starts_with("python3 -m venv \"$WORKDIR/venv\" && "));
    let plain = [("setup.py", ""), ("tests/test_a.py", "import unittest")];
    assert!(run(&plain).ends_with("-m unittest discover -s tests"));
    assert!(run(&[("setup.py", ""), ("x/a_test.py", "")]).ends_with("-m unittest discover -p '*_test.py'"));
    assert!(run(&[("setup.py", ""), ("tests/test_a.py", "import pytest")]).ends_with("-m pytest"));
    assert!(run(&[("requirements.txt", "six"), ("conftest.py", "")]).ends_with("-m pytest"));
    assert!(run(&[("setup.py", "")]).ends_with("-m compileall -q ."));
    assert!(found(&[("pyproject.toml", "[tool.black]\nline-length = 100\n")]).is_empty());
}

#[test]
fn cmake_and_make() {
    let cmake = shown(&[("CMakeLists.txt", ""), ("lib/CMakeLists.txt", "")]);
    assert_eq!(cmake.len(), 1);
    assert!(cmake[0].ends_with("ctest --output-on-failure"));
    assert_eq!(shown(&[("Makefile", "all:\n\tcc x.c\ncheck test: all\n")]), ["make : make; make test"]);
    assert_eq!(shown(&[("makefile", "all: check\ncheck:\n")]), ["make : make; make check"]);
    let deploy = [("README", ""), ("env/a/Makefile", "push:\n\tdocker push\n"), ("c/Makefile", "test:\n")];
    assert_eq!(shown(&deploy), ["make c: make; make test"]);
    assert_eq!(shown(&[("Makefile", "test := 1\nall:\n\techo test: x\n")]), ["make : make"]);
}

#[test]
fn two_kinds_at_once_are_two_builders_and_a_makefile_only_wraps() {
    let files = [
        ("Cargo.toml", "[package]\n"),
        ("Makefile", "test:\n"),
        ("csrc/CMakeLists.txt", ""),
        ("pyproject.toml", "[build-system]\n"),
        ("web/package.json", "{\"scripts\": {\"test\": \"jest\"}}"),
        ("hooks/package.json", "{}"),
    ];
    let names: Vec<_> = found(&files).iter().map(|f| f.builder_name.to_string()).collect();
    assert_eq!(names, ["cargo", "python", "npm"]);
}

#[test]
fn a_project_in_a_subdirectory_is_found_and_strangers_are_not() {
    let package = "[package]\n";
    let files = [
        ("README.md", ""),
        ("backend/service/Cargo.toml", package),
        ("examples/x/Cargo.toml", package),
        (".github/x/Cargo.toml", package),
        ("third_party/y/go.mod", ""),
    ];
    assert_eq!(shown(&files), ["cargo backend/service: cargo test --no-run; cargo test"]);
    assert_eq!(found(&files)[0].manifest, "backend/service/Cargo.toml");
    assert!(found(&[("README.md", "")]).is_empty());
    assert!(
        found(&[("/Cargo.toml", package), ("../Cargo.toml", package), ("a//Cargo.toml", package)]).is_empty()
    );
}

#[test]
fn names_of_builders_are_unlike_one_another() {
    let package = "[package]\n";
    let files = [("a b/Cargo.toml", package), ("a-b/Cargo.toml", package), ("é/Cargo.toml", package)];
    let mut names: Vec<_> = found(&files).iter().map(|f| f.builder_name.to_string()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3);
}

#[test]
fn without_a_branch_the_default_one_is_built() {
    assert!(to_toml(&[], "").parse::<toml::Table>().unwrap().get("branches").is_none());
}

#[test]
fn the_written_file_is_for_people() {
    insta::assert_snapshot!(to_toml(
        &found(&[("sub/Cargo.toml", "[package]\n"), ("sub/Cargo.lock", "")]),
        "main"
    ));
}
