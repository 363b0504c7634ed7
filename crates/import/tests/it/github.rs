//! GitHub Actions.

use import::{Options, SourceFile, System, Verdict, translate};

use super::{has, says, translated, unknown};

const CI: &str = r#"name: CI
on:
  push:
    branches: [main, "release/**"]
    tags: ["v*"]
  pull_request:
    paths: ["src/**"]
  schedule:
    - cron: "0 0 * * *"
  workflow_dispatch:
permissions:
  contents: read
env:
  RUST_BACKTRACE: 1
  CACHE: ${{ github.workspace }}/cache
defaults:
  run:
    working-directory: ./backend
jobs:
  test:
    name: Test on ${{ matrix.os }}
    strategy:
      fail-fast: false
      max-parallel: 2
      matrix:
        os: [ubuntu-latest, windows-latest]
        go: ["1.21", 1.20]
        exclude:
          - os: windows-latest
            go: 1.20
        include:
          - os: ubuntu-latest
            race: "-race"
          - os: macos-13
            go: "1.22"
    runs-on: ${{ matrix.os }}
    timeout-minutes: 30
    services:
      db: { image: "postgres:15" }
    steps:
      - uses: actions/checkout@v4
        with: { fetch-depth: 0 }
      - uses: actions/setup-go@v5
        with: { go-version: "${{ matrix.go }}", cache: true }
      - uses: actions/cache@v4
        with: { path: ~/.cache, key: "${{ hashFiles('**/go.sum') }}" }
      - name: Build & test
        run: |
          go build ./...
          go test ${{ matrix.race }} -run '${{ matrix.go }}' ./...
          echo $GITHUB_SHA $GITHUB_REF >> "$GITHUB_OUTPUT"
        env:
          CC: clang
      - if: runner.os == 'Linux' && matrix.go == '1.21'
        run: make lint
        timeout-minutes: 5
        continue-on-error: true
      - if: always()
        uses: actions/upload-artifact@v4
        with:
          name: logs
          path: |
            backend/*.log
            dist/
            ~/outside
      - run: print("x")
        shell: python
      - if: steps.build.outputs.changed == 'true'
        run: make deploy
  publish:
    needs: [test]
    if: github.ref == 'refs/heads/main'
    runs-on: [self-hosted, linux, gpu]
    environment: prod
    steps:
      - run: ./publish --token "$TOKEN" ${{ secrets.NPM-KEY }}
        env: { TOKEN: "${{ secrets.DEPLOY_TOKEN }}" }
        working-directory: .
      - run: echo ${{ github.token }}
      - uses: example/unknown@v1
        with: { level: high }
  reused:
    uses: ./.github/workflows/other.yml
    secrets: inherit
"#;

#[test]
fn a_workflow_with_everything() {
    let imported = translated(System::GitHub, "ci.yml", CI);
    assert!(unknown(&imported).is_empty(), "{:#?}", unknown(&imported));
    has(
        &imported,
        &[
            "branches = [\"main\", \"release/*\"]",
            "# ci.yml:20",
            "[matrix.test]",
            "name = \"test-{os}-{go}\"",
            "axes = { os = [\"ubuntu-latest\", \"windows-latest\"], go = [\"1.21\", \"1.20\"] }",
            "exclude = [{ os = \"windows-latest\", go = \"1.20\" }]",
            "try = true",
            "MATRIX_OS = \"{os}\", MATRIX_GO = \"{go}\"",
            "when = { os = \"ubuntu-latest\" }\nenv = { MATRIX_RACE = \"-race\" }",
            "when = { os = \"windows-latest\" }\nneeds = { os = \"windows\", arch = \"amd64\" }\nenv = { RUNNER_OS = \"Windows\" }",
            "timeout = \"30m\"",
            "artifacts = [\"backend/*.log\", \"dist/**\"]",
            "RUST_BACKTRACE = \"1\"",
            "# The machine has to have Go (go-version ${{ matrix.go }}).",
            "name = \"build-test\"",
            "export GITHUB_SHA=",
            "go test ${MATRIX_RACE} -run ''\"${MATRIX_GO}\"'' ./...",
            "dir = \"backend\"",
            "env = { CC = \"clang\" }",
            "{ [ \"${RUNNER_OS:-}\" = Linux ] && [ \"${MATRIX_GO:-}\" = 1.21 ]; } || exit 0",
            "make lint",
            "timeout = \"5m\"",
            "python3 -c",
            "# if: steps.build.outputs.changed == 'true'",
            "# make deploy",
            "[builder.\"test-macos-13-1.22\"]",
            "needs = { os = \"darwin\", arch = \"amd64\" }",
            "[builder.publish]",
            "needs = { os = \"linux\", gpu = \"yes\" }",
            "branches = [\"main\"]",
            "export TOKEN=\"${DEPLOY_TOKEN:-}\"",
            "${NPM_KEY}",
            "# uses: example/unknown@v1",
        ],
    );
    assert!(!imported.project.contains("try = true\n\n[recipe.publish]"));
    for words in
        ["[host.darwin-amd64]", "[secret.npm_key]", "as = \"DEPLOY_TOKEN\"", "builders = [\"this:publish\"]"]
    {
        assert!(imported.server.contains(words), "{words}\n{}", imported.server);
    }
    let open = [
        (5, "tags are not built"),
        (7, "whatever files"),
        (8, "by the clock"),
        (24, "[limit.test]"),
        (38, "services"),
        (42, "history"),
        (43, "Go"),
        (48, "$GITHUB_OUTPUT"),
        (48, "$GITHUB_REF"),
        (62, "~/outside"),
        (68, "steps.build"),
        (71, "builders do not wait"),
        (74, "environments"),
        (79, "github.token"),
        (80, "example/unknown"),
        (81, "goes with the action"),
        (83, "another file"),
        (82, "no step that could be carried over"),
    ];
    for (line, words) in open {
        says(&imported, Verdict::Open, line, words);
    }
    says(&imported, Verdict::Meaningless, 11, "permissions");
    says(&imported, Verdict::Meaningless, 45, "cache");
    says(&imported, Verdict::Carried, 27, "1.20");
}

#[test]
fn several_workflows_become_one_file_with_names_of_their_own() {
    let one = "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps: [{run: make}]\n";
    let file = |name: &str| SourceFile { name: name.into(), text: one.into() };
    let imported = translate(&[file("a.yml"), file("b.yml")], System::GitHub, &Options::default()).unwrap();
    super::sound(&imported);
    has(
        &imported,
        &[
            "branches = [\"*\"]",
            "# a.yml:3",
            "[builder.test]",
            "# b.yml:3",
            "[builder.test-2]",
            "[recipe.test-2]",
        ],
    );
    assert_eq!(imported.builders, 2);
}

#[test]
fn values_of_a_matrix_that_are_no_names_are_set_one_by_one() {
    let text = "on: push\njobs:\n  t:\n    runs-on: ubuntu-latest\n    strategy:\n      matrix:\n        target:\n          - {name: Linux 64, triple: x86_64-unknown-linux-gnu}\n          - {name: ARM, triple: aarch64}\n        flag: [\"\", --all]\n    steps:\n      - run: cargo test --target ${{ matrix.target.triple }} ${{ matrix.flag }}\n";
    let imported = translated(System::GitHub, "ci.yml", text);
    has(
        &imported,
        &[
            "target = [\"linux-64\", \"arm\"]",
            "MATRIX_TARGET_NAME = \"Linux 64\", MATRIX_TARGET_TRIPLE = \"x86_64-unknown-linux-gnu\"",
            "MATRIX_FLAG = \"--all\"",
            "--target ${MATRIX_TARGET_TRIPLE} ${MATRIX_FLAG}",
        ],
    );
    assert_eq!(imported.builders, 4);
}

#[test]
fn a_machine_that_is_named_in_part_and_branches_of_changes() {
    let text = "on:\n  push:\n    branches: [main]\n  pull_request:\n    branches: [main, 'rel/**']\njobs:\n  t:\n    runs-on: ${{ matrix.os }}-latest\n    strategy:\n      matrix:\n        os: [ubuntu, macos]\n        include: [{os: windows}]\n    steps: [{run: make}]\n";
    let imported = translated(System::GitHub, "ci.yml", text);
    has(
        &imported,
        &[
            "try = [{ branch = [\"main\", \"rel/*\"] }]",
            "when = { os = \"ubuntu\" }\nneeds = { os = \"linux\" }",
            "when = { os = \"macos\" }\nneeds = { os = \"darwin\", arch = \"arm64\" }",
            "[builder.t-windows]",
            "needs = { os = \"windows\", arch = \"amd64\" }",
        ],
    );
}

#[test]
fn what_is_no_workflow_is_refused_with_its_place() {
    let refused = |text: &str| {
        let file = SourceFile { name: "x.yml".into(), text: text.into() };
        translate(&[file], System::GitHub, &Options::default()).unwrap_err().to_string()
    };
    assert!(refused("a: [").starts_with("x.yml:"), "{}", refused("a: ["));
    assert!(refused("stages: [a]\n").contains("no `jobs`"));
    assert!(refused(&"x".repeat(2 << 20)).contains("over 1048576 bytes"));
}

#[test]
fn keys_that_no_rule_knows_are_told() {
    let text = "on: push\nnew-key: 1\njobs:\n  t:\n    runs-on: ubuntu-latest\n    novel: [a]\n    steps:\n      - run: make\n        odd: 1\n";
    let imported = translated(System::GitHub, "ci.yml", text);
    let keys: Vec<&str> = imported
        .findings
        .iter()
        .filter(|one| one.message.contains("knows no such key"))
        .map(|one| one.key.as_str())
        .collect();
    assert_eq!(keys, ["new-key", "jobs.t.novel", "jobs.t.steps[0].odd"]);
}

#[test]
fn too_many_jobs_and_names_that_are_alike_end_soon() {
    let jobs: String = (0..2500)
        .map(|n| {
            format!("  a{}: {{runs-on: x, steps: [{{run: y}}]}}\n", "!".repeat(n % 40) + &"-".repeat(n / 40))
        })
        .collect();
    let file = SourceFile { name: "x.yml".into(), text: format!("on: push\njobs:\n{jobs}") };
    let why = translate(&[file], System::GitHub, &Options::default()).unwrap_err().to_string();
    assert!(why.contains("over 2000 jobs"), "{why}");
}

#[test]
fn an_action_that_only_calls_a_program_becomes_its_command() {
    let text = "on: push\njobs:\n  t:\n    runs-on: ubuntu-latest\n    strategy: {matrix: {rust: [stable, nightly]}}\n    steps:\n      - uses: actions-rs/cargo@v1\n        if: matrix.rust == 'stable'\n        with: {command: test, args: --all, toolchain: \"${{ matrix.rust }}\", use-cross: false}\n";
    let imported = translated(System::GitHub, "ci.yml", text);
    has(&imported, &["cargo +${MATRIX_RUST} test --all"]);
    assert!(unknown(&imported).is_empty(), "{:#?}", unknown(&imported));
}

#[test]
fn names_that_no_variable_may_have_are_told() {
    let text = "on: push\nenv: {a.b: 1, \"1x\": \"${{ github.sha }}\"}\njobs:\n  t:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ secrets.1key }}\n";
    let imported = translated(System::GitHub, "ci.yml", text);
    says(&imported, Verdict::Open, 2, "env.a.b: no name of a variable");
    says(&imported, Verdict::Open, 2, "env.1x: no name of a variable");
    has(&imported, &["${SECRET_1KEY}"]);
}
