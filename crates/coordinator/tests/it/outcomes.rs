//! What builds come to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use coordinator::NoHooks;
use dashboard::api::{AttemptReport, BuildReport, Outcome};
use transport::Service;

use crate::world::{World, hash, simple};

pub fn cause(build: &BuildReport) -> (&str, &str) {
    let cause = build.cause.as_ref().unwrap();
    (&cause.kind, &cause.detail)
}

fn only(build: &BuildReport) -> &AttemptReport {
    assert_eq!(build.attempts.len(), 1, "{build:?}");
    &build.attempts[0]
}

pub async fn a_build_is_ok_and_its_spans_add_up(world: World) {
    world.configure(&simple("cat hello; sleep 0.3", ""));
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    let attempt = only(&build);
    assert_eq!(world.log(attempt).await, "from one\n");
    let names: Vec<&str> = attempt.spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["queued", "lease", "source", "unpack", "run", "log drain", "report"]);
    assert_eq!(attempt.spans[0].start, build.created);
    for pair in attempt.spans.windows(2) {
        assert_eq!(pair[0].end, Some(pair[1].start), "no gap between {pair:?}");
    }
    let last = attempt.spans.last().unwrap().end.unwrap();
    assert!(last <= build.ended.unwrap(), "{build:?}");
    let rest = build.ended.unwrap().duration_since(last);
    let total = build.ended.unwrap().duration_since(build.created);
    assert!(rest.as_millis() * 4 < total.as_millis(), "{rest:?} of {total:?} is in no span");
    let run = &attempt.spans[4];
    assert!(run.end.unwrap().duration_since(run.start).as_millis() >= 300, "{run:?}");
}

pub async fn exits_timeouts_and_limits_are_failures(world: World) {
    let more = "[builder.slow]\nhost = \"h\"\nrecipe = \"slow\"\n[recipe.slow]\nrun = \"echo here; sleep 600\"\ntimeout = \"1s\"\n\
                [builder.big]\nhost = \"h\"\nrecipe = \"big\"\nlimits = { log = \"64KiB\" }\n[recipe.big]\nrun = \"yes\"\n";
    world.configure(&simple("echo no; exit 3", more));
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Failed));
    assert_eq!(cause(&build), ("exit", "run: exit status 3"));
    assert_eq!(world.log(only(&build)).await, "no\n");
    let build = world.done("one", "slow").await;
    assert_eq!(build.outcome, Some(Outcome::Failed));
    assert_eq!(cause(&build), ("timeout", "run ran over 1 s"));
    assert_eq!(world.log(only(&build)).await, "here\n");
    let build = world.done("one", "big").await;
    assert_eq!(build.outcome, Some(Outcome::Failed));
    assert_eq!(cause(&build).0, "limit", "{build:?}");
    assert!(cause(&build).1.contains("log"), "{build:?}");
}

pub async fn leftovers_are_warnings(world: World) {
    world.configure(&simple("setsid sleep 600 >/dev/null 2>&1 & echo done", ""));
    world.push("one", &[1]).await;
    let running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    let attempt = only(&build);
    assert!(attempt.warnings.iter().any(|warning| warning.contains("left behind")), "{attempt:?}");
    running.until(|status| status.workers.iter().all(|worker| worker.state == "idle")).await;
}

/// A worker is started with a descriptor of somebody's, as by `up 88<file`.
pub async fn what_the_server_was_given_is_open_in_no_worker_and_no_job(world: World) {
    let given = world.dir.path().join("given");
    std::fs::write(&given, "").unwrap();
    // By no pipe and no redirection, for which a shell opens others; and not as the last command, in whose place it goes.
    world.configure(&simple("ls /proc/$$/fd; true", ""));
    world.push("one", &[1]).await;
    let open = format!("exec 8<>'{}'; exec \"$0\" \"$@\"", given.display());
    let buildlet = crate::world::buildlet().to_string_lossy().into_owned();
    let pool = world.local_pool_by(vec!["sh".into(), "-c".into(), open, buildlet]);
    let running = world.start_with(pool, std::sync::Arc::new(coordinator::NoHooks)).await;
    let build = world.done("one", "b").await;
    assert_eq!(world.log(only(&build)).await, "0\n1\n2\n");
    let status = running.until(|status| status.workers.iter().all(|worker| worker.state == "idle")).await;
    let folder = world.dir.path().join("workers").join(status.workers[0].worker.to_string());
    let pid = crate::world::worker_pid(&folder).unwrap();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let open: Vec<_> = open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
    assert!(open.len() > 3 && !open.contains(&given), "{open:?}");
}

pub async fn secrets_are_not_in_the_log(mut world: World) {
    let secret = "correct-horse-battery-staple";
    world.secrets.insert("deploy".into(), secret.into());
    let more = "[secret.deploy]\nenv = \"D\"\nas = \"DEPLOY_TOKEN\"\nbuilders = [\"b\"]\n";
    // Whole, and cut in two by more than the longest linger of a chunk.
    let run = "test ${#DEPLOY_TOKEN} = 28 || exit 5; echo \"[$DEPLOY_TOKEN]\"; printf '<%.9s' \"$DEPLOY_TOKEN\"; sleep 1.3; echo \"${DEPLOY_TOKEN#?????????}>\"";
    world.configure(&simple(run, more));
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    let log = world.log(only(&build)).await;
    assert!(!log.contains("horse") && !log.contains("staple"), "{log}");
    assert_eq!(log, "[***]\n<***>\n");
    assert!(!world.everything().await.contains(secret));
}

/// Processes left behind have it in their command line, files in their name.
pub async fn secrets_are_in_no_word_of_a_worker(mut world: World) {
    let secret = "correct-horse-battery-staple";
    world.secrets.insert("deploy".into(), secret.into());
    let more =
        "artifacts = [\"*.txt\"]\n[secret.deploy]\nenv = \"D\"\nas = \"DEPLOY_TOKEN\"\nbuilders = [\"b\"]\n";
    let run = "touch good.txt $DEPLOY_TOKEN.txt; setsid sh -c \"sleep 600; : $DEPLOY_TOKEN\" >/dev/null 2>&1 & exit 0";
    world.configure(&simple(run, more));
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    let warnings = &only(&build).warnings;
    let has = |words: &str| warnings.iter().any(|warning| warning.contains(words));
    assert!(has("left behind") && has(": ***)") && has("artefact ***.txt was left out"), "{warnings:?}");
    let kept = world.dashboard.artifacts(&build.id).await.unwrap().artifacts;
    assert_eq!(kept.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["good.txt"]);
    assert!(!world.everything().await.contains(secret));
}

/// The job prints what it was given, and nobody knows that value any more.
pub async fn a_secret_that_changed_while_no_server_ran_costs_the_attempt(mut world: World) {
    let go_on = world.dir.path().join("go-on");
    let old = "correct-horse-battery-staple";
    world.secrets.insert("deploy".into(), old.into());
    let run = format!(
        "echo begun; until [ -e {} ]; do sleep 0.05; done; echo \"[$DEPLOY_TOKEN]\"; printf ok",
        go_on.display()
    );
    world.configure(&simple(
        &run,
        "[secret.deploy]\nenv = \"D\"\nas = \"DEPLOY_TOKEN\"\nbuilders = [\"b\"]\n",
    ));
    world.push("one", &[1]).await;
    let first = world.start().await;
    let row = world.until("one", "b", |row| row.state == "running").await;
    first.kill().await;
    // With the same value it is only gone on with.
    let second = world.start().await;
    world.until("one", "b", |now| now.fence > row.fence && now.state == "running").await;
    second.kill().await;
    world.secrets.insert("deploy".into(), "another-one-altogether".into());
    std::fs::write(&go_on, "").unwrap();
    let _third = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    assert_eq!(build.attempts.len(), 2, "{build:?}");
    let lost = build.attempts[0].cause.as_ref().unwrap();
    assert_eq!(
        (build.attempts[0].outcome, lost.kind.as_str()),
        (Some(Outcome::InfraFailed), "secret_changed")
    );
    for (attempt, wanted) in build.attempts.iter().zip(["begun\n", "begun\n[***]\nok"]) {
        let log = world.log(attempt).await;
        assert!(wanted.starts_with(&log) && !log.contains(old), "{log}");
    }
    assert!(!world.everything().await.contains(old));
}

pub async fn a_queued_build_is_cancelled(world: World) {
    world.configure(&simple("true", "").replace("capacity = 2", "capacity = 0"));
    world.push("one", &[1]).await;
    let running = world.start().await;
    let row = world.until("one", "b", |row| row.state == "queued").await;
    let why: serde_json::Value =
        running.service.get_json(&format!("/api/v1/builds/{}/why", row.id)).await.unwrap();
    assert!(why["reason"].as_str().unwrap().contains("host h"), "{why}");
    running.post(&format!("/api/v1/builds/{}/cancel", row.id)).await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Cancelled));
    assert_eq!(cause(&build), ("person", "cancelled by hand"));
    assert_eq!(build.attempts, []);
    assert_eq!(running.status().await.queued, []);
}

pub async fn a_running_build_is_cancelled(world: World) {
    world.configure(&simple("echo begun; sleep 600", ""));
    world.push("one", &[1]).await;
    let running = world.start().await;
    let row = world.until("one", "b", |row| row.state == "running").await;
    running.post(&format!("/api/v1/builds/{}/cancel", row.id)).await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Cancelled), "{build:?}");
    assert_eq!(cause(&build), ("person", "cancelled by hand"));
    running.until(|status| status.workers.iter().all(|worker| worker.state == "idle")).await;
}

pub async fn a_done_build_is_tried_again(world: World) {
    world.configure(&simple("echo once; false", ""));
    world.push("one", &[1]).await;
    let running = world.start().await;
    let first = world.done("one", "b").await;
    assert_eq!(first.outcome, Some(Outcome::Failed));
    running.post(&format!("/api/v1/builds/{}/retry", first.id)).await;
    world.until("one", "b", |row| row.attempts == 2 && row.reported).await;
    let second = world.done("one", "b").await;
    assert_eq!((&second.id, second.outcome), (&first.id, Some(Outcome::Failed)));
    assert_eq!(second.attempts.len(), 2);
    for attempt in &second.attempts {
        assert_eq!(world.log(attempt).await, "once\n");
    }
}

pub async fn a_failure_is_tried_again_as_often_as_configured(world: World) {
    let marks = world.dir.path().join("mark");
    let once = format!("[ -e {0} ] || {{ touch {0}; exit 3; }}", marks.display());
    let run = format!("echo once; [ $GO_BUILDER_NAME = b ] || exit 3; {once}");
    let text = simple(&run, "retries = 2\n[builder.c]\nhost = \"h\"\nrecipe = \"r\"\n");
    world.configure(&text);
    world.push("one", &[1]).await;
    let running = world.start().await;
    let flaky = world.done("one", "b").await;
    let [first, second] = flaky.attempts.as_slice() else { panic!("{flaky:?}") };
    assert_eq!((first.outcome, second.outcome), (Some(Outcome::Failed), Some(Outcome::Ok)));
    assert_eq!(flaky.outcome, Some(Outcome::Ok));
    assert_eq!(second.warnings, ["flake: attempt 1 failed (exit run: exit status 3), this one did not"]);
    let failing = world.done("one", "c").await;
    assert_eq!(failing.outcome, Some(Outcome::Failed), "{failing:?}");
    let outcomes: Vec<_> = failing.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Some(Outcome::Failed); 3]);
    for attempt in &failing.attempts {
        assert_eq!(world.log(attempt).await, "once\n");
    }
    // What a person asks for is counted anew.
    running.post(&format!("/api/v1/builds/{}/retry", failing.id)).await;
    world.until("one", "c", |row| row.attempts == 6 && row.state == "done").await;
}

pub async fn only_the_wanted_tests_run(world: World) {
    let more = "[builder.none]\nhost = \"h\"\nrecipe = \"r\"\ntests = [\"x*\"]\n";
    let text = simple("echo run {tests}", more)
        .replace("[builder.b]\n", "[builder.b]\ntests = [\"!api\", \"!test:*\"]\n")
        .replace("[recipe.r]\n", "[recipe.r]\nlist = \"echo vet api test:1 test:2 all\"\n");
    world.configure(&text);
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(world.log(only(&build)).await, "vet api test:1 test:2 all\nrun vet all\n", "{build:?}");
    // A command that takes no tests runs all of them: it must not run at all.
    let none = world.done("one", "none").await;
    assert_eq!(world.log(only(&none)).await, "vet api test:1 test:2 all\n", "{none:?}");
    let said = &only(&none).warnings;
    assert_eq!(said, &["run is left out: `tests` of the builder names none of the listed tests"]);
}

pub async fn what_is_compiled_only_is_not_tested(world: World) {
    let more = "build = \"echo built\"\n[builder.go]\nhost = \"h\"\nrecipe = \"go\"\ncompile_only = true\n\
        [recipe.go]\nrun = \"go() { echo $GOFLAGS go $*; }; go test ./...\"\nresults = \"go-json\"\nenv = { GOFLAGS = \"-race\" }\n";
    let text =
        simple("echo tested; exit 1", more).replace("[builder.b]\n", "[builder.b]\ncompile_only = true\n");
    world.configure(&text);
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    assert_eq!(world.log(only(&build)).await, "built\n");
    let go = world.done("one", "go").await;
    assert_eq!(world.log(only(&go)).await, "-race -exec=/bin/true go test ./...\n", "{go:?}");
}

pub async fn what_waits_is_expected_when_what_runs_should_end(world: World) {
    let hold = world.dir.path().join("hold");
    let run = format!("while [ -e {} ]; do sleep 0.05; done", hold.display());
    let text = simple(&run, "").replace("capacity = 2", "capacity = 1").replace("horizon = 1", "horizon = 3");
    world.configure(&text);
    world.push("one", &[1]).await;
    let running = world.start().await;
    assert_eq!(world.done("one", "b").await.outcome, Some(Outcome::Ok));
    std::fs::write(&hold, "").unwrap();
    world.push("one", &[3, 2, 1]).await;
    let status = running.until(|status| !status.queued.is_empty() && !status.running.is_empty()).await;
    let (waits, runs) = (&status.queued[0], &status.running[0]);
    let start = waits.expected_start.unwrap_or_else(|| panic!("{status:#?}"));
    assert!(start >= runs.started, "{status:#?}");
    let why: serde_json::Value =
        running.service.get_json(&format!("/api/v1/builds/{}/why", waits.build)).await.unwrap();
    assert!(why["expected_start"].as_i64().unwrap() >= runs.started.0, "{why}");
    let request = http::Request::get("/status").body(axum::body::Body::empty()).unwrap();
    let page = running.service.send_ok(request).await.unwrap();
    let page = axum::body::to_bytes(page.into_body(), 1 << 20).await.unwrap();
    let page = String::from_utf8_lossy(&page);
    assert!(page.contains("Expected start") && page.contains("<td><time datetime=\"20"), "{page}");
    std::fs::remove_file(&hold).unwrap();
    running.until(|status| status.queued.is_empty() && status.running.is_empty()).await;
}

/// A toolchain repo that is built and kept, and a repo that needs it.
pub fn toolchain() -> String {
    "[host.h]\npool = \"local\"\ntrust = \"trusted\"\ncapacity = 1\nenv_pass = [\"PATH\"]\n\
     [repo.go]\nurl = \"https://example.com/go\"\nhorizon = 1\n\
     [repo.sub]\nurl = \"https://example.com/sub\"\nhorizon = 1\nneeds = [\"go\"]\n\
     [builder.b]\nhost = \"h\"\nrecipe = \"r\"\n\
     [recipe.r]\ntoolchain = \"go\"\nbuild = \"echo building; echo built > built\"\nsnapshot = true\nrun = \"cat built\"\n\
     [recipe.r.dependents]\nrun = \"cat ../go/built hello\"\n"
        .to_owned()
}

pub async fn a_snapshot_is_used_by_what_depends_on_it(world: World) {
    world.configure(&toolchain());
    world.push("go", &[7]).await;
    let running = world.start().await;
    let go = world.done("go", "b").await;
    assert_eq!(go.outcome, Some(Outcome::Ok), "{go:?}");
    assert_eq!(world.log(only(&go)).await, "building\nbuilt\n");
    assert!(only(&go).spans.iter().any(|span| span.name == "snapshot" && span.error.is_none()), "{go:?}");
    let kept = world.objects.list("snapshots").await.unwrap();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(world.objects.list("staged").await.unwrap(), []);
    world.push("sub", &[3]).await;
    let sub = world.done("sub", "b").await;
    assert_eq!(sub.outcome, Some(Outcome::Ok), "{sub:?}");
    assert_eq!(sub.revision, format!("sub@{}+go@{}", hash(3), hash(7)));
    assert_eq!(world.log(only(&sub)).await, "built\nfrom sub\n", "the toolchain is not built again");
    let key = only(&sub).inputs["snapshot"].as_str().unwrap();
    let stem = key.strip_suffix(".tar.gz").unwrap();
    assert!(kept[0].path.starts_with(stem), "{kept:?}");
    for what in ["kept", "used"] {
        assert_eq!(running.measured(&format!("snapshots_total{{what=\"{what}\"}}")), 1.0, "{what}");
    }
    let asked = world.mirror.archives.lock().unwrap().clone();
    assert_eq!(asked, [format!("go@{}", hash(7)), format!("sub@{}", hash(3))]);
    // Without the snapshot the toolchain's steps run first.
    world.objects.delete(&kept[0].path).await.unwrap();
    world.push("sub", &[4, 3]).await;
    let rev = format!("sub@{}", hash(4));
    let end = std::time::Instant::now() + crate::world::PATIENCE;
    let sub = loop {
        let rows = world.builds().await;
        if let Some(row) = rows.iter().find(|row| row.revision.starts_with(&rev) && row.reported) {
            break world.dashboard.build(&row.id.to_string()).await.unwrap();
        }
        assert!(std::time::Instant::now() < end, "{rows:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(world.log(only(&sub)).await, "building\nbuilt\nfrom sub\n", "{sub:?}");
    // Who had to build it keeps it for all.
    let again = world.objects.list("snapshots").await.unwrap();
    assert!(again.len() == 1 && again[0].path.starts_with(stem), "{again:?}");
    assert_ne!(again, kept, "by an upload of its own");
    assert_eq!(running.measured("snapshots_total{what=\"kept\"}"), 2.0);
}

/// Both cells are empty at once and there are machines for both: the dependent waits for the tree, not for the tests.
pub async fn what_needs_a_snapshot_waits_for_it_and_no_longer(world: World) {
    let go_on = world.dir.path().join("go-on");
    let text = toolchain()
        .replace("capacity = 1", "capacity = 2")
        .replace("echo building;", "echo building; until [ -e $GO_ON.build ]; do sleep 0.05; done;")
        .replace("run = \"cat built\"", "run = \"until [ -e $GO_ON.run ]; do sleep 0.05; done; cat built\"")
        .replace("recipe = \"r\"\n", &format!("recipe = \"r\"\nenv = {{ GO_ON = '{}' }}\n", go_on.display()));
    world.configure(&text);
    world.push("go", &[7]).await;
    world.push("sub", &[3]).await;
    let running = world.start().await;
    let status = running.until(|status| !status.queued.is_empty() && !status.running.is_empty()).await;
    assert_eq!(status.running[0].repo, "go");
    assert_eq!(status.queued[0].reason, format!("needs the snapshot of go@{} on b", hash(7)));
    std::fs::write(go_on.with_extension("build"), "").unwrap();
    let sub = world.done("sub", "b").await;
    assert_eq!(world.log(only(&sub)).await, "built\nfrom sub\n", "{sub:?}");
    let go = world.until("go", "b", |row| row.state == "running").await;
    assert_eq!(go.outcome, None, "its tests still run");
    std::fs::write(go_on.with_extension("run"), "").unwrap();
    assert_eq!(world.done("go", "b").await.outcome, Some(Outcome::Ok));
}

/// No snapshot will come: the dependent says itself what is wrong with the toolchain.
pub async fn what_waits_for_a_snapshot_goes_on_when_its_build_fails(world: World) {
    world.configure(
        &toolchain().replace("capacity = 1", "capacity = 2").replace("echo built > built", "exit 4"),
    );
    world.push("go", &[7]).await;
    world.push("sub", &[3]).await;
    let _running = world.start().await;
    assert_eq!(world.done("go", "b").await.outcome, Some(Outcome::Failed));
    let sub = world.done("sub", "b").await;
    assert_eq!((sub.outcome, cause(&sub).1), (Some(Outcome::Failed), "go: build: exit status 4"));
}

pub async fn a_missing_ancestor_skips_the_build(world: World) {
    let needed = hash(99);
    world.mirror.missing.lock().unwrap().insert(needed.clone());
    let text = simple("true", "").replace(
        "[builder.b]\n",
        &format!("[builder.b]\nrequired_ancestors = [{{ repo = \"one\", commit = \"{needed}\" }}]\n"),
    );
    world.configure(&text);
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Skipped), "{build:?}");
    assert_eq!(cause(&build).0, "required_ancestor");
    assert!(cause(&build).1.contains(&needed), "{build:?}");
    assert_eq!(build.attempts, []);
}

/// The mirror knows no such commit at all; of another it can't tell.
pub async fn an_ancestor_that_no_history_has_is_missing_and_an_unknown_one_is_not(world: World) {
    let (nowhere, unknown) = (hash(98), hash(97));
    world.mirror.refused.lock().unwrap().insert(nowhere.clone(), http::StatusCode::NOT_FOUND);
    world.mirror.refused.lock().unwrap().insert(unknown.clone(), http::StatusCode::SERVICE_UNAVAILABLE);
    let needs =
        |commit: &str| format!("required_ancestors = [{{ repo = \"one\", commit = \"{commit}\" }}]\n");
    let more = format!("[builder.c]\nhost = \"h\"\nrecipe = \"r\"\n{}", needs(&unknown));
    let text = simple("true", &more).replace("[builder.b]\n", &format!("[builder.b]\n{}", needs(&nowhere)));
    world.configure(&text);
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Skipped), "{build:?}");
    assert_eq!(cause(&build).1, format!("one@{nowhere} is not in the history of {}", hash(1)));
    assert_eq!(world.done("one", "c").await.outcome, Some(Outcome::Ok));
}

pub async fn max_at_once_holds(world: World) {
    let meet = world.dir.path().join("meet");
    std::fs::create_dir(&meet).unwrap();
    // Each marks itself while it runs; two marks of one builder at once would be printed.
    let run = format!(
        "cd {}; touch $GO_BUILDER_NAME.$$; ls | grep -c \"^$GO_BUILDER_NAME\\.\"; sleep 0.3; rm $GO_BUILDER_NAME.$$",
        meet.display()
    );
    let text = simple(&run, "[builder.c]\nhost = \"h\"\nrecipe = \"r\"\nmax_at_once = 1\n")
        .replace("[builder.b]\n", "[builder.b]\nmax_at_once = 1\n")
        .replace("horizon = 1", "horizon = 3")
        .replace("capacity = 2", "capacity = 3");
    world.configure(&text);
    world.push("one", &[3, 2, 1]).await;
    let _running = world.start().await;
    let end = std::time::Instant::now() + crate::world::PATIENCE;
    let rows = loop {
        let rows = world.builds().await;
        if rows.len() == 6 && rows.iter().all(|row| row.reported) {
            break rows;
        }
        assert!(std::time::Instant::now() < end, "{rows:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for row in rows {
        let build = world.dashboard.build(&row.id.to_string()).await.unwrap();
        assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
        assert_eq!(world.log(only(&build)).await, "1\n", "{build:?}");
    }
}

pub async fn a_source_that_cant_be_fetched_fails_three_times(world: World) {
    world.mirror.broken.lock().unwrap().insert("one".into());
    world.push("one", &[1]).await;
    let running = world.start().await;
    // After the second there is a pause of 10 s, which the clock may shorten.
    world.until("one", "b", |row| row.attempts == 2 && row.state == "queued").await;
    world.clock.turn(11);
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::InfraFailed), "{build:?}");
    assert_eq!(cause(&build).0, "source");
    assert_eq!(build.attempts.len(), 3);
    // No machine is to blame, and none is put away for it.
    let here: Vec<_> =
        running.status().await.workers.iter().map(|one| Some(one.worker.to_string())).collect();
    assert!(build.attempts.iter().all(|attempt| here.contains(&attempt.worker)), "{here:?} {build:?}");
    assert!(build.attempts.iter().all(|attempt| attempt.outcome == Some(Outcome::InfraFailed)));
}

pub async fn an_artefact_waits_until_there_is_room_for_it(world: World) {
    world.configure(&simple("echo kept > kept.out", "artifacts = [\"*.out\"]\n"));
    world.push("one", &[1]).await;
    let refused = Arc::new(AtomicU32::new(0));
    let gate = {
        let refused = Arc::clone(&refused);
        move |request: Request, next: Next| {
            let artefact = request.uri().path().contains("/artifacts/");
            let full = artefact && refused.fetch_add(1, Ordering::Relaxed) < 3;
            async move {
                match full {
                    true => http::StatusCode::INSUFFICIENT_STORAGE.into_response(),
                    false => next.run(request).await,
                }
            }
        }
    };
    let router = world.dashboard_router.clone().layer(axum::middleware::from_fn(gate));
    let _running = world.start_at(world.local_pool(), Arc::new(NoHooks), Service::in_process(router)).await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    assert_eq!(build.attempts.len(), 1);
    assert!(build.attempts[0].warnings.is_empty(), "{build:?}");
    let kept = world.dashboard.artifacts(&build.id).await.unwrap();
    assert_eq!(kept.artifacts.len(), 1, "{kept:?}");
    assert_eq!(refused.load(Ordering::Relaxed), 4);
}
