//! GitLab.

use import::{System, Verdict};

use super::{has, says, translated, unknown};

const CI: &str = r#"stages: [build, test, deploy]
default:
  image: rust:1.80
  retry: 1
variables:
  CARGO_HOME: "$CI_PROJECT_DIR/.cargo"
  LEVEL: "2"
  GIT_DEPTH: "1"
include:
  - local: /other.yml
workflow:
  rules:
    - if: $CI_COMMIT_BRANCH
.base: &base
  before_script:
    - echo "$LEVEL"
  cache: { paths: [.cargo] }
.unused:
  script: [x]
build:
  <<: *base
  stage: build
  script:
    - cargo build
    - |
      if [[ -n "$X" ]]; then
        echo 'yes'
      fi
  artifacts:
    paths: [target/release/app, "out/*.tar.gz", /tmp/x]
    reports:
      junit: report.xml
      cobertura: c.xml
    expire_in: 1 week
  timeout: 1h 30m
test:
  extends: .base
  stage: test
  needs: [build]
  parallel:
    matrix:
      - OS: [debian, Fedora]
        N: ["1", "2"]
  script: !reference [.unused, script]
  after_script: [echo done]
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == "main"
    - if: $CI_COMMIT_TAG
    - if: $CUSTOM == "1"
      when: always
deploy:
  stage: deploy
  image: alpine
  tags: [docker, linux]
  script: ./deploy $CI_COMMIT_SHA $CI_JOB_TOKEN
  only: [main, /^release-.*$/]
  when: manual
  resource_group: production
  environment: { name: prod }
parts:
  script: run $CI_NODE_INDEX
  parallel: 3
  except: [main]
  retry: { max: 2, when: runner_system_failure }
child:
  trigger: { include: child.yml }
"#;

#[test]
fn a_pipeline_with_everything() {
    let imported = translated(System::GitLab, ".gitlab-ci.yml", CI);
    assert!(unknown(&imported).is_empty(), "{:#?}", unknown(&imported));
    has(
        &imported,
        &[
            "[builder.build]",
            "timeout = \"90m\"",
            "retries = 1",
            "results = \"junit\"\njunit = \"report.xml\"",
            "artifacts = [\"target/release/app\", \"target/release/app/**\", \"out/*.tar.gz\", \"report.xml\"]",
            "LEVEL = \"2\"",
            "bash -e -c",
            "export CI_PROJECT_DIR=",
            "export CARGO_HOME=",
            "cargo build",
            "[matrix.test]",
            "name = \"test-{os}-{n}\"",
            "os = [\"debian\", \"fedora\"], n = [\"1\", \"2\"]",
            "branches = [\"main\"]",
            "try = true",
            "env = { N = \"{n}\" }",
            "when = { os = \"fedora\" }\nenv = { OS = \"Fedora\" }",
            "echo \"$LEVEL\"\nx",
            "when = \"always\"",
            "[builder.deploy]",
            "needs = { docker = \"yes\", os = \"linux\" }",
            "post_submit = false",
            "max_at_once = 1",
            "[matrix.parts]",
            "branches = [\"!main\"]",
            "CI_NODE_INDEX = \"{part}\"",
            "retries = 2",
        ],
    );
    assert!(imported.server.contains("[host.docker-linux]"), "{}", imported.server);
    for (line, words) in [
        (1, "do not wait"),
        (3, "rust:1.80"),
        (8, "history"),
        (9, "glab ci config compile"),
        (30, "/tmp/x"),
        (33, "no such reports"),
        (39, "do not wait"),
        (50, "CUSTOM"),
        (54, "alpine"),
        (56, "$CI_JOB_TOKEN"),
        (60, "deployed"),
        (67, "no other pipeline"),
        (66, "no script"),
    ] {
        says(&imported, Verdict::Open, line, words);
    }
    says(&imported, Verdict::Meaningless, 17, "cache");
}

#[test]
fn references_and_templates_in_circles_end() {
    let text = ".a: { extends: .b, script: [!reference [.b, script]] }\n.b: { extends: .a, script: [!reference [.a, script]] }\njob:\n  extends: .a\nok:\n  script: make\n";
    let imported = translated(System::GitLab, "ci.yml", text);
    assert_eq!(imported.builders, 1, "{}", imported.project);
    says(&imported, Verdict::Open, 1, "11 deep");
    says(&imported, Verdict::Open, 3, "no script");
}

/// The file of the crate hex 0.4.3 (MIT or Apache-2.0), as it is published.
#[test]
fn a_published_pipeline_with_anchors() {
    let imported =
        translated(System::GitLab, ".gitlab-ci.yml", include_str!("published/hex-0.4.3.gitlab-ci.yml"));
    assert!(imported.builders > 0, "{}", imported.project);
    assert!(unknown(&imported).is_empty(), "{:#?}", unknown(&imported));
}

#[test]
fn what_a_rule_takes_away_stays_away() {
    let job = |rules: &str| translated(System::GitLab, "ci.yml", &format!("t:\n  script: make\n{rules}"));
    has(&job("  only: [main, rel]\n  except: [rel]\n"), &["branches = [\"main\", \"rel\", \"!rel\"]"]);
    has(&job("  except: [a, b]\n"), &["branches = [\"!a\", \"!b\"]"]);
    let rules = "  rules:\n    - if: $CI_COMMIT_BRANCH == \"old\"\n      when: never\n    - when: on_success\n    - if: $X\n      when: never\n";
    let imported = job(rules);
    has(&imported, &["branches = [\"!old\"]", "try = true"]);
    assert!(unknown(&imported).is_empty(), "{:#?}", unknown(&imported));
    let imported = job("  rules:\n    - if: $X == \"1\"\n");
    has(&imported, &["nothing builds it until you say when", "post_submit = false"]);
}

#[test]
fn branches_that_are_no_patterns_are_told() {
    let imported = translated(System::GitLab, "ci.yml", "t:\n  script: make\n  only: [\"\", main]\n");
    has(&imported, &["branches = [\"main\"]"]);
    says(&imported, Verdict::Open, 3, "\"\"");
}
