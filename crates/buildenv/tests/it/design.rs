//! The server file of design.md §4, as it stands there.

use buildenv::{Class, Part, Role, SourceKind, plan, toolchain_pairs};

use crate::{load, name};

pub const DESIGN: &str = include_str!("../design.toml");

fn planned(
    config: &buildenv::Config,
    repo: &str,
    branch: &str,
    go: Option<&str>,
    class: Class,
) -> Vec<String> {
    let plan = plan(config, &name(repo), branch, go, class);
    plan.builds.iter().map(|p| p.builder.name.to_string()).collect()
}

#[test]
fn the_example_of_the_design_loads() {
    let config = load(DESIGN);
    assert_eq!(config.environment().name.as_str(), "dev");
    assert_eq!(config.environment().database, "sqlite:bellwether.db");
    let go = config.repo("go").unwrap();
    assert!(go.builds_branch("release-branch.go1.22", None) && !go.builds_branch("dev.x", None));
    assert!(go.mirrors.is_empty(), "dev pushes to no mirror");
    let sync = config.repo("sync").unwrap();
    assert_eq!((sync.horizon, sync.source), (20, SourceKind::Archive));
    assert_eq!(config.toolchain_of("sync").unwrap().name.as_str(), "go");
    assert!(config.is_toolchain(&name("go")) && !config.is_toolchain(&name("sync")));
    let host = config.host("linux-amd64").unwrap();
    assert!(host.env_pass.matches("GOPROXY") && !host.env_pass.matches("PATH"));
    assert_eq!(config.hosts().len(), 1, "the built-in host gives way to the file's");
    let builder = config.builder(&name("go"), &name("linux-amd64")).unwrap();
    assert_eq!((builder.helpers, builder.try_helpers), (2, 2));
    let recipe = config.recipe_of(builder).unwrap();
    assert!(recipe.main.snapshot && recipe.main.steps[0].snapshot);
    assert_eq!(recipe.main.step(Role::List).unwrap().run, "go/bin/go tool dist test --no-rebuild --list");
    assert_eq!(recipe.dependents.as_ref().unwrap().steps[0].run, "go test ./...");
    assert_eq!(config.dashboard_main().unwrap().as_str(), "go");
}

#[test]
fn the_example_of_the_design_plans_right() {
    let config = load(DESIGN);
    let both = ["linux-amd64", "linux-amd64-race"];
    assert_eq!(planned(&config, "go", "master", None, Class::PostSubmit), both);
    assert_eq!(planned(&config, "go", "master", None, Class::Try), both[..1]);
    assert_eq!(planned(&config, "sync", "master", Some("master"), Class::PostSubmit), both[..1]);
    let sync = plan(&config, &name("sync"), "master", Some("master"), Class::PostSubmit);
    let build = &sync.builds[0];
    assert_eq!(build.part, Part::Dependents);
    assert_eq!(build.toolchain.as_ref().unwrap().as_str(), "go");
    assert_eq!(build.toolchain_branch.as_deref(), Some("master"));
    assert_eq!(sync.left_out[0].reason, "repos does not name sync (server.toml:33)");
    let alone = plan(&config, &name("sync"), "master", None, Class::PostSubmit);
    assert!(alone.builds.is_empty(), "a repository is not built without what it needs");
    assert_eq!(alone.left_out.len(), 2);
}

#[test]
fn a_branch_is_paired_with_the_one_of_its_name() {
    let config = load(DESIGN);
    let branches: Vec<String> =
        ["release-branch.go1.21", "master", "release-branch.go1.22"].map(Into::into).into();
    let pairs = |branch| toolchain_pairs(&config, &name("sync"), branch, &branches);
    assert_eq!(pairs("release-branch.go1.22"), ["release-branch.go1.22"]);
    assert_eq!(pairs("feature"), ["master"]);
    assert_eq!(toolchain_pairs(&config, &name("go"), "master", &branches), Vec::<String>::new());
}

#[test]
fn pairs_choose_the_newest_release_branches() {
    let with = "import_path = \"golang.org/x/sync\"\npairs = [\n  { branch = \"internal-branch.*\", with = \"release-branch.go{version}\" },\n  { branch = \"master\", with = [\"master\", \"release-branch.*\"], newest = 2 },\n]";
    let config = load(&DESIGN.replace("import_path = \"golang.org/x/sync\"", with));
    let branches: Vec<String> =
        ["release-branch.go1.9", "release-branch.go1.21", "dev.x", "release-branch.go1.22", "master"]
            .map(Into::into)
            .into();
    let pairs = |branch| toolchain_pairs(&config, &name("sync"), branch, &branches);
    assert_eq!(pairs("master"), ["master", "release-branch.go1.22", "release-branch.go1.21"]);
    assert_eq!(pairs("internal-branch.go1.21-vendor"), ["release-branch.go1.21"]);
}
