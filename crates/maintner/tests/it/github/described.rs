//! What the GitHub of these tests answers and tells is what GitHub says of itself that it answers and tells.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use testkit::github::{Faults, GitHub, Gone, Options};

use super::world::{Paused, by, client, options, settle};
use crate::sink::Folder;

/// What the script prints.
fn held(input: &Value) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/described.mjs");
    let modules = testkit::component("ajv").unwrap().join("tree/node_modules");
    let mut command = Command::new("node");
    command.arg(script).arg(modules);
    for name in ["github-description", "github-webhook-schemas"] {
        command.arg(testkit::component_file(name).unwrap());
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node runs");
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Every operation on an issue and on a pull request, at least once.
fn all(github: &GitHub) -> Vec<Value> {
    let (label, milestone) =
        github.change(|world, now| (world.new_label("bug"), world.new_milestone(now, "Go1")));
    for pull in [false, true] {
        github.change(|world, now| {
            let number = world.open(now, 1, pull, "title", "body");
            world.comment(now, number, 2, "comment");
            world.edit_comment(now, number, 0, "edited");
            world.rename(now, number, 1, "renamed");
            world.edit(now, number, 1, "");
            for _ in 0..2 {
                world.label(now, number, 1, label);
                world.toggle(now, number, 1);
                world.assign(now, number, 1, 3);
                world.lock(now, number, 1);
            }
            world.milestone(now, number, 1, Some(milestone));
            world.milestone(now, number, 1, None);
            world.review(now, number, 2, "APPROVED", "good");
            world.dismiss(now, number, 2);
            world.ask(now, number, 1, 2);
        });
    }
    for how in [Gone::Deleted, Gone::Transferred, Gone::Hidden] {
        github.change(|world, now| {
            let number = world.open(now, 1, false, "gone", "");
            world.remove(number, 1, how);
        });
    }
    github.change(|world, now| world.open(now, 1, false, "last", ""));
    let webhooks = github.webhooks();
    for webhook in &webhooks {
        github.delivered(webhook, webhook.action != "labeled");
    }
    let told = |webhook: &testkit::github::Webhook| {
        let body: Value = serde_json::from_slice(&webhook.body).unwrap();
        json!({"event": webhook.event, "action": webhook.action, "body": body})
    };
    webhooks.iter().map(told).collect()
}

/// What is posted of a commit, and what is asked of pull requests.
async fn posts(github: &GitHub, client: &github::Client) {
    github.set(|options| options.faults = Faults::default());
    let commit = "ab".repeat(20);
    github.change(|world, now| {
        let number = world.open(now, 1, true, "of a fork", "");
        world.push(now, number, &commit, "main", true);
        world.queue(number, Some(&commit));
        world.team("approvers", &[1, 2]);
    });
    let repo = &options().repo;
    assert!(!client.open_pulls(repo, None).await.unwrap().items.is_empty());
    assert_eq!(client.merge_groups(repo, None).await.unwrap().items[0].object.sha, commit);
    let team = "golang/approvers".parse().unwrap();
    assert_eq!(client.members(&team, None).await.unwrap().items[1].login, "user-2");
    assert!(client.members(&"golang/none".parse().unwrap(), None).await.is_err());
    let status = github::post::Status {
        state: "failure".into(),
        target_url: Some("https://ci.example.org/tries/1".into()),
        description: Some("1 of 2 failed".into()),
        context: "bellwether".into(),
    };
    client.create_status(repo, &commit, &status).await.unwrap();
    assert_eq!(client.statuses(repo, &commit).await.unwrap(), [status]);
    let annotation = github::post::Annotation {
        path: "a.go".into(),
        start_line: 3,
        end_line: 3,
        annotation_level: "failure".into(),
        message: "it breaks".into(),
        title: "TestIt".into(),
    };
    let mut check = github::post::Check {
        name: "bellwether".into(),
        head_sha: commit.clone(),
        external_id: "1".into(),
        details_url: Some("https://ci.example.org/tries/1".into()),
        status: "in_progress".into(),
        output: github::post::Output {
            title: "2 builds".into(), summary: "…".into(), ..Default::default()
        },
        ..Default::default()
    };
    let made = client.create_check(repo, &check).await.unwrap();
    (check.status, check.conclusion) = ("completed".into(), Some("action_required".into()));
    check.output.annotations = vec![annotation];
    assert_eq!(client.update_check(repo, made.id, &check).await.unwrap().output.annotations_count, 1);
    assert_eq!(client.checks(repo, &commit, "bellwether").await.unwrap().len(), 1);
    github.change(|world, now| world.press(now, &commit, 1));
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_answer_and_webhook_is_as_github_describes_it() {
    let clock = Paused::new();
    let github = GitHub::new(9, Options { page: 10, ..Options::default() }, clock.server());
    github.keep_samples();
    let mut webhooks = all(&github);
    for _ in 0..150 {
        github.step();
    }
    let more = github.webhooks();
    webhooks.extend(more.iter().map(|webhook| {
        let body: Value = serde_json::from_slice(&webhook.body).unwrap();
        json!({"event": webhook.event, "action": webhook.action, "body": body})
    }));
    tokio::time::sleep(std::time::Duration::from_secs(100)).await;
    github.set(|options| options.faults = Faults { secondary: 3, abuse: 3, ..Faults::default() });
    let client = client(&github, clock);
    let mut poller = by(client.clone(), &Arc::new(Folder::new()));
    settle(&mut poller).await;
    let numbers = github.world().numbers();
    for number in numbers {
        client.issue(&options().repo, number).await.unwrap();
    }
    poller.undelivered().await.unwrap();
    posts(&github, &client).await;
    webhooks.extend(github.webhooks().iter().map(|webhook| {
        let body: Value = serde_json::from_slice(&webhook.body).unwrap();
        json!({"event": webhook.event, "action": webhook.action, "body": body})
    }));
    let answers = github.samples();
    let kinds: BTreeSet<(&str, u16)> = answers.iter().map(|one| (one.path, one.status)).collect();
    for path in [
        "issues",
        "issues/{issue_number}",
        "issues/{issue_number}/comments",
        "issues/{issue_number}/events",
        "pulls/{pull_number}/reviews",
        "labels",
        "milestones",
        "hooks",
        "hooks/{hook_id}/deliveries",
        "pulls",
        "git/matching-refs/{ref}",
        "commits/{ref}/check-runs",
        "commits/{ref}/statuses",
        "check-runs/{check_run_id}",
    ] {
        let path = format!("/repos/{{owner}}/{{repo}}/{path}");
        assert!(kinds.contains(&(path.as_str(), 200)), "{path} was not asked for");
    }
    for path in ["/repos/{owner}/{repo}/statuses/{sha}", "/repos/{owner}/{repo}/check-runs"] {
        assert!(kinds.contains(&(path, 201)), "nothing was posted to {path}");
    }
    for status in [301, 403, 404, 410, 429] {
        assert!(kinds.iter().any(|(_, found)| *found == status), "{status} was not answered");
    }
    let answer = |one: &testkit::github::Sample| json!({"method": one.method, "path": one.path, "status": one.status, "body": one.body, "request": one.request});
    let mut answers: Vec<Value> = answers.iter().map(answer).collect();
    // Three that are wrong are among them: it is a check that can fail.
    answers.push(
        json!({"path": "/repos/{owner}/{repo}/labels", "status": 200, "body": [{"id": 1, "name": "bug"}]}),
    );
    answers.push(json!({"path": "/repos/{owner}/{repo}/nothing", "status": 200, "body": []}));
    let mut odd = webhooks[0].clone();
    odd["body"]["issue"]["odd"] = true.into();
    webhooks.push(odd);
    let (count, said) =
        (answers.len() + webhooks.len(), held(&json!({"answers": answers, "webhooks": webhooks})));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert!(
        lines[0].starts_with("200 /repos/{owner}/{repo}/labels: ") && lines[0].contains("node_id"),
        "{said}"
    );
    assert_eq!(lines[1], "200 /repos/{owner}/{repo}/nothing: it is not described", "{said}");
    assert!(lines[2].starts_with("issues opened: ") && lines[2].contains("odd"), "{said}");
    assert!(lines[3].starts_with(&format!("3 wrong of {count}, ")), "{said}");
}
