//! Bad configuration: file, line and column, and the nearest name; the commands of `config`, and `init`.

use testkit::{File, GitRepo};

use super::world::{LONG, World, project};

#[test]
fn a_bad_project_file_blocks_its_repo_with_the_place_of_the_mistake() {
    let world = World::new();
    let texts = [
        ("unknown", project("true").replace("timeout =", "timeuot ="), "timeout"),
        ("twice", format!("{0}\n{0}", project("true")), "t"),
        ("norecipe", project("true").replace("recipe = \"t\"", "recipe = \"tt\""), "did you mean: t"),
    ];
    for (name, text, _) in &texts {
        let mut repo = GitRepo::create(&world.path().join(name)).unwrap();
        repo.commit("bad", &[("bellwether.toml", File::Text(text))]).unwrap();
    }
    let said = world.once(&["--json", "unknown", "twice", "norecipe"]);
    said.must(1, &[]);
    let report = said.json();
    for (name, _, near) in &texts {
        let cells = report["cells"].as_array().unwrap();
        let cell = cells.iter().find(|cell| cell["repo"] == *name).unwrap();
        assert_eq!(cell["outcome"], "blocked", "{cell:#}");
        let detail = cell["cause"]["detail"].as_str().unwrap();
        let place =
            detail.split(&format!("{name}:bellwether.toml:")).nth(1).unwrap_or_else(|| panic!("{detail}"));
        let mut numbers = place.split(':');
        for _ in 0..2 {
            assert!(numbers.next().unwrap().parse::<u32>().is_ok_and(|n| n > 0), "{detail}");
        }
        assert!(detail.contains(near), "{detail}");
    }
    assert_eq!(report["built"], 0);
}

/// The mirror tells of a commit before its file was read: it must wait for that.
#[test]
fn each_commit_is_built_by_its_own_recipe_while_the_server_runs() {
    let world = World::new();
    let mut repo = world.repo("moving", "echo recipe 0");
    let server = world.serve(&["moving"]);
    let built = |subject: &str| {
        let newest = world.wait_build(&server, "moving", subject, |build| {
            build["outcome"] == "ok" && build["revision"] == format!("moving@{}", repo_head(&world))
        });
        world.ask(&server, "log", &[newest["id"].as_str().unwrap()]).out
    };
    assert_eq!(built("the first build"), "recipe 0\n");
    for n in 1..=4 {
        repo.commit("next", &[("bellwether.toml", File::Text(&project(&format!("echo recipe {n}"))))])
            .unwrap();
        assert_eq!(built("the next build"), format!("recipe {n}\n"));
    }
    // A bad file blocks what comes with it, and the page says so.
    repo.commit("bad", &[("bellwether.toml", File::Text("[builder.t]\nrecipe = \"none\"\n"))]).unwrap();
    let blocked = testkit::wait_for("the blocked page", LONG, || {
        let page = server.request("GET", "/grid.json?repo=moving", None, None)?.json()?;
        let head = page["rows"][0]["commit"]["hash"].clone();
        Ok((page["blocked"].is_string() && head == repo_head(&world)).then_some(page))
    })
    .unwrap();
    assert!(blocked["blocked"].as_str().unwrap().contains("moving:bellwether.toml:2:"), "{blocked:#}");
    assert_eq!(blocked["rows"][0]["cells"], serde_json::json!([]), "{blocked:#}");
}

fn repo_head(world: &World) -> String {
    let git = ["-C", world.path().join("moving").to_str().unwrap(), "rev-parse", "HEAD"].map(str::to_owned);
    let out = std::process::Command::new("git").args(git).output().unwrap();
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

#[test]
fn a_cycle_in_needs_ends_up_before_anything_starts() {
    let world = World::new();
    let file = "[repo.a]\nurl = \"/a\"\nneeds = [\"b\"]\n\n[repo.b]\nurl = \"/b\"\nneeds = [\"a\"]\n";
    std::fs::write(world.path().join("server.toml"), file).unwrap();
    world.once(&["--config", "server.toml"]).must(2, &["server.toml:3:", "a", "b"]);
    world.run(&["config", "check", "--config", "server.toml"]).must(1, &["server.toml:3:"]);
    world.once(&["--config", "missing.toml"]).must(2, &["missing.toml", "No such file"]);
}

#[test]
fn config_is_checked_explained_planned_and_compared() {
    let world = World::new();
    world.run(&["config", "check"]).must(2, &["there is no bellwether.toml here", "--config"]);
    std::fs::write(world.path().join("bellwether.toml"), project("true")).unwrap();
    world.run(&["config", "check"]).must(0, &["ok:", "1 builder\n"]);
    let checked = world.run(&["config", "check", "--json"]);
    checked.must(0, &[]);
    assert_eq!((checked.json()["ok"].as_bool(), checked.json()["builders"].as_u64()), (Some(true), Some(1)));
    assert!(checked.json()["warnings"].is_array());
    world.run(&["config", "explain", "recipe.t"]).must(0, &["timeout", "bellwether.toml:"]);
    world.run(&["config", "explain", "builder.tt"]).must(2, &["builder.tt is not configured"]);
    world.run(&["config", "plan"]).must(0, &["build", "recipe t"]);
    let plan = world.run(&["config", "plan", "--json"]);
    plan.must(0, &[]);
    assert_eq!(plan.json()[0]["builds"][0]["recipe"], "t");

    let server = |run: &str| format!("[repo.r]\nurl = \"/r\"\n\n{}", project(run));
    std::fs::write(world.path().join("old.toml"), server("true")).unwrap();
    std::fs::write(
        world.path().join("new.toml"),
        server("false") + "\n[builder.u]\nhost = \"local\"\nrecipe = \"t\"\n",
    )
    .unwrap();
    let said = world.run(&["config", "plan", "--diff", "old.toml", "new.toml"]);
    said.must(0, &["~ r main t", "+ r main u", "+ builder u", "~ recipe.t.run: \"true\\n\" -> \"false\\n\""]);
    let said = world.run(&["config", "plan", "--json", "--diff", "old.toml", "new.toml"]);
    said.must(0, &[]);
    assert_eq!(
        (said.json()["lines"][0].as_str(), said.json()["changes"][0]["builder"].as_str()),
        (Some("+ builder u"), Some("t"))
    );
    let back = world.run(&["config", "plan", "--diff", "new.toml", "old.toml"]);
    back.must(0, &["- r main u: the builder is gone"]);

    // What each of the two includes is looked for beside it.
    for (folder, run) in [("one", "true"), ("two", "false")] {
        let folder = world.path().join(folder);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("server.toml"), "include = [\"rest.toml\"]\n").unwrap();
        std::fs::write(folder.join("rest.toml"), server(run)).unwrap();
    }
    let said = world.run(&["config", "plan", "--diff", "one/server.toml", "two/server.toml"]);
    said.must(0, &["~ r main t"]);
}

#[test]
fn a_plan_names_branches_pairs_and_who_is_left_out() {
    let world = World::new();
    let server = |more: &str| {
        format!(
            "[repo.tc]\nurl = \"/tc\"\nbranches = [\"main\", \"rel-1\"]\n[repo.subr]\nurl = \"/s\"\nbranches = [\"main\", \"dev\"]\n\
             needs = [\"tc\"]\npairs = [{{ with = [\"main\", \"rel-1\"] }}]\n[host.local]\n[builder.t]\nrecipe = \"t\"\n{more}\
             [recipe.t]\nrun = \"true\"\n"
        )
    };
    std::fs::write(world.path().join("server.toml"), server("")).unwrap();
    std::fs::write(world.path().join("less.toml"), server("repos = \"tc\"\n")).unwrap();
    let plan = |more: &[&str]| world.run(&[&["config", "plan", "--config", "server.toml"], more].concat());
    // The four cells of the repository that needs the other, and two of that.
    let all = plan(&["--json"]);
    let cells = all.json();
    let cells: Vec<_> = cells
        .as_array()
        .unwrap()
        .iter()
        .map(|c| format!("{} {} {}", c["repo"], c["branch"], c["toolchain_branch"]))
        .collect();
    let subr =
        ["main", "dev"].map(|b| ["main", "rel-1"].map(|t| format!("\"subr\" \"{b}\" \"{t}\""))).concat();
    let tc = ["main", "rel-1"].map(|b| format!("\"tc\" \"{b}\" null"));
    assert_eq!(cells, [subr, tc.to_vec()].concat());
    plan(&["subr@main"])
        .must(0, &["subr main with toolchain main", "subr main with toolchain rel-1", "build t"]);
    let one = plan(&["subr@dev", "--toolchain-branch", "rel-1"]);
    one.must(0, &["subr dev with toolchain rel-1"]);
    assert_eq!(one.out.matches("with toolchain").count(), 1, "{}", one.out);
    let zzz = plan(&["subr", "--branch", "zzz"]);
    zzz.must(0, &["not   t", "branches of repo subr does not match zzz (server.toml:6)"]);
    assert!(!zzz.out.contains("build t"), "{}", zzz.out);
    plan(&["nosuch@main"]).must(2, &["repo nosuch is not configured; there are subr, tc"]);
    let less = world.run(&["config", "plan", "--diff", "server.toml", "less.toml"]);
    less.must(0, &["- subr dev t with toolchain rel-1: repos does not name subr (less.toml:"]);
    assert_eq!(less.out.lines().count(), 5, "{}", less.out);
    assert!(less.out.starts_with("~ builder.t.repos: "), "{}", less.out);
    let kept = format!("{}\n[retention]\nlogs = \"1d\"\n", server(""));
    std::fs::write(world.path().join("kept.toml"), kept).unwrap();
    let kept = world.run(&["config", "plan", "--diff", "server.toml", "kept.toml"]);
    kept.must(0, &["retention"]);
    world.run(&["config", "plan", "--diff", "less.toml", "less.toml"]).must(0, &["nothing that is planned"]);
}

#[test]
fn init_writes_what_it_found_and_overwrites_only_by_force() {
    let world = World::new();
    world.run(&["init"]).must(2, &["tells how to build it", "by hand"]);
    std::fs::write(world.path().join("Makefile"), "all:\n\techo x\n").unwrap();
    let printed = world.run(&["init", "--print"]);
    printed.must(0, &["[builder."]);
    assert!(!world.path().join("bellwether.toml").exists());
    world.run(&["init"]).must(0, &["Makefile", "wrote"]);
    let written = std::fs::read_to_string(world.path().join("bellwether.toml")).unwrap();
    assert_eq!(written, printed.out);
    world.run(&["config", "check"]).must(0, &["ok:"]);
    world.run(&["init"]).must(2, &["is there already", "--force", "--print"]);
    world.run(&["init", "--force"]).must(0, &["wrote"]);
    world.run(&["init", "elsewhere"]).must(2, &["elsewhere"]);
}

#[test]
fn problems_explanations_and_what_init_finds_are_data_with_json() {
    let world = World::new();
    let file = "[secret.deploy]\nenv = \"DEPLOY\"\nbuilders = [\"b\"]\n[host.h]\n[builder.b]\nhost = \"h\"\nrecipe = \"r\"\nhidden = true\n\
        [recipe.r]\nrun = \"true\"\n";
    std::fs::write(world.path().join("good.toml"), file).unwrap();
    let bad = file.replace("recipe = \"r\"", "recipe = \"rr\"\nhots = 1");
    std::fs::write(world.path().join("bad.toml"), bad).unwrap();
    std::fs::write(
        world.path().join("twice.toml"),
        format!("{file}[builder.b]\nhost = \"h\"\nrecipe = \"r\"\n"),
    )
    .unwrap();
    let said = world.run(&["config", "check", "--json", "--config", "bad.toml"]);
    said.must(1, &[]);
    let problems = said.json()["problems"].clone();
    let first = &problems[0];
    assert_eq!(
        (first["file"].as_str(), first["line"].as_u64(), first["column"].as_u64()),
        (Some("bad.toml"), Some(7), Some(10))
    );
    assert_eq!((first["key"].as_str(), first["nearest"].as_str()), (Some("builder.b.recipe"), Some("r")));
    assert_eq!(
        (problems[1]["nearest"].as_str(), problems.as_array().unwrap().len()),
        (Some("host"), 2),
        "{problems:#}"
    );
    let warnings =
        world.run(&["config", "check", "--json", "--config", "good.toml"]).json()["warnings"].clone();
    assert_eq!(
        (warnings[0]["key"].as_str(), warnings[0]["line"].as_u64()),
        (Some("builder.b.hidden"), Some(8))
    );
    let twice = world.run(&["config", "check", "--config", "twice.toml"]);
    twice.must(1, &["twice.toml:11:10: builder.b is defined twice", "the other one is at twice.toml:5"]);
    assert_eq!(twice.err.matches("twice.toml:").count(), 2, "{}", twice.err);

    // A project's file is of the one repo that there is; of several it is said which.
    std::fs::write(world.path().join("project.toml"), project("true")).unwrap();
    let check = |repos: &[&str]| {
        let text: String = repos.iter().map(|repo| format!("[repo.{repo}]\nurl = \"../{repo}\"\n")).collect();
        std::fs::write(world.path().join("repos.toml"), text).unwrap();
        world.run(&["config", "check", "--config", "repos.toml", "project.toml"])
    };
    check(&["app"]).must(0, &["1 repo,"]);
    check(&["app", "lib"])
        .must(2, &["project.toml: of which repo is it? write app=project.toml", "app, lib"]);

    let explain = |what: &str| world.run(&["config", "explain", what, "--json", "--config", "good.toml"]);
    let builder = explain("b").json();
    let keys = builder[0]["keys"].as_array().unwrap();
    let hidden = keys.iter().find(|key| key["key"] == "hidden").unwrap();
    assert_eq!(
        (hidden["value"].as_str(), hidden["at"]["line"].as_u64()),
        (Some("true"), Some(8)),
        "{hidden:#}"
    );
    assert_eq!(explain("secret.deploy").json()[0]["name"], "secret.deploy");
    explain("secret.x").must(2, &["secret.x is not configured; of kind secret there are deploy"]);
    explain("builders.b").must(2, &["there are builders b; other kinds are environment"]);

    std::fs::write(world.path().join("Makefile"), "all:\n\techo x\n").unwrap();
    let printed = world.run(&["init", "--print", "--json"]).json();
    assert_eq!(
        (printed["written"].as_bool(), printed["found"][0]["manifest"].as_str()),
        (Some(false), Some("Makefile"))
    );
    let written = world.run(&["init", "--json"]).json();
    assert_eq!(written["text"], std::fs::read_to_string(world.path().join("bellwether.toml")).unwrap());
}

#[test]
fn a_builder_whose_secret_is_missing_is_blocked_and_no_other() {
    let world = World::new();
    let text = format!(
        "{}\n[builder.deploy]\nhost = \"local\"\nrecipe = \"t\"\n[builder.sign]\nhost = \"local\"\nrecipe = \"t\"\n",
        project("true")
    );
    let mut repo = GitRepo::create(&world.path().join("r")).unwrap();
    repo.commit("first", &[("bellwether.toml", File::Text(&text))]).unwrap();
    let file = format!(
        "[repo.r]\nurl = \"{}\"\n[host.local]\nenv_pass = [\"PATH\"]\n[secret.deploy]\nenv = \"NO_SUCH_TOKEN\"\nbuilders = [\"r:deploy\"]\n\
         [secret.key]\nfile = \"no/such/key\"\nbuilders = [\"r:sign\"]\n",
        world.path().join("r").display()
    );
    std::fs::write(world.path().join("server.toml"), file).unwrap();
    let said = world.once(&["--json", "--config", "server.toml"]);
    said.must(1, &[]);
    let report = said.json();
    let cell = |builder: &str| {
        let cells = report["cells"].as_array().unwrap();
        cells.iter().find(|cell| cell["builder"] == builder).unwrap_or_else(|| panic!("{report:#}")).clone()
    };
    assert_eq!(cell("t")["outcome"], "ok");
    assert_eq!(cell("deploy")["outcome"], "blocked");
    assert_eq!(
        cell("deploy")["cause"]["detail"],
        "blocked(secret deploy: variable NO_SUCH_TOKEN is not set)"
    );
    let sign = cell("sign")["cause"]["detail"].as_str().unwrap().to_owned();
    assert!(sign.starts_with("blocked(secret key: file no/such/key can't be read: "), "{sign}");
}

#[test]
fn what_is_wrong_with_a_project_file_is_said_once() {
    let world = World::new();
    let mut repo = GitRepo::create(&world.path().join("r")).unwrap();
    let bad = project("true").replace("timeout =", "timeuot =");
    repo.commit("bad", &[("bellwether.toml", File::Text(&bad))]).unwrap();
    let said = world.once(&["r"]);
    said.must(1, &["unknown key \"timeuot\""]);
    assert_eq!(said.err.matches("unknown key \"timeuot\"").count(), 1, "{}", said.err);
}
