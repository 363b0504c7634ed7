//! Several files: scopes, includes, environments, templates, explanations, differences.

use std::io;

use buildenv::{
    Asked, Class, Config, Problems, Source, cells, diff_cells, embedded, explain, load_with_projects, plan,
};

use crate::{environment, load, name, no_includes, try_load};

const SITE: &str = "[repo.site]\nurl = \"u\"\n[repo.lib]\nurl = \"u\"\n";
const TEST: &str = "[builder.test]\nrecipe = \"test\"\n[recipe.test]\nrun = \"make test\"\n";

fn projects(server: &str, files: &[(&str, &str)]) -> Result<Config, Problems> {
    let mut sources = vec![embedded("linux", "amd64"), Source::server("server.toml", server)];
    sources.extend(
        files
            .iter()
            .map(|(repo, text)| Source::project(name(repo), format!("{repo}:bellwether.toml"), *text)),
    );
    buildenv::load(&sources, &no_includes, None)
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let config = buildenv::load(&[], &no_includes, None).unwrap();
    assert_eq!(config.environment().name.as_str(), "dev");
    assert!(config.hosts().is_empty() && config.builders().is_empty());
    let config = load("");
    let host = &config.hosts()[0];
    assert_eq!(
        (host.name.as_str(), host.labels["os"].as_str(), host.labels["arch"].as_str()),
        ("local", "linux", "amd64")
    );
    for variable in
        ["PATH", "LC_ALL", "CARGO_HOME", "GOPROXY", "npm_config_cache", "https_proxy", "JAVA_HOME"]
    {
        assert!(host.env_pass.matches(variable), "{variable}");
    }
    for variable in ["HOME", "DEPLOY_TOKEN", "LD_PRELOAD", "SSH_AUTH_SOCK", "CARGO_REGISTRY_TOKEN"] {
        assert!(!host.env_pass.matches(variable), "{variable}");
    }
}

#[test]
fn two_repositories_may_have_a_builder_of_one_name() {
    let config = projects(SITE, &[("site", TEST), ("lib", TEST)]).unwrap();
    let of = |repo| config.builder(&name(repo), &name("test")).unwrap();
    assert_eq!(of("site").full_name(), "site:test");
    assert_eq!(of("lib").full_name(), "lib:test");
    let plan = plan(&config, &name("site"), "main", None, Class::PostSubmit);
    assert_eq!(plan.builds.len(), 1);
    assert!(plan.left_out.is_empty(), "another repository's builders are not left out, they are not there");
    assert_eq!(plan.builds[0].builder.scope.as_ref().unwrap().as_str(), "site");
}

#[test]
fn a_project_file_sets_branches_horizon_and_needs() {
    let text = format!("branches = [\"main\", \"v*\"]\nhorizon = 5\nneeds = [\"lib\"]\n{TEST}");
    let config = projects(SITE, &[("site", &text)]).unwrap();
    let repo = config.repo("site").unwrap();
    assert!(repo.builds_branch("v1", None) && !repo.builds_branch("dev", None));
    assert_eq!((repo.horizon, repo.needs[0].as_str()), (5, "lib"));
    let lib = config.repo("lib").unwrap();
    assert!(lib.builds_branch("trunk", Some("trunk")) && !lib.builds_branch("dev", Some("trunk")));
    let plan = plan(&config, &name("site"), "main", Some("main"), Class::PostSubmit);
    assert_eq!(plan.builds[0].toolchain.as_ref().unwrap().as_str(), "lib");
}

#[test]
fn the_servers_word_on_a_repository_counts_and_the_other_is_not_silent() {
    let server = format!("{SITE}horizon = 7\n");
    let config = projects(&server, &[("lib", &format!("horizon = 3\nbranches = \"main\"\n{TEST}"))]).unwrap();
    let repo = config.repo("lib").unwrap();
    assert_eq!((repo.horizon, repo.branches.texts().collect::<Vec<_>>()), (7, vec!["main".to_string()]));
    let warning = config.warnings()[0].to_string();
    assert!(
        warning.starts_with("lib:bellwether.toml:1:1: \"horizon\" has no effect: the server's file says 7\n"),
        "{warning}"
    );
    assert!(explain(&config, "repo.lib").unwrap().contains("\"horizon\" has no effect"));
    assert!(load("").warnings().is_empty());
}

#[test]
fn a_project_builder_may_use_the_servers_recipe_and_not_the_other_way_round() {
    let server = format!("{SITE}[recipe.shared]\nrun = \"true\"\n");
    let config = projects(&server, &[("site", "[builder.test]\nrecipe = \"shared\"\n")]).unwrap();
    let builder = config.builder(&name("site"), &name("test")).unwrap();
    assert!(config.recipe_of(builder).unwrap().scope.is_none());
    let server = format!("{SITE}[builder.b]\nrecipe = \"test\"\n");
    let problems = projects(&server, &[("site", TEST)]).unwrap_err();
    assert_eq!(problems.0.len(), 1);
    assert_eq!(problems.0[0].message, "no recipe \"test\"");
}

#[test]
fn a_bad_project_file_blocks_no_other() {
    let server = format!("{SITE}[repo.third]\nurl = \"u\"\n");
    let sources = [
        embedded("linux", "amd64"),
        Source::server("server.toml", server),
        Source::project(name("site"), "site:bellwether.toml", "[builder.test]\nrecipe = \"tset\"\n"),
        Source::project(name("lib"), "lib:bellwether.toml", TEST),
        Source::project(name("third"), "third:bellwether.toml", "needs = [\"lib\"\n"),
    ];
    let (config, bad) = load_with_projects(&sources, &no_includes, None).unwrap();
    assert_eq!(config.builders().len(), 1);
    let bad: Vec<_> = bad.iter().map(|(repo, p)| format!("{repo}: {}", p.0[0].message)).collect();
    assert_eq!(bad[0], "site: no recipe \"tset\"");
    assert!(bad[1].starts_with("third: "), "{bad:?}");
    let server = [Source::server("server.toml", "hots = 1")];
    assert!(load_with_projects(&server, &no_includes, None).is_err());
}

#[test]
fn a_project_that_would_bring_a_secret_to_unreviewed_work_blocks_no_other() {
    let server = format!(
        "{SITE}[host.h]\npool = \"reverse\"\ntrust = \"untrusted-ok\"\n[secret.s]\nenv = \"S\"\nbuilders = [\"site:test\"]\n"
    );
    let with = |more: &str| TEST.replace("[recipe", &format!("host = \"h\"\n{more}\n[recipe"));
    let loaded = |site: &str| {
        let sources = [
            embedded("linux", "amd64"),
            Source::server("server.toml", &*server),
            Source::project(name("site"), "site:bellwether.toml", site),
            Source::project(name("lib"), "lib:bellwether.toml", TEST),
        ];
        load_with_projects(&sources, &no_includes, None).unwrap()
    };
    let (config, bad) = loaded(&with(""));
    assert_eq!((config.builders().len(), bad.len()), (2, 0), "{bad:?}");
    let (config, bad) = loaded(&with("try = true"));
    assert_eq!(config.builders().len(), 1, "the other one's");
    let problem = &bad["site"].0[0];
    assert_eq!(problem.message, "builder site:test may run untrusted work, so it gets no secret");
    assert!(!bad["site"].to_string().contains("env ="), "{problem}");
}

#[test]
fn a_cycle_through_a_project_file_is_that_files_fault() {
    let server = "[repo.a]\nurl = \"u\"\nneeds = [\"b\"]\n[repo.b]\nurl = \"u\"\n";
    let sources = [
        Source::server("server.toml", server),
        Source::project(name("b"), "b:bellwether.toml", "needs = [\"a\"]\n"),
    ];
    let (config, bad) = load_with_projects(&sources, &no_includes, None).unwrap();
    assert!(config.repo("b").unwrap().needs.is_empty());
    assert_eq!(bad["b"].0[0].message, "needs go in a circle: a → b → a");
}

#[test]
fn a_server_file_changes_built_in_things_key_by_key() {
    let config =
        load("[host.local]\ncapacity = 2\nlabels = { gpu = \"a100\" }\n[host.other]\npool = \"reverse\"\n");
    let host = config.host("local").unwrap();
    assert_eq!(host.capacity, Some(2));
    assert_eq!(host.labels.len(), 3, "tables are merged");
    assert!(host.env_pass.matches("PATH"));
    assert_eq!(config.hosts().len(), 2);
}

#[test]
fn includes_are_read_once_each_in_place() {
    let include = |file: &str| match file {
        "repos.toml" => Ok(SITE.to_string()),
        "more/builders.toml" => Ok(format!("include = [\"more/rules.toml\"]\n{TEST}")),
        "more/rules.toml" => Ok("policy = [{ repo = \"lib\", build = \"never\" }]\n".to_string()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let text = "include = [\"repos.toml\", \"more/builders.toml\"]\npolicy = [{ repo = \"site\", build = \"both\" }]\n";
    let sources = [embedded("linux", "amd64"), Source::server("server.toml", text)];
    let config = buildenv::load(&sources, &include, None).unwrap();
    assert_eq!(config.rules().len(), 2);
    assert_eq!(plan(&config, &name("site"), "main", None, Class::PostSubmit).builds.len(), 1);
    let left = plan(&config, &name("lib"), "main", None, Class::PostSubmit).left_out;
    assert_eq!(left[0].reason, "policy says build = \"never\" (more/rules.toml:1)");
}

#[test]
fn files_of_mute_rules_are_read_for_the_server_and_named_for_a_repository() {
    let include = |file: &str| match file {
        "mute.toml" => Ok("rules".to_string()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let of = |server: &str, project: &str| {
        let project = Source::project(name("site"), "site:bellwether.toml", project);
        let text = format!("mute = {server}\n{SITE}");
        let sources = [embedded("linux", "amd64"), Source::server("server.toml", text), project];
        buildenv::load(&sources, &include, None)
    };
    let config = of("\"mute.toml\"", "mute = [\"ci/mute.toml\"]\n").unwrap();
    let told: Vec<_> = config.mutes().iter().map(|file| (file.file.as_str(), file.text.as_deref())).collect();
    assert_eq!(told, [("mute.toml", Some("rules")), ("site:ci/mute.toml", None)]);
    assert_eq!(config.mutes()[1].repo, Some(name("site")));
    for (server, project, said) in [
        ("[]", "mute = \"../x\"", "leads out"),
        ("[]", "mute = \"/etc/passwd\"", "leads out of the repository"),
        ("\"gone.toml\"", "", "cannot read \"gone.toml\""),
    ] {
        let problems = of(server, project).unwrap_err().to_string();
        assert!(problems.contains(said), "{problems}");
    }
}

#[test]
fn hosts_and_repositories_take_over_templates_and_fill_them_in() {
    let text = "[repo_template.x]\nurl = \"https://git/{name}\"\nimport_path = \"x/{name}\"\nbranches = [\"main\"]\n\
        [repo]\nsync = { template = \"x\" }\nmod = { template = \"x\", branches = [\"trunk\"], hidden = true }\n\
        [host_template.any]\npool = \"gce\"\nowners = [\"a\"]\nlabels = { os = \"linux\" }\n\
        [host_template.big]\ntemplate = \"any\"\nimage = \"{os}-{arch}\"\nbuildlet = \"https://{bucket}/{name}\"\n\
        [host.one]\ntemplate = \"big\"\nlabels = { arch = \"amd64\" }\n\
        [environment.dev]\ncloud = { bucket = \"b\" }\n";
    let config = load(text);
    let repo = |name| config.repo(name).unwrap();
    assert_eq!(
        (repo("sync").url.as_str(), repo("mod").url.as_str()),
        ("https://git/sync", "https://git/mod")
    );
    assert_eq!(repo("sync").import_path.as_deref(), Some("x/sync"));
    assert!(repo("sync").builds_branch("main", None) && !repo("mod").builds_branch("main", None));
    assert!(repo("mod").hidden);
    let host = config.host("one").unwrap();
    assert_eq!((host.pool, host.owners.as_slice()), (buildenv::Pool::Gce, &["a".to_owned()][..]));
    assert_eq!(host.labels.len(), 2, "tables are merged");
    assert_eq!(host.image.as_deref(), Some("linux-amd64"));
    assert_eq!(host.buildlet.as_deref(), Some("https://b/one"));
    let shown = explain(&config, "host.one").unwrap();
    assert!(shown.contains("(host_template any)") && shown.contains("https://b/one"), "{shown}");
}

#[test]
fn the_environment_is_chosen_and_never_guessed() {
    let text = "[environment.prod]\nurl = \"https://ci\"\n[environment.staging]\nurl = \"https://staging\"\nbuilders = [\"te*\"]\n\
        [repo.site]\nurl = \"u\"\nmirrors = [\"git@m:site\"]\n[secret.key]\nenv = \"KEY\"\nenvironments = [\"prod\"]\nbuilders = [\"test\"]\n\
        [builder.other]\nrecipe = \"test\"\n";
    let text = format!("{text}{TEST}");
    let sources = [embedded("linux", "amd64"), Source::server("server.toml", text)];
    let with = |env: &str| buildenv::load(&sources, &no_includes, Some(&environment(env)));
    let none = buildenv::load(&sources, &no_includes, None).unwrap_err();
    assert_eq!(none.0[0].message, "there are several environments and none was chosen");
    assert_eq!(none.0[0].expected.as_deref(), Some("--env with one of prod, staging"));
    let prod = with("prod").unwrap();
    assert_eq!(prod.repo("site").unwrap().mirrors.len(), 1);
    assert_eq!(prod.builder(&name("site"), &name("test")).unwrap().secrets[0].as_str(), "key");
    let staging = with("staging").unwrap();
    assert!(staging.repo("site").unwrap().mirrors.is_empty(), "staging posts to nothing of production's");
    assert!(staging.secrets().is_empty());
    assert!(staging.builder(&name("site"), &name("test")).unwrap().secrets.is_empty());
    let left = plan(&staging, &name("site"), "main", None, Class::PostSubmit).left_out;
    assert_eq!(left[0].reason, "environment.staging.builders leaves it out (server.toml:5)");
    let wrong = with("stagign").unwrap_err();
    assert_eq!(wrong.0[0].nearest.as_deref(), Some("staging"));
}

#[test]
fn an_environment_runs_named_builders_and_those_of_whole_pools() {
    let text = format!(
        "[environment.staging]\nbuilders = [\"one\", \"site:*\"]\nbuilders_on = \"reverse\"\n{SITE}\
        [host.far]\npool = \"reverse\"\n[host.near]\npool = \"kubernetes\"\n[recipe.r]\nrun = \"x\"\n\
        [builder.one]\nrecipe = \"r\"\nhost = \"near\"\n[builder.two]\nrecipe = \"r\"\nhost = \"near\"\n\
        [builder.three]\nrecipe = \"r\"\nhost = \"far\"\n"
    );
    let own = "[builder.own]\nrecipe = \"r\"\nhost = \"near\"\n";
    let config = projects(&text, &[("site", own), ("lib", own)]).unwrap();
    let builds = |repo| {
        let plan = plan(&config, &name(repo), "main", None, Class::PostSubmit);
        plan.builds.iter().map(|p| p.builder.full_name()).collect::<Vec<_>>()
    };
    assert_eq!(builds("site"), ["one", "three", "site:own"]);
    assert_eq!(builds("lib"), ["one", "three"]);
    let problems =
        try_load("[environment.dev]\nbuilders = [\"site:x\", \"gone\"]\n[repo.site]\nurl = \"u\"\n")
            .unwrap_err();
    assert_eq!(problems.0.len(), 1);
    assert_eq!(problems.0[0].message, "no builder \"gone\"");
}

const MATRIX: &str = r#"
[template.base]
recipe = "test"
env = { A = "1", B = "base" }
owners = ["me"]

[template.race]
template = "base"
env = { B = "race" }

[matrix.m]
name = "linux-{arch}-{variant}"
axes = { arch = ["amd64", "386"], variant = ["", "race"] }
exclude = [{ arch = "386", variant = "race" }]
template = "base"
env = { GOARCH = "{arch}" }
[[matrix.m.set]]
when = { variant = "race" }
template = "race"
try = true

[recipe.test]
run = "make test"
timeout = "5m"
"#;

#[test]
fn a_matrix_makes_builders_out_of_axes_and_templates() {
    let config = load(MATRIX);
    let names: Vec<_> = config.builders().iter().map(|b| b.name.to_string()).collect();
    assert_eq!(names, ["linux-386", "linux-amd64", "linux-amd64-race"]);
    let env = |n: usize| {
        let env = config.builders()[n].env.iter().map(|(k, v)| format!("{k}={v}"));
        env.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(env(0), "A=1 B=base GOARCH=386");
    assert_eq!(env(2), "A=1 B=race GOARCH=amd64");
    assert!(config.builders()[2].try_.ever() && !config.builders()[1].try_.ever());
}

#[test]
fn an_explanation_names_the_line_of_every_value() {
    let config = load(MATRIX);
    insta::assert_snapshot!(explain(&config, "linux-amd64-race").unwrap());
    let one = explain(&config, "builder.linux-amd64-race.env").unwrap();
    assert!(one.contains("env.B") && !one.contains("owners"));
    assert_eq!(explain(&config, "nobody"), None);
    assert!(explain(&config, "recipe.test.timeout").unwrap().contains("\"5m\""));
    assert!(explain(&config, "host.local").unwrap().contains("built-in defaults:"));
}

#[test]
fn a_plan_says_why_each_other_builder_is_left_out() {
    let text = format!(
        "{SITE}[repo.go]\nurl = \"u\"\n[repo.sync]\nurl = \"u\"\nneeds = [\"go\"]\n{TEST}\
        [builder.a]\nrecipe = \"test\"\nrepos = [\"lib\"]\n\
        [builder.b]\nrecipe = \"test\"\nexclude_repos = \"s*\"\n\
        [builder.c]\nrecipe = \"test\"\nbranches = \"main\"\n\
        [builder.d]\nrecipe = \"test\"\nminimum_version = \"2\"\n\
        [builder.e]\nrecipe = \"test\"\npost_submit = false\ntry = true\n\
        [builder.f]\nrecipe = \"test\"\npolicy = [{{ branch = \"dev\", build = \"never\" }}, {{ repo = \"site\", build = \"try\" }}]\n\
        [builder.g]\nrecipe = \"tool\"\n[recipe.tool]\ntoolchain = \"go\"\nrun = \"x\"\n"
    );
    let config = load(&text);
    let reasons = |repo, branch, go, class| {
        let plan = plan(&config, &name(repo), branch, go, class);
        let list = plan.left_out.iter().map(|l| format!("{}: {}", l.builder.name, l.reason));
        let builds: Vec<_> = plan.builds.iter().map(|p| p.builder.name.to_string()).collect();
        format!("builds: {}\n{}", builds.join(" "), list.collect::<Vec<_>>().join("\n"))
    };
    insta::assert_snapshot!(reasons("site", "release-1.9", None, Class::PostSubmit));
    insta::assert_snapshot!(reasons("sync", "main", Some("main"), Class::Try));
}

#[test]
fn equal_builds_have_equal_digests() {
    let digest = |text: &str, builder: &str| {
        let config = load(text);
        let builder = config.builder(&name("site"), &name(builder)).unwrap();
        config.digest_for(builder, config.recipe_of(builder).unwrap())
    };
    let base = format!("{SITE}{TEST}");
    let same = format!(
        "# A comment.\n{SITE}\n[builder.test]\nnotes = \"x\"\ntry = true\npriority = 3\nowners = \"me\"\nrecipe = \"test\"\n[recipe.test]\nrun = \"make test\"\n"
    );
    assert_eq!(digest(&base, "test"), digest(&same, "test"));
    assert_eq!(digest(&base, "test").len(), 64);
    for change in ["env = { A = \"1\" }", "limits = { memory = \"1GiB\" }", "flaky_net = true"] {
        let text = base.replace("recipe = \"test\"\n", &format!("recipe = \"test\"\n{change}\n"));
        assert_ne!(digest(&text, "test"), digest(&base, "test"), "{change}");
    }
    for change in ["timeout = \"1m\"", "env = { A = \"1\" }", "dir = \"sub\""] {
        let text = format!("{base}{change}\n");
        assert_ne!(digest(&text, "test"), digest(&base, "test"), "{change}");
    }
    assert_ne!(load(&base).digest(), load(&same).digest());
}

#[test]
fn plans_of_two_configurations_are_compared() {
    let base = format!("{SITE}{TEST}[builder.old]\nrecipe = \"test\"\n[builder.off]\nrecipe = \"test\"\n");
    let new = format!(
        "{SITE}{TEST}env = {{ A = \"1\" }}\n[builder.off]\nrecipe = \"test\"\nrepos = \"lib\"\n[builder.new]\nrecipe = \"test\"\n"
    );
    let asked = asked("site", Some("main"), &[]);
    let changes = diff_cells(&load(&base), &load(&new), &asked);
    let shown: Vec<_> = changes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"));
    assert!(diff_cells(&load(&base), &load(&base), &asked).is_empty());
    let gone = diff_cells(&load(&base), &load(""), &Asked { repos: Vec::new(), ..asked });
    assert!(gone.iter().any(|change| change.to_string() == "- site main off: the repository is gone"));
}

fn asked(repo: &str, branch: Option<&str>, toolchain: &[&str]) -> Asked {
    let toolchain_branches = toolchain.iter().map(ToString::to_string).collect();
    let repos = vec![(name(repo), branch.map(Into::into))];
    Asked { repos, branch: None, toolchain_branches, class: Class::PostSubmit }
}

/// What a plan without a server can know: what is given, and what the files name.
#[test]
fn a_plan_pairs_the_branches_that_are_named() {
    let repos = "[repo.tc]\nurl = \"u\"\nbranches = [\"master\", \"release-branch.*\"]\n\
        [repo.subr]\nurl = \"u\"\nbranches = [\"main\", \"dev-*\"]\nneeds = [\"tc\"]\n\
        pairs = [{ branch = \"main\", with = [\"master\", \"release-branch.*\"], newest = 1 }, { branch = \"dev-1\", with = \"release-*\" }]\n\
        [builder.b]\nrecipe = \"r\"\ntoolchain_branches = \"!release-branch.1\"\n[recipe.r]\nrun = \"true\"\n";
    let config = load(repos);
    let show = |branch, toolchain: &[&str]| {
        let cells = cells(&config, &asked("subr", branch, toolchain));
        let one = |cell: &buildenv::Cell| {
            let left = cell.plan.left_out.iter().map(|l| format!("no {}: {}", l.builder.name, l.reason));
            let builds = cell.plan.builds.iter().map(|p| p.builder.name.to_string());
            let against = cell.toolchain_branch.as_deref().unwrap_or("-");
            let what: Vec<_> =
                builds.chain(left).chain(cell.notes.iter().map(|n| format!("({n})"))).collect();
            format!("{} {against}: {}", cell.branch, what.join("; "))
        };
        cells.iter().map(one).collect::<Vec<_>>().join("\n")
    };
    let all = [
        show(None, &[]),
        show(Some("main"), &["master", "release-branch.1", "release-branch.2", "dev"]),
        show(Some("main"), &["release-branch.1"]),
        show(Some("main"), &["dev"]),
        show(Some("dev-1"), &[]),
        show(Some("dev-2"), &[]),
        show(Some("zzz"), &[]),
    ];
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn values_keep_their_order_and_limits_the_lower_one() {
    let config = load(&format!(
        "{SITE}{TEST}\n[builder.x]\nrecipe = \"test\"\nenv = {{ Z = \"1\", A = \"2\", M = \"3\" }}\nlimits = {{ memory = \"1GiB\", cpu = 1.5 }}\n"
    ));
    let builder = config.builder(&name("site"), &name("x")).unwrap();
    let keys: Vec<_> = builder.env.iter().map(|(k, _)| k.as_str()).collect();
    assert_eq!(keys, ["Z", "A", "M"]);
    let host = buildenv::Limits { memory: Some(5), processes: Some(3), ..Default::default() };
    let both = host.and(builder.limits);
    assert_eq!((both.memory, both.processes, both.cpu), (Some(5), Some(3), Some(1.5)));
}

#[test]
fn a_thousand_builders_are_no_trouble() {
    let list = |n| (0..n).map(|i| format!("\"{i}\"")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "{SITE}[recipe.t]\nrun = \"x\"\n[matrix.m]\nname = \"b-{{x}}-{{y}}\"\nrecipe = \"t\"\naxes = {{ x = [{}], y = [{}] }}\n",
        list(40),
        list(25)
    );
    let config = load(&text);
    assert_eq!(plan(&config, &name("site"), "main", None, Class::PostSubmit).builds.len(), 1000);
    let problems = try_load(&text.replace("axes = {", "axes = { z = [\"1\", \"2\"], w = [\"1\", \"2\"], v = [\"1\", \"2\"], u = [\"1\", \"2\"], t = [\"1\", \"2\"], s = [\"1\", \"2\"], r = [\"1\", \"2\"],")).unwrap_err();
    assert_eq!(problems.0[0].message, "the matrix makes over 100000 builders");
}

#[test]
fn a_key_without_effect_is_said_once_where_it_is_written() {
    let config = load(
        "[template.t]\nhidden = true\n[builder.a]\ntemplate = \"t\"\nrecipe = \"r\"\n[builder.b]\ntemplate = \"t\"\nrecipe = \"r\"\n\
         bench = false\n[matrix.m]\nname = \"m-{x}\"\naxes = { x = [\"1\", \"2\"] }\nrecipe = \"r\"\nprivate_proxy = true\n\
         [recipe.r]\nrun = \"true\"\nresults = \"exit-status\"\n[recipe.s]\nrun = \"true\"\nresults = \"tap\"\n",
    );
    let said: Vec<_> = config
        .warnings()
        .iter()
        .map(|w| format!("{}:{} {}: {}", w.line, w.column, w.key, w.message))
        .collect();
    assert_eq!(
        said,
        [
            "2:1 template.t.hidden: has no effect yet: the overview pages are no part of this version",
            "14:1 matrix.m.private_proxy: has no effect yet: this version has no module proxy",
        ]
    );
    let explained = explain(&config, "builder.b").unwrap();
    let line = explained.lines().find(|line| line.contains("hidden") && line.contains("= true")).unwrap();
    assert!(
        line.ends_with("(template t); has no effect yet: the overview pages are no part of this version"),
        "{line}"
    );
    assert_eq!(explained.matches("no effect").count(), 1, "{explained}");
}

#[test]
fn what_is_compiled_only_keeps_what_does_not_test() {
    let recipe = |text: &str| {
        let config = load(&format!("[recipe.r]\n{text}\n"));
        let compiled = config.recipes()[0].main.compiled();
        compiled.map(|job| job.steps.into_iter().map(|step| step.run).collect::<Vec<_>>())
    };
    let dist =
        "build = \"./make.bash\"\nlist = \"go tool dist test --list\"\nrun = \"go tool dist test {tests}\"";
    assert_eq!(recipe(dist).unwrap(), ["./make.bash"]);
    assert_eq!(
        recipe(&format!("{dist}\nresults = \"dist\"")).unwrap(),
        [
            "./make.bash",
            "go tool dist test --compile-only --list",
            "go tool dist test --compile-only {tests}"
        ]
    );
    let go = recipe("run = \"go test ./...\"\nresults = \"go-json\"").unwrap();
    assert_eq!(go, ["export GOFLAGS=\"$GOFLAGS -exec=/bin/true\"\ngo test ./..."]);
    assert_eq!(recipe("run = \"make test\""), None);
    assert_eq!(recipe("step = [{ run = \"make\" }, { run = \"make test\" }]"), None);
}

#[test]
fn quotas_are_read_and_a_width_above_a_limit_is_warned_of() {
    let text = r#"
        [quotas]
        repo = 40
        own = [{ repo = "app", max = 200 }, { user = "gopher@example.org", max = 0 }]
        [limit.licence]
        max = 3
        [host.h]
        pool = "local"
        [recipe.r]
        run = "true"
        [repo.app]
        url = "https://example.org/app"
        [builder.b]
        host = "h"
        recipe = "r"
        limit = "licence"
        width = 4
        [builder.c]
        host = "h"
        recipe = "r"
        max_at_once = 4
        width = 4
    "#;
    let config = load(text);
    let quotas = config.quotas();
    assert_eq!((quotas.repo, quotas.user), (Some(40), None));
    assert_eq!(quotas.repos, [("app".to_owned(), Some(200))]);
    assert_eq!(quotas.users, [("gopher@example.org".to_owned(), None)]);
    let warnings: Vec<_> = config.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("wider than limit licence, which has 3"), "{}", warnings[0]);
    assert_eq!(config.builders().iter().map(|builder| builder.width).collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn quotas_of_nobody_of_two_and_twice_are_refused() {
    let head = "[repo.app]\nurl = \"https://example.org/app\"\n[quotas]\n";
    for (own, why) in [
        ("own = [{ max = 2 }]", "whose quota"),
        ("own = [{ repo = \"app\", user = \"a\", max = 2 }]", "whose quota"),
        ("own = [{ repo = \"apps\", max = 2 }]", "no repo apps"),
        ("own = [{ repo = \"app\", max = 2 }, { repo = \"app\", max = 3 }]", "a quota already"),
    ] {
        let problems = try_load(&format!("{head}{own}\n")).unwrap_err().to_string();
        assert!(problems.contains(why), "{own}: {problems}");
    }
}
