//! Zuul.

use import::{System, Verdict};

use super::{has, says, translated, unknown};

const JOBS: &str = r#"- nodeset:
    name: two
    nodes:
      - { name: a, label: ubuntu-jammy }
      - { name: b, label: ubuntu-jammy }
- job:
    name: app-base
    abstract: true
    parent: base
    nodeset: two
    pre-run: playbooks/pre.yaml
    post-run: playbooks/post.yaml
    timeout: 3600
    vars: { level: 1, who: base }
- job:
    name: app-unit
    parent: app-base
    description: The unit tests.
    run: playbooks/unit.yaml
    pre-run: [playbooks/unit-pre.yaml]
    vars: { who: "o'unit", list: [a, true] }
    required-projects: [example/lib]
    irrelevant-files: ["^doc/"]
    branches: ^stable-.*$
    voting: false
- job:
    name: app-tox
    parent: tox-py310
- project:
    templates: [docs-jobs]
    check:
      jobs:
        - app-unit
        - elsewhere
        - app-tox
    gate:
      queue: integrated
      jobs:
        - app-unit:
            dependencies: [elsewhere]
    post:
      jobs: [app-unit]
    periodic:
      jobs: [app-unit]
- secret:
    name: key
    data: { x: 1 }
"#;

#[test]
fn jobs_with_parents_and_pipelines() {
    let imported = translated(System::Zuul, ".zuul.yaml", JOBS);
    assert!(unknown(&imported).is_empty(), "{:#?}", unknown(&imported));
    has(
        &imported,
        &[
            "branches = [\"stable-*\"]",
            "[builder.app-unit]",
            "notes = \"The unit tests.\"",
            "needs = { image = \"ubuntu-jammy\" }",
            "try = true",
            "timeout = \"1h\"",
            "name = \"pre-pre\"",
            "ansible-playbook --inventory localhost, --connection local --extra-vars",
            "playbooks/pre.yaml",
            "playbooks/unit-pre.yaml",
            "playbooks/unit.yaml",
            "playbooks/post.yaml",
            "when = \"always\"",
        ],
    );
    assert!(imported.project.contains(r#""level": 1"#), "{}", imported.project);
    assert!(imported.server.contains("labels = { image = \"ubuntu-jammy\" }"), "{}", imported.server);
    for (line, words) in [
        (10, "several machines"),
        (19, "was not looked at"),
        (22, "example/lib"),
        (23, "whatever files"),
        (28, "tox-py310"),
        (27, "no playbook"),
        (30, "docs-jobs"),
        (32, "elsewhere is defined elsewhere"),
        (40, "do not wait"),
        (43, "periodic"),
        (45, "only Zuul can read"),
    ] {
        says(&imported, Verdict::Open, line, words);
    }
    says(&imported, Verdict::Meaningless, 25, "voting");
}

#[test]
fn variants_and_jobs_of_other_files_are_told() {
    let text = "- job: {name: a, run: a.yaml}\n- job: {name: a, run: a.yaml, timeout: 60}\n- project: {check: {jobs: [a, b: {voting: false}]}}\n";
    let imported = translated(System::Zuul, "zuul.yaml", text);
    assert!(unknown(&imported).is_empty(), "{:#?}", unknown(&imported));
    has(&imported, &["[builder.a]", "timeout = \"1m\""]);
    says(&imported, Verdict::Open, 1, "a further definition");
    says(&imported, Verdict::Open, 3, "b is defined elsewhere");
}
