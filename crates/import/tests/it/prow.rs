//! Prow.

use import::{Options, SourceFile, System, Verdict, translate};

use super::{has, says, translated, unknown};

const JOBS: &str = r#"presubmits:
  example/app:
    - name: pull-app-test
      always_run: true
      decorate: true
      decoration_config: { timeout: 2h }
      branches: [main, "^release-\\d+$"]
      run_if_changed: "^src/"
      labels: { preset-service-account: "true" }
      spec:
        nodeSelector: { kubernetes.io/arch: arm64 }
        containers:
          - image: golang:1.22
            command: [runner.sh, bash, -c]
            args: ["set -o pipefail\nmake test | tee $ARTIFACTS/log"]
            env:
              - { name: GOFLAGS, value: -mod=mod }
              - name: TOKEN
                valueFrom: { secretKeyRef: { name: t, key: k } }
            resources: { requests: { cpu: "2" } }
postsubmits:
  example/app:
    - name: post-app-image
      max_concurrency: 1
      annotations: { description: Images, testgrid-dashboards: app }
      spec:
        containers:
          - image: builder
            command: [/run.sh]
            args: ["--sha=$(PULL_BASE_SHA)", "it's"]
            volumeMounts: [{ name: v, mountPath: /v }]
periodics:
  - name: ci-app-daily
    interval: 24h
    extra_refs: [{ org: example, repo: app, base_ref: main }]
    spec: { containers: [{ image: x, args: [make] }] }
"#;

#[test]
fn presubmits_postsubmits_and_periodics() {
    let imported = translated(System::Prow, "jobs.yaml", JOBS);
    assert!(unknown(&imported).is_empty(), "{:#?}", unknown(&imported));
    has(
        &imported,
        &[
            "[builder.pull-app-test]",
            "needs = { arch = \"arm64\" }",
            "post_submit = false\ntry = true",
            "timeout = \"2h\"",
            "artifacts = [\"_artifacts/**\"]",
            "export ARTIFACTS=",
            "make test | tee $ARTIFACTS/log",
            "env = { GOFLAGS = \"-mod=mod\" }",
            "[builder.post-app-image]",
            "notes = \"Images\"",
            "max_at_once = 1",
            "/run.sh --sha=\"${PULL_BASE_SHA}\"",
            "[builder.ci-app-daily]",
        ],
    );
    for (line, words) in [
        (8, "^src/"),
        (9, "presets"),
        (13, "golang:1.22"),
        (19, "cluster"),
        (20, "limits"),
        (31, "mounted"),
        (34, "by the clock"),
        (35, "other repositories"),
    ] {
        says(&imported, Verdict::Open, line, words);
    }
}

#[test]
fn one_of_several_repositories_has_to_be_chosen() {
    let text = "presubmits:\n  a/x:\n  - name: x\n    spec: { containers: [{ command: [make] }] }\n  a/y:\n  - name: y\n    spec: { containers: [{ command: [make] }] }\n";
    let file = || vec![SourceFile { name: "j.yaml".into(), text: text.into() }];
    let why = translate(&file(), System::Prow, &Options::default()).unwrap_err().to_string();
    assert!(why.contains("--of: a/x, a/y"), "{why}");
    let of = |of: &str| translate(&file(), System::Prow, &Options { of: Some(of.into()), repo: None });
    let imported = of("a/y").unwrap();
    has(&imported, &["[builder.y]"]);
    says(&imported, Verdict::Open, 2, "another repository");
    assert!(of("a/z").unwrap_err().to_string().contains("it has those of a/x, a/y"));
}
