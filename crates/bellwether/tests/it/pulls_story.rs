//! More of what happens to pull requests, to the checks and comments at the end: stacks, release branches, changes of the rules, flakes, words
//! that are deleted, and a GitHub and a server that are gone in the middle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Path;
use serde_json::Value;
use testkit::github::Faults;
use testkit::{File, GitRepo, wait_for};
use tokio_util::task::AbortOnDropHandle;

use crate::pulls::{MEMBER, PROJECT, World};
use crate::tries::builds;

const LIMIT: Duration = Duration::from_secs(90);

fn run(world: &World, number: i32, states: &[&str]) -> Value {
    let run = world.until(number, states);
    world.inner.get(&format!("/api/v1/tries/{}", run["id"].as_str().unwrap())).unwrap()
}

fn of(builder: &str, outcome: &str) -> (String, String) {
    (builder.to_owned(), outcome.to_owned())
}

/// What the bot said of a pull request, once it said so much.
fn said(world: &World, number: i32, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let found = wait_for(&format!("{count} comments of the bot"), LIMIT, || {
        seen = world.github.world().comments(number);
        seen.retain(|text| text.contains("<!-- bw:"));
        Ok((seen.len() == count).then(|| seen.clone()))
    });
    found.unwrap_or_else(|error| panic!("{error:#}: {seen:#?}\n{}", world.server().printed()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_a_release_branch_and_changes_of_the_rules() {
    let project =
        format!("[builder.old]\nrecipe = \"check\"\ntry = [{{ branch = \"release-*\" }}]\n\n{PROJECT}");
    let mut world = World::with("checks = true", &project, "", "").await;
    world.inner.repo.git(&["branch", "release-1"]).unwrap();
    let check = |text: &'static str| [("check.sh", File::Text(text))];
    let first = world.commit_upon("main", &check("echo 1\n"));
    let second = world.commit_upon(&first, &[("second", File::Text("2\n"))]);
    let third = world.commit_upon(&second, &check("test ! -e second\n"));
    let release = world.commit_upon("release-1", &check("echo 4\n"));
    let more = format!("{project}\n[builder.new]\nrecipe = \"check\"\ntry = true\n");
    let more = world.commit_upon("main", &[("bellwether.toml", File::Text(&more))]);
    let wrong = format!("{PROJECT}\n[builder.new]\nrecipi = \"check\"\n");
    let wrong = world.commit_upon("main", &[("bellwether.toml", File::Text(&wrong))]);
    let mut numbers = Vec::new();
    for commit in [&first, &second, &third] {
        numbers.push(world.open(commit, false).await);
    }
    numbers.push(world.open_to("release-1", &release, false).await);
    for commit in [&more, &wrong] {
        numbers.push(world.open(commit, false).await);
    }
    for number in &numbers {
        world.says(*number, MEMBER, "/try").await;
    }
    world.inner.launch(&[]);

    // Each of a stack is what it is upon the others, and has its own answer.
    for (number, commit, state, end) in [
        (numbers[0], &first, "passed", "success"),
        (numbers[1], &second, "passed", "success"),
        (numbers[2], &third, "failed", "failure"),
    ] {
        assert_eq!(run(&world, number, &[state])["commit"], commit.as_str());
        world.checked(commit, &[end]);
    }
    // Who builds a branch is said by the branch that it is to go to.
    let of_release = run(&world, numbers[3], &["passed"]);
    assert_eq!(builds(&of_release), [of("old", "ok"), of("tests", "ok")]);
    assert_eq!(of_release["branch"], "release-1");
    world.checked(&release, &["success"]);

    // By the rules as they would be, and by those that are there where the others can't be used; and what is changed is said.
    for (number, commit, made) in [
        (numbers[4], &more, vec![of("new", "ok"), of("tests", "ok")]),
        (numbers[5], &wrong, vec![of("tests", "ok")]),
    ] {
        assert_eq!(builds(&run(&world, number, &["passed"])), made);
        world.checked(commit, &["success"]);
    }
    let text = said(&world, numbers[4], 1).remove(0);
    assert!(text.starts_with("This change is to bellwether.toml.\n\nIt is in order. "), "{text}");
    assert!(text.contains("\n    + one main one:new (before it lands of each change)\n"), "{text}");
    assert!(text.contains("\n    + builder one:new\n"), "{text}");
    assert!(text.contains("made by the file as it would be on main once it has landed"), "{text}");
    let text = said(&world, numbers[5], 1).remove(0);
    assert!(text.contains("wrong in it; as it is, nothing of one is built once it has landed:\n"), "{text}");
    assert!(text.contains("\n    bellwether.toml:9:1: "), "{text}");
    // Once for each commit.
    world.seen();
    world.says(numbers[4], MEMBER, "/try").await;
    run(&world, numbers[4], &["passed", "passed"]);
    world.checked(&more, &["success", "success"]);
    said(&world, numbers[4], 1);
    for number in &numbers[..4] {
        said(&world, *number, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_that_is_deleted_is_nobody_s_word() {
    let mut world = World::with("checks = true", PROJECT, "", "").await;
    let go = world.path("gate/go").display().to_string();
    let commit = world.commit_upon(
        "main",
        &[("check.sh", File::Text(&format!("until [ -e {go} ]; do sleep 0.05; done\n")))],
    );
    let number = world.open(&commit, false).await;
    world.says(number, MEMBER, "Hello.").await;
    world.says(number, MEMBER, "/try").await;
    world.inner.launch(&[]);
    world.until(number, &["running"]);
    world.checked(&commit, &["in_progress"]);
    // Another one says nothing of it.
    world.does(|forge, now| forge.remove_comment(now, number, 0)).await;
    world.seen();
    world.seen();
    world.until(number, &["running"]);
    world.does(|forge, now| forge.remove_comment(now, number, 0)).await;
    let run = world.until(number, &["cancelled"]);
    assert_eq!(run["reason"], "what was said of this commit was taken back");
    world.checked(&commit, &["cancelled"]);
    wait_for("its end to be seen", LIMIT, || Ok((world.runs(number)[0]["settled"] == true).then_some(())))
        .unwrap();
    // A server that begins anew has what was said in its corpus, and knows that it was taken back.
    world.inner.server().crash().unwrap();
    world.inner.launch(&[]);
    wait_for("the server", LIMIT, || Ok((!world.runs(number).is_empty()).then_some(()))).unwrap();
    world.seen();
    world.seen();
    world.until(number, &["cancelled"]);
    // A new word is one.
    std::fs::write(&go, "").unwrap();
    world.says(number, MEMBER, "/try").await;
    world.until(number, &["cancelled", "passed"]);
    world.checked(&commit, &["cancelled", "success"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn github_and_the_server_may_both_be_gone_in_the_middle() {
    let mut world = World::with("checks = true", PROJECT, "", "").await;
    let go = world.path("gate/go").display().to_string();
    let commit = world.commit_upon(
        "main",
        &[("check.sh", File::Text(&format!("until [ -e {go} ]; do sleep 0.05; done\n")))],
    );
    let number = world.open(&commit, false).await;
    world.says(number, MEMBER, "/try").await;
    world.inner.launch(&[]);
    world.until(number, &["running"]);
    world.checked(&commit, &["in_progress"]);
    // GitHub begins anew: what is asked meanwhile is answered by nothing but errors, and what was begun goes on.
    world.github.set(|options| options.faults = Faults { error: 100, ..Faults::default() });
    std::fs::write(&go, "").unwrap();
    world.until(number, &["passed"]);
    world.inner.server().crash().unwrap();
    world.inner.launch(&[]);
    world.until(number, &["passed"]);
    world.checked(&commit, &["in_progress"]);
    world.github.set(|options| options.faults = Faults::default());
    world.checked(&commit, &["success"]);
    world.seen();
    world.until(number, &["passed"]);
    world.checked(&commit, &["success"]);
}

/// The toolchain is one word, and what is built against it says which it got.
const TOOL: &str =
    "needs = [\"tool\"]\npairs = [{ branch = \"main\", with = [\"main\", \"release-*\"], newest = 1 }]\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_toolchain_is_tried_against_two_of_its_branches() {
    let dir = tempfile::tempdir().unwrap();
    let mut tool = GitRepo::create(&dir.path().join("tool")).unwrap();
    tool.commit("A toolchain", &[("word", File::Text("new\n"))]).unwrap();
    tool.git(&["checkout", "--quiet", "-b", "release-1.2"]).unwrap();
    tool.commit("A release", &[("word", File::Text("old\n"))]).unwrap();
    tool.git(&["checkout", "--quiet", "main"]).unwrap();
    let rules = format!(
        "[repo.tool]\nurl = {:?}\nbranches = [\"main\", \"release-*\"]\nhorizon = 1\n\n[recipe.tool]\ntoolchain = \"tool\"\nrun = \"cat word\"\n\n\
         [recipe.tool.dependents]\nrun = \"sh ./check.sh\"\n\n[builder.usual]\nhost = \"local\"\nrecipe = \"tool\"\ntry = true\n",
        dir.path().join("tool").display().to_string()
    );
    let mut world = World::with("checks = true", "# nothing of its own\n", TOOL, &rules).await;
    let check = "grep -q new ../tool/word\n";
    let commit = world.commit_upon("main", &[("check.sh", File::Text(check))]);
    let number = world.open(&commit, false).await;
    world.says(number, MEMBER, "/try").await;
    world.inner.launch(&[]);
    let run = run(&world, number, &["failed"]);
    let word = |build: &Value, key: &str| build[key].as_str().unwrap_or("-").to_owned();
    let against: BTreeMap<_, _> = run["builds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|build| (word(build, "toolchain_branch"), word(build, "outcome")))
        .collect();
    assert_eq!(against, BTreeMap::from([of("main", "ok"), of("release-1.2", "failed")]), "{run:#}");
    let checks = world.checked(&commit, &["failure"]);
    assert_eq!(checks[0]["output"]["title"], "1 of 2 failed");
    let summary = checks[0]["output"]["summary"].as_str().unwrap();
    assert!(summary.contains("Failed on usual against release-1.2: http"), "{summary}");
}

/// Fails every third time that a commit asks, from the first on: what a job of its own can't know is kept here.
async fn dice() -> (u16, AbortOnDropHandle<()>) {
    let thrown: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let answer = move |Path(commit): Path<String>| {
        let mut thrown = thrown.lock().unwrap();
        let times = thrown.entry(commit).or_default();
        *times += 1;
        let word = if *times % 3 == 1 { "bad" } else { "good" };
        async move { word }
    };
    let router = axum::Router::new().route("/{commit}", axum::routing::get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (port, AbortOnDropHandle::new(serving))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flake_is_not_the_pull_request_s_fault() {
    let (port, _dice) = dice().await;
    let project = format!("{PROJECT}results = \"tap\"\n");
    let mut world = World::with("checks = true", &project, "", "# reruns\n").await;
    let check = format!(
        "echo 1..1\nexec 3<>/dev/tcp/127.0.0.1/{port}\n\
         printf 'GET /%s HTTP/1.0\\r\\n\\r\\n' \"${{BELLWETHER_REVISION//[^0-9a-z]/}}\" >&3\n\
         if grep -q bad <&3; then echo 'check.sh:1: error: wobble'; echo 'not ok 1 - wobble'; exit 1; fi\necho 'ok 1 - wobble'\n"
    );
    let files = [("check.sh", File::Text("exec bash ./wobble.sh\n")), ("wobble.sh", File::Text(&check))];
    world.inner.repo.commit("What is there", &files).unwrap();
    let commit = world.commit_upon("main", &[("harmless", File::Text("1\n"))]);
    let number = world.open(&commit, false).await;
    world.says(number, MEMBER, "/try").await;
    world.inner.launch(&[]);
    let run = run(&world, number, &["passed"]);
    let verdict = &run["verdicts"][0];
    assert_eq!((&verdict["test"], &verdict["verdict"]), (&"wobble".into(), &"flaky".into()), "{run:#}");
    let checks = world.checked(&commit, &["success"]);
    let summary = checks[0]["output"]["summary"].as_str().unwrap();
    assert!(summary.contains("wobble is flaky"), "{summary}");
    assert_eq!(world.github.world().notes(&commit), [], "what is excused is noted beside no line");
}
