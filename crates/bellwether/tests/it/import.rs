//! `bellwether import`, from files to a build.

use testkit::{File, GitRepo};

use crate::input::World;

const WORKFLOW: &str = "\
on:
  push: { branches: [main] }
jobs:
  test:
    runs-on: ubuntu-latest
    strategy: { matrix: { word: [one, two] } }
    steps:
      - uses: actions/checkout@v4
      - name: say
        run: |
          echo \"the word is ${{ matrix.word }}\"
          test \"$(git rev-parse HEAD 2>/dev/null || echo \"$GITHUB_SHA\")\" = \"$GITHUB_SHA\"
          test \"$PWD\" = \"$GITHUB_WORKSPACE\"
      - run: |
          a=(b c)
          [[ ${a[1]} == c ]]
      - if: matrix.word == 'two'
        run: echo only two > out.txt
      - if: always()
        uses: actions/upload-artifact@v4
        with: { path: out.txt }
";

#[test]
fn a_workflow_is_imported_checked_and_built() {
    let world = World::new();
    let mut repo = GitRepo::create(&world.path().join("app")).unwrap();
    repo.commit("first", &[(".github/workflows/ci.yml", File::Text(WORKFLOW))]).unwrap();
    let file = "app/bellwether.toml";
    let said = world.run(&["import", "app", "--output", file]);
    said.must(0, &["github: 2 builders;", "wrote app/bellwether.toml", "config check app/bellwether.toml"]);
    world.run(&["config", "check", file]).must(0, &["2 builders"]);
    world.run(&["import", "app", "--output", file]).must(2, &["is there already", "--force"]);
    let text = std::fs::read_to_string(world.path().join(file)).unwrap();
    repo.commit("imported", &[("bellwether.toml", File::Text(&text))]).unwrap();
    world.once(&["app"]).must(0, &["2 cells: 2 ok, 0 not ok"]);
}

#[test]
fn what_could_not_be_is_told_with_its_place_and_what_to_do() {
    let world = World::new();
    let text = WORKFLOW.replace("ubuntu-latest", "windows-latest").replace("[main]", "[main], tags: [v1]")
        + "      - run: deploy ${{ secrets.KEY }}\n";
    std::fs::write(world.path().join("ci.yml"), text).unwrap();
    let said = world.run(&["import", "ci.yml", "--output", "b.toml", "--server", "s.toml"]);
    said.must(
        0,
        &[
            "ci.yml:2:29: could not: on.push.tags",
            "→ name the branch",
            "config check --config s.toml this=b.toml",
        ],
    );
    world.run(&["config", "check", "--config", "s.toml", "this=b.toml"]).must(0, &["2 builders"]);
    let server = std::fs::read_to_string(world.path().join("s.toml")).unwrap();
    assert!(server.contains("[secret.key]") && server.contains("os = \"windows\""), "{server}");

    let said = world.run(&["import", "ci.yml", "--json"]);
    said.must(0, &[]);
    let json = said.json();
    assert_eq!((json["from"].as_str(), json["builders"].as_u64()), (Some("github"), Some(2)));
    assert!(json["open"].as_u64() > Some(0) && json["problems"] == serde_json::json!([]), "{json:#}");
    let found = json["findings"].as_array().unwrap();
    assert!(
        found.iter().any(|one| one["key"] == "on.push.tags" && one["line"] == 2 && one["remedy"].is_string())
    );
    // Without --server, the draft stands at the end in comments.
    world.run(&["import", "ci.yml"]).must(0, &["[matrix.test]", "# [secret.key]"]);
}

#[test]
fn a_master_cfg_is_parsed_by_python_and_not_run() {
    let world = World::new();
    let text = "open('ran', 'w')\nc = {}\nf = util.BuildFactory()\nf.addStep(steps.ShellCommand(command=['echo', 'it works']))\nc['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=f)]\nc['schedulers'] = [schedulers.AnyBranchScheduler(name='a', builderNames=['b'])]\n";
    std::fs::write(world.path().join("master.cfg"), text).unwrap();
    let said = world.run(&["import", ".", "--output", "bellwether.toml", "--all"]);
    said.must(0, &["master.cfg:1:1: could not", "which is not run", "carried over: ShellCommand"]);
    world.run(&["config", "check"]).must(0, &["1 builder"]);
    assert!(!world.path().join("ran").exists());
    std::fs::write(world.path().join("master.cfg"), "c = {\n").unwrap();
    world.run(&["import", "."]).must(2, &["master.cfg:1:", "no Python"]);
    let said = world.run_with(&["import", "."], &[("PATH", "/nowhere")]);
    said.must(2, &["python3", "install it"]);
}

#[test]
fn files_that_are_not_there_or_of_several_systems_are_asked_about() {
    let world = World::new();
    world.run(&["import", "."]).must(2, &["nothing to import", ".gitlab-ci.yml"]);
    world.run(&["import", "none.yml"]).must(2, &["none.yml"]);
    std::fs::write(world.path().join(".gitlab-ci.yml"), "t:\n  script: make\n").unwrap();
    std::fs::write(world.path().join("x.yml"), "a: 1\n").unwrap();
    world.run(&["import", "x.yml"]).must(2, &["give --from: github, gitlab"]);
    world.run(&["import", "x.yml", "--from", "github"]).must(2, &["x.yml: no `jobs`"]);
    world.run(&["import", "x.yml", "--from", "jenkins"]).must(2, &["is none of github"]);
    std::fs::write(world.path().join("master.cfg"), "").unwrap();
    world.run(&["import", "."]).must(2, &["several systems", "gitlab, buildbot"]);
    world.run(&["import", ".gitlab-ci.yml"]).must(0, &["[builder.t]", "run = 'make'"]);
    // Nothing to build is no success.
    let reused = "on: push\njobs:\n  t:\n    uses: ./.github/workflows/other.yml\n";
    std::fs::write(world.path().join("x.yml"), reused).unwrap();
    world
        .run(&["import", "x.yml"])
        .must(1, &["0 builders", "a workflow of another file", "import that file too"]);
    std::fs::write(world.path().join("x.yml"), b"\xff").unwrap();
    world.run(&["import", "x.yml", "--from", "github"]).must(2, &["no UTF-8"]);
}
