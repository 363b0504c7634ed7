//! Whatever a file holds: an error with a place, or a configuration that is sound. Never a panic.

use import::{Options, SourceFile, System, Verdict, translate};
use proptest::prelude::*;

/// Words that the translators look for, so that what is made reaches their insides.
const WORDS: &[&str] = &[
    "on",
    "push",
    "branches",
    "jobs",
    "steps",
    "run",
    "uses",
    "with",
    "strategy",
    "matrix",
    "include",
    "exclude",
    "env",
    "if",
    "runs-on",
    "name",
    "script",
    "stage",
    "extends",
    "rules",
    "variables",
    "parallel",
    "artifacts",
    "paths",
    "image",
    "tags",
    "job",
    "project",
    "check",
    "parent",
    "nodeset",
    "vars",
    "timeout",
    "presubmits",
    "postsubmits",
    "spec",
    "containers",
    "command",
    "args",
    "default",
    "before_script",
    "reports",
    "junit",
    ".base",
    "needs",
    "services",
    "timeout-minutes",
    "shell",
    "working-directory",
    "path",
    "os",
    "labels",
    "retry",
    "only",
    "defaults",
    "concurrency",
    "a/b",
    "o/r",
];
const SCALARS: &[&str] = &[
    "main",
    "${{ matrix.os }}",
    "${{ secrets.X }}",
    "ubuntu-latest",
    "[windows-latest, macos-13]",
    "make 'x' $GITHUB_SHA",
    "\"\"",
    "~",
    "true",
    "3.10",
    "30",
    "always()",
    "actions/checkout@v4",
    "actions/upload-artifact@v4",
    "/^v\\d+$/",
    "'$CI_COMMIT_BRANCH == \"main\"'",
    ".base",
    "|\n      a\n      b",
    "'it''s'",
    "*a",
    "&a x",
    "!reference [.base, script]",
    "1h 30m",
    "{os: [a, b], x: {y: z}}",
    "bash",
    "{a: 1, <<: {b: 2}}",
    "é\u{202e}",
    "\"\\u0007\\n\"",
];

fn yaml() -> impl Strategy<Value = String> {
    let line = (
        0usize..5,
        prop::bool::ANY,
        prop::sample::select(WORDS),
        prop::option::of(prop::sample::select(SCALARS)),
    );
    prop::collection::vec(line, 0..24).prop_map(|lines| {
        let line = |(depth, item, word, value): (usize, bool, &str, Option<&str>)| {
            let dash = if item { "- " } else { "" };
            format!("{}{dash}{word}: {}\n", "  ".repeat(depth), value.unwrap_or(""))
        };
        lines.into_iter().map(line).collect()
    })
}

fn systems() -> impl Strategy<Value = System> {
    prop::sample::select(vec![System::GitHub, System::GitLab, System::Zuul, System::Prow])
}

fn check(system: System, text: &str) -> Result<(), TestCaseError> {
    let file = SourceFile { name: "f".into(), text: text.into() };
    if let Ok(imported) = translate(&[file], system, &Options::default()) {
        prop_assert!(imported.problems.is_empty(), "{}\n{:#?}", imported.project, imported.problems);
        for one in &imported.findings {
            prop_assert!(one.line > 0 && (one.verdict == Verdict::Open) == one.remedy.is_some());
        }
    }
    Ok(())
}

/// A tree of the shape that the translators take, so that deep keys are met often.
fn deep() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(SCALARS)
        .prop_filter("one line", |text| !text.contains(['\n', '*', '&', '<']))
        .prop_map(str::to_owned);
    leaf.prop_recursive(5, 64, 6, |inner| {
        let map =
            prop::collection::vec((prop::sample::select(WORDS), inner.clone()), 0..6).prop_map(|pairs| {
                let pairs: Vec<String> =
                    pairs.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", pairs.join(", "))
            });
        let list = prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", ")));
        prop_oneof![3 => map, 1 => list]
    })
}

proptest! {

    #[test]
    fn any_text(system in systems(), text in "\\PC{0,200}") {
        check(system, &text)?;
    }

    #[test]
    fn any_bytes_of_yaml(system in systems(), text in "[-a-z:\\[\\]{}&*!|>'\"#%@`, \n\t?~<\\\\$]{0,120}") {
        check(system, &text)?;
    }

    #[test]
    fn any_lines_with_their_words(system in systems(), text in yaml()) {
        check(system, &text)?;
    }

    #[test]
    fn any_tree_in_a_job(value in deep(), other in deep()) {
        check(System::GitHub, &format!("on: {other}\nenv: {other}\njobs:\n  a: {value}\n  b:\n    strategy: {other}\n    runs-on: ${{{{ matrix.os }}}}\n    steps:\n    - {value}\n    - run: make ${{{{ matrix.os }}}}\n      env: {other}\n    - uses: actions/upload-artifact@v4\n      with: {value}\n"))?;
        check(System::GitLab, &format!("variables: {other}\n.base: {other}\na:\n  script: {value}\n  parallel: {other}\n  rules: {other}\nb:\n  extends: .base\n  script: [make]\n  artifacts: {value}\n"))?;
        check(System::Zuul, &format!("- job: {value}\n- job:\n    name: j\n    run: p.yaml\n    vars: {other}\n    nodeset: {value}\n- project: {other}\n"))?;
        check(System::Prow, &format!("presubmits:\n  o/r:\n  - {value}\n  - name: x\n    spec:\n      containers:\n      - {other}\n      - command: {value}\n"))?;
    }

    #[test]
    fn any_json_as_a_syntax_tree(text in "[-a-z0-9:\\[\\]{}\", ]{0,120}", kind in prop::sample::select(WORDS)) {
        check(System::Buildbot, &text)?;
        check(System::Buildbot, &format!("{{\"t\":\"Module\",\"body\":[{{\"t\":\"{kind}\",\"v\":{text}}}]}}"))?;
    }
}
