//! coordinator.md §5.4 and §7.5: who builds what today, row by row, and every code of B.2 on every repository.

use std::collections::BTreeMap;

use buildenv::{Class, plan};

use super::codes::Case;
use super::{planned, rows, today};
use crate::name;

/// What a builder builds: `both`, `post`, `try` or `none`.
fn builds(builder: &str, repo: &str, branch: &str, go: &str) -> &'static str {
    let has = |class| planned(today(), repo, branch, go, class).iter().any(|name| name == builder);
    match (has(Class::PostSubmit), has(Class::Try)) {
        (true, true) => "both",
        (true, false) => "post",
        (false, true) => "try",
        (false, false) => "none",
    }
}

#[test]
fn the_table_of_the_original_holds() {
    let mut cells = 0;
    for row in rows(include_str!("../../go/policies-today.tsv")) {
        for builder in row["builders"].split(' ') {
            let (builder, at) = builder.split_once('@').map_or((builder, None), |(b, at)| (b, Some(at)));
            let go = at.map_or("master".to_string(), |at| format!("release-branch.go{at}"));
            assert!(today().builders().iter().any(|b| b.name.as_str() == builder), "{builder}");
            for repo in row["repos"].split(' ') {
                let branch = if repo == "go" { go.as_str() } else { "master" };
                assert_eq!(builds(builder, repo, branch, &go), row["want"], "{builder} {repo}: {row:?}");
                cells += 1;
            }
        }
    }
    assert!(cells > 180, "{cells}");
}

/// The branches that tell the codes apart: of Go, and of an x/ repository against one of Go's.
fn cases(repo: &str) -> Vec<(&'static str, &'static str)> {
    let releases = [
        "release-branch.go1.10",
        "release-branch.go1.20",
        "release-branch.go1.21",
        "release-branch.go1.22",
        "release-branch.go1.23",
        "release-branch.go1.99",
    ]
    .into_iter();
    let others =
        ["master", "dev.fuzz", "dev.boringcrypto", "dev.boringcrypto.go1.8", "other", "release-branch.go2.1"];
    match repo {
        "go" => releases.chain(others).map(|branch| (branch, branch)).collect(),
        _ => {
            let masters = releases.chain(["master", "dev.fuzz"]).map(|go| ("master", go));
            masters.chain([("other", "master"), ("release-branch.go1.22", "master")]).collect()
        }
    }
}

#[test]
fn every_builder_of_today_builds_what_its_codes_say() {
    let rows = rows(include_str!("../../go/builders-today.tsv"));
    let mut compared = 0;
    for repo in today().repos().iter().map(|repo| repo.name.as_str()) {
        for (branch, go) in cases(repo) {
            for class in [Class::PostSubmit, Class::Try] {
                let case = Case { repo, branch, go };
                let mut want: Vec<_> =
                    rows.iter().filter(|row| case.builds(row, class)).map(|row| row["builder"]).collect();
                want.sort_unstable();
                assert_eq!(planned(today(), repo, branch, go, class), want, "{case:?} {class:?}");
                compared += rows.len();
            }
        }
    }
    assert!(compared > 100_000, "{compared}");
}

#[test]
fn a_builder_that_is_left_out_is_told_by_whose_line() {
    let plan = plan(today(), &name("go"), "dev.boringcrypto.go1.8", None, Class::PostSubmit);
    let names: Vec<_> = plan.builds.iter().map(|p| p.builder.name.as_str()).collect();
    assert_eq!(names, ["linux-amd64", "windows-386-2016"]);
    let reasons: BTreeMap<_, _> =
        plan.left_out.iter().map(|left| (left.builder.name.as_str(), left.reason.as_str())).collect();
    let why = reasons["linux-386"];
    assert!(why.starts_with("policy says build = \"never\" (today.toml:"), "{why}");
    let why = reasons["linux-amd64-androidemu"];
    assert!(why.starts_with("repos does not name go (today/builders.toml:"), "{why}");
}
