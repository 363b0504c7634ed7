//! profiles/go: the hosts and builders of golang.org/x/build, of July 2017 and of today, held against tables of facts.

mod builders;
mod codes;
mod hosts;
mod policies;
mod tries;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use buildenv::{Class, Config, Source, embedded, plan};

use crate::name;

/// The rows of a table: column to text.
type Rows = Vec<BTreeMap<&'static str, &'static str>>;

/// Reads tab-separated columns under a line with their names.
fn rows(text: &'static str) -> Rows {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let head: Vec<_> = lines.next().unwrap().split('\t').collect();
    let row = |line: &'static str| {
        let cells: Vec<_> = line.split('\t').collect();
        assert_eq!(cells.len(), head.len(), "{line}");
        head.iter().copied().zip(cells).collect()
    };
    lines.map(row).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles/go")
}

/// Loads a file of the profile as `bellwether` does.
fn profile(file: &str, environment: Option<&str>) -> Config {
    let read = |name: &str| std::fs::read_to_string(folder().join(name));
    let sources = [embedded("linux", "amd64"), Source::server(file, read(file).unwrap())];
    let environment = environment.map(crate::environment);
    buildenv::load(&sources, &read, environment.as_ref()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn today() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| profile("today.toml", None))
}

fn in_2017() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| profile("2017.toml", None))
}

/// The builders that a branch gets, against one of Go's if the repository is not go.
fn planned(config: &Config, repo: &str, branch: &str, go: &str, class: Class) -> Vec<String> {
    let plan = plan(config, &name(repo), branch, (repo != "go").then_some(go), class);
    assert_eq!(plan.builds.len() + plan.left_out.len(), config.builders().len());
    plan.builds.iter().map(|p| p.builder.name.to_string()).collect()
}

/// `NAME=VALUE;…`, sorted.
fn variables(text: &str) -> Vec<(String, String)> {
    let split = text.split(';').filter(|one| !one.is_empty());
    let mut list: Vec<_> =
        split.map(|one| one.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect();
    list.sort();
    list
}

#[test]
fn every_file_of_the_profile_loads_in_each_environment() {
    for file in ["2017.toml", "today.toml", "today-ported.toml"] {
        profile(file, None);
    }
    for file in ["2017-prod.toml", "today-prod.toml"] {
        for environment in ["prod", "staging", "dev"] {
            let config = profile(file, Some(environment));
            let bucket = if environment == "prod" { "/go-builder-data/" } else { "/dev-go-builder-data/" };
            let vms = config.hosts().iter().filter_map(|host| host.buildlet.as_ref());
            assert!(vms.clone().count() > 10 && vms.into_iter().all(|url| url.contains(bucket)));
        }
    }
}

#[test]
fn a_profile_is_no_list_of_copies() {
    let lines = |file: &str| {
        let text = std::fs::read_to_string(folder().join(file)).unwrap();
        text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).count()
    };
    let (then, now) = (in_2017().builders().len(), today().builders().len());
    assert_eq!((then, now), (67, 138));
    // With templates, matrices and policies; a copy of each would take ten lines and more.
    assert!(lines("2017/builders.toml") < 3 * then);
    assert!(lines("today/builders.toml") + lines("today/misc-compile.toml") < 3 * now);
}

#[test]
fn repositories_are_those_of_the_original() {
    let today = today();
    let shown = today.repos().iter().filter(|repo| !repo.hidden).count();
    assert_eq!((today.repos().len(), shown), (37, 29));
    assert_eq!(today.repo("dl").unwrap().import_path.as_deref(), Some("golang.org/dl"));
    for config in [in_2017(), today] {
        let sync = config.repo("sync").unwrap();
        assert_eq!(sync.url, "https://go.googlesource.com/sync");
        assert_eq!(sync.import_path.as_deref(), Some("golang.org/x/sync"));
        assert_eq!(config.toolchain_of("sync").unwrap().name.as_str(), "go");
        assert_eq!(config.dashboard_main().unwrap().as_str(), "go");
    }
    assert_eq!(in_2017().repos().len(), 21);
}

#[test]
fn an_x_repository_is_paired_with_the_branches_of_go_that_the_original_took() {
    let branches: Vec<String> = ["master", "dev.fuzz", "release-branch.go1.5", "release-branch.go1.7"]
        .into_iter()
        .chain(["release-branch.go1.21", "release-branch.go1.22", "release-branch.go1.23"])
        .map(Into::into)
        .collect();
    let pairs = |config: &Config, repo: &str, branch: &str| {
        buildenv::toolchain_pairs(config, &name(repo), branch, &branches).join(" ")
    };
    let newest = "master release-branch.go1.23 release-branch.go1.22";
    assert_eq!(pairs(today(), "net", "master"), newest);
    assert_eq!(pairs(today(), "tools", "gopls-release-branch.0.9"), newest);
    assert_eq!(pairs(today(), "net", "internal-branch.go1.21-vendor"), "release-branch.go1.21");
    assert_eq!(pairs(today(), "net", "other"), "master");
    let all = "master release-branch.go1.23 release-branch.go1.22 release-branch.go1.21 release-branch.go1.7";
    assert_eq!(pairs(in_2017(), "net", "master"), all);
}
