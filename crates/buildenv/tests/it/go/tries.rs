//! coordinator.md §7.5: the builders that try a change, by era.

use buildenv::{Asked, Class, cells};

use super::{codes::Case, in_2017, planned, profile, rows, today};
use crate::name;

#[test]
fn the_try_sets_of_the_original_hold() {
    let rows = rows(include_str!("../../go/try-sets.tsv"));
    assert_eq!(rows.len(), 12);
    for row in rows {
        let config = if row["era"] == "2017" { in_2017() } else { today() };
        let mut names = planned(config, row["repo"], row["branch"], "master", Class::Try);
        if row["era"] == "today" {
            names.retain(|name| !name.starts_with("misc-compile"));
        }
        assert_eq!(names.join(" "), row["builders"], "{row:?}");
    }
    assert_eq!(planned(in_2017(), "term", "master", "master", Class::Try).len(), 7);
}

/// Every builder on every repository of 2017: who tries, and who builds what is submitted.
#[test]
fn every_builder_of_2017_builds_what_its_row_says() {
    let (config, rows) = (in_2017(), rows(include_str!("../../go/builders-2017.tsv")));
    let skipped = ["build", "exp", "mobile", "term", "oauth2"];
    for repo in config.repos().iter().map(|repo| repo.name.as_str()) {
        for branch in ["master", "release-branch.go1.6", "release-branch.go1.8"] {
            let branch = if repo == "go" { branch } else { "master" };
            let own = |row: &&std::collections::BTreeMap<_, _>| repo == "go" || row["x/"] == "yes";
            let tries = rows.iter().filter(own).filter(|row| row["try"] == "yes");
            let want: Vec<_> = tries.map(|row| row["builder"]).collect();
            assert_eq!(planned(config, repo, branch, "master", Class::Try), want, "{repo} {branch}");
            let posts = rows.iter().filter(own).filter(|row| {
                let name = row["builder"];
                let old = ["10_8", "10_10", "10_11"].iter().any(|version| name.ends_with(version));
                !row["flags"].contains("tryonly")
                    && !skipped.contains(&repo)
                    && (repo, name) != ("perf", "linux-amd64-nocgo")
                    && (repo, name) != ("net", "darwin-amd64-10_8")
                    && !(branch == "release-branch.go1.6" && name.starts_with("darwin-") && !old)
            });
            let want: Vec<_> = posts.map(|row| row["builder"]).collect();
            assert_eq!(planned(config, repo, branch, "master", Class::PostSubmit), want, "{repo} {branch}");
        }
    }
}

/// `bellwether config plan go@master`.
#[test]
fn a_plan_of_a_commit_of_go_is_what_the_original_would_have_built() {
    let rows = rows(include_str!("../../go/builders-today.tsv"));
    let asked = |class| Asked {
        repos: vec![(name("go"), Some("master".into()))],
        branch: None,
        toolchain_branches: Vec::new(),
        class,
    };
    let case = Case { repo: "go", branch: "master", go: "master" };
    for (class, count) in [(Class::PostSubmit, 96), (Class::Try, 47)] {
        let cells = cells(today(), &asked(class));
        assert_eq!(cells.len(), 1);
        let names: Vec<_> = cells[0].plan.builds.iter().map(|p| p.builder.name.as_str()).collect();
        let mut want: Vec<_> =
            rows.iter().filter(|row| case.builds(row, class)).map(|row| row["builder"]).collect();
        want.sort_unstable();
        assert_eq!(names, want);
        assert_eq!(names.len(), count, "{class:?}");
        assert!(
            cells[0]
                .plan
                .left_out
                .iter()
                .all(|left| left.reason.contains(".toml:") || left.reason.contains("default"))
        );
    }
}

/// The ports of Go 1.24, as `go tool dist list` prints them.
const PORTS: &str = "aix/ppc64 android/386 android/amd64 android/arm android/arm64 darwin/amd64 darwin/arm64 \
    dragonfly/amd64 freebsd/386 freebsd/amd64 freebsd/arm freebsd/arm64 freebsd/riscv64 illumos/amd64 ios/amd64 \
    ios/arm64 js/wasm linux/386 linux/amd64 linux/arm linux/arm64 linux/loong64 linux/mips linux/mips64 \
    linux/mips64le linux/mipsle linux/ppc64 linux/ppc64le linux/riscv64 linux/s390x netbsd/386 netbsd/amd64 \
    netbsd/arm netbsd/arm64 openbsd/386 openbsd/amd64 openbsd/arm openbsd/arm64 openbsd/ppc64 openbsd/riscv64 \
    plan9/386 plan9/amd64 plan9/arm solaris/amd64 wasip1/wasm windows/386 windows/amd64 windows/arm windows/arm64";

#[test]
fn every_port_of_go_is_tried_and_may_be_asked_for() {
    let tried = planned(today(), "go", "master", "master", Class::Try);
    let known = |name: &str| {
        today().builders_by_alias(name).next().is_some()
            || today().known_missing().iter().any(|missing| missing.as_str() == name)
    };
    for port in PORTS.split_whitespace() {
        let (os, arch) = port.split_once('/').unwrap();
        let name = format!("{os}-{arch}");
        for asked in [os, arch, &name] {
            assert!(known(asked), "TRY={asked}");
        }
        let of_port = |builder: &String| {
            let builder = builder.strip_prefix("misc-compile-").unwrap_or(builder);
            builder == name || builder.strip_prefix(&name).is_some_and(|rest| rest.starts_with('-'))
        };
        assert!(os == "android" || os == "ios" || tried.iter().any(of_port), "{port}");
    }
}

#[test]
fn staging_has_few_builders_and_all_machines_that_dial_in() {
    for (file, named) in [
        ("today-prod.toml", &["linux-amd64", "linux-amd64-sid", "linux-amd64-clang", "js-wasm-node18"]),
        ("2017-prod.toml", &["linux-amd64", "linux-386-387", "linux-arm", "linux-arm-arm5spacemonkey"]),
    ] {
        let (staging, all) = (profile(file, Some("staging")), profile(file, Some("prod")));
        let dials_in = |name: &String| {
            let host =
                all.builder(&"go".parse().unwrap(), &crate::name(name)).unwrap().host.as_ref().unwrap();
            all.host(host.as_str()).unwrap().pool == buildenv::Pool::Reverse
        };
        let mut want = planned(&all, "go", "master", "master", Class::PostSubmit);
        want.retain(|name| named.contains(&name.as_str()) || dials_in(name));
        assert_eq!(planned(&staging, "go", "master", "master", Class::PostSubmit), want);
        assert!(want.len() > 20, "{want:?}");
    }
}
