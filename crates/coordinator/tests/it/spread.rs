//! Build once, fan out: the tests of a build on several machines, one of them lost in the middle.
//!
//! Tests wait for each other through files beside the workers, so that it is certain which machine has which.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use coordinator::Clock as _;
use dashboard::api::{AttemptReport, BuildReport, Outcome, SpreadReport};
use store::builds::NewBuild;
use store::{BuildId, Micros};

use crate::world::{PATIENCE, World, hash, kill, worker_pid};

/// A recipe whose `suite` is written by `build`, and knows the tests that it is called with. `$D` is a directory that all
/// machines share.
fn configuration(world: &World, suite: &str, list: &str, more: &str) -> String {
    let shared = world.dir.path().display();
    let build = format!(
        "D={shared}\\nuntil_there() {{ n=0; until [ -e \"$D/$1\" ] || [ $n -gt 600 ]; do n=$((n+1)); sleep 0.1; done; }}\\n\
         for t in \"$@\"; do echo \"test $t\"; case $t in {suite} esac; done"
    );
    format!(
        "[host.h]\npool = \"local\"\ntrust = \"trusted\"\ncapacity = 2\nenv_pass = [\"PATH\"]\n\
         [repo.one]\nurl = \"https://example.com/one\"\nhorizon = 1\n\
         [builder.b]\nhost = \"h\"\nrecipe = \"r\"\nhelpers = 1\n\
         [recipe.r]\nbuild = '''printf '{build}\\n' > suite'''\nlist = \"echo {list}\"\nrun = \"sh ./suite {{tests}}\"\n{more}"
    )
}

fn only(build: &BuildReport) -> &AttemptReport {
    let [attempt] = build.attempts.as_slice() else { panic!("{build:?}") };
    attempt
}

fn spread(build: &BuildReport) -> &SpreadReport {
    only(build).spread.as_ref().unwrap_or_else(|| panic!("{build:?}"))
}

async fn there(path: PathBuf) {
    let end = Instant::now() + PATIENCE;
    while !path.exists() {
        assert!(Instant::now() < end, "{} does not come", path.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn log_of(list: &[&str]) -> String {
    let said: String = list.iter().map(|test| format!("test {test}\n")).collect();
    format!("{}\n{said}", list.join(" "))
}

pub async fn a_list_is_run_by_two_machines_and_printed_in_its_order(world: World) {
    // The first is held up until another machine has run the last.
    let suite = "a) until_there z;; z) touch $D/z;;";
    let list = ["a", "b", "c", "d", "z"];
    world.configure(&configuration(&world, suite, &list.join(" "), ""));
    world.push("one", &[1]).await;
    let running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    assert_eq!(world.log(only(&build)).await, log_of(&list));
    let told = spread(&build);
    let [own, helper] = told.machines.as_slice() else { panic!("{told:?}") };
    assert_eq!(own.worker, only(&build).worker.clone().unwrap());
    assert_eq!((own.chunks, helper.chunks), (1, 4), "{told:?}");
    assert!(told.chunks.iter().all(|chunk| chunk.ok && chunk.tries == 1 && chunk.tests == 1), "{told:?}");
    assert!(told.critical_path.iter().any(|part| part.name.contains("chunks of tests")), "{told:?}");
    running.until(|status| status.workers.iter().all(|worker| worker.state == "idle")).await;
    assert!(world.objects.list("spread").await.unwrap().is_empty(), "nobody needs the trees any more");
    // What was measured is known next time.
    let mut reader = world.db.read().await.unwrap();
    let known =
        store::durations::medians(&mut reader, "b", "one", store::durations::Kind::Test).await.unwrap();
    assert_eq!(known.len(), 5, "{known:?}");
    assert!(known["a"] > known["b"], "{known:?}");
}

pub async fn a_machine_that_dies_gives_its_tests_back(world: World) {
    // Whoever has the second first dies with it. The first ends once that has begun.
    let suite = "a) until_there begun;; b) if ! [ -e $D/begun ]; then touch $D/begun; sleep 600; fi;;";
    let list = ["a", "b", "c", "d"];
    world.configure(&configuration(&world, suite, &list.join(" "), ""));
    world.push("one", &[1]).await;
    let running = world.start().await;
    there(world.dir.path().join("begun")).await;
    let status = running.status().await;
    let helps =
        |reason: &Option<String>| reason.as_ref().is_some_and(|reason| reason.starts_with("helps build"));
    let helper = status.workers.iter().find(|worker| helps(&worker.reason)).unwrap();
    kill(worker_pid(&world.dir.path().join("workers").join(helper.worker.to_string())).unwrap());
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    assert_eq!(world.log(only(&build)).await, log_of(&list), "each once, in its order");
    let told = spread(&build);
    let tries: Vec<_> = told.chunks.iter().map(|chunk| (chunk.first_test.as_str(), chunk.tries)).collect();
    assert_eq!(tries, [("a", 1), ("b", 2), ("c", 1), ("d", 1)]);
    assert!(told.machines.iter().any(|machine| machine.lost.is_some()), "{told:?}");
    running.until(|status| status.workers.iter().all(|worker| worker.state == "idle")).await;
}

pub async fn all_tests_run_though_one_fails(world: World) {
    let list = ["a", "b", "c"];
    world.configure(&configuration(&world, "a) exit 3;;", &list.join(" "), ""));
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Failed), "{build:?}");
    assert_eq!(build.cause.as_ref().unwrap().detail, "run: a: exit status 3");
    assert_eq!(world.log(only(&build)).await, log_of(&list));
}

pub async fn the_first_failure_ends_all_tests_where_that_is_wanted(world: World) {
    // The first fails once the second runs elsewhere, which would go on for ever.
    let suite = "a) until_there second; exit 3;; b) touch $D/second; sleep 600;;";
    world.configure(&configuration(&world, suite, "a b c", "fail_fast = true\n"));
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.cause.as_ref().unwrap().detail, "run: a: exit status 3", "{build:?}");
    assert!(!world.log(only(&build)).await.contains("test c"), "what waited was not run");
}

pub async fn a_build_whose_tests_are_spread_is_cancelled_everywhere(world: World) {
    let suite = "a) touch $D/first; sleep 600;; b) touch $D/second; sleep 600;;";
    world.configure(&configuration(&world, suite, "a b c", ""));
    world.push("one", &[1]).await;
    let running = world.start().await;
    there(world.dir.path().join("first")).await;
    there(world.dir.path().join("second")).await;
    let row = world.until("one", "b", |row| row.state == "running").await;
    running.post(&format!("/api/v1/builds/{}/cancel", row.id)).await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Cancelled), "{build:?}");
    let status = running.until(|status| status.workers.iter().all(|worker| worker.state == "idle")).await;
    assert_eq!(status.workers.len(), 2, "both are clean, and none is lost: {status:?}");
}

pub async fn what_nobody_reviewed_is_spread_and_leaves_nothing(world: World) {
    let text = configuration(&world, "*) sleep 0.5;;", "a b c d e f", "snapshot = true\n");
    let trust = "trust = \"untrusted-ok\"\nisolation = \"namespaces\"";
    world.configure(&text.replace("trust = \"trusted\"", trust));
    let files = [("hello".to_owned(), "hello\n".to_owned())];
    world.mirror.files.lock().unwrap().insert("one".to_owned(), files.into());
    let id = BuildId::new(Micros(1), &mut |to: &mut [u8]| world.clock.random(to));
    let new = NewBuild {
        id,
        builder: "b".into(),
        repo: "one".into(),
        branch: "main".into(),
        toolchain_branch: None,
        revision: format!("one@{}", hash(7)),
        class: "try",
        priority: 0,
        commit_time: Micros(1),
        untrusted: true,
        sample: String::new(),
        avoid: String::new(),
        rules: String::new(),
    };
    let mut tx = world.db.begin().await.unwrap();
    assert!(store::builds::insert(&mut tx, &new, Micros::now()).await.unwrap());
    tx.commit().await.unwrap();
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    assert_eq!(spread(&build).chunks.len(), 6, "{build:?}");
    for prefix in ["spread", "snapshots"] {
        assert!(world.objects.list(prefix).await.unwrap().is_empty(), "{prefix}");
    }
    // Nor does it say how long the tests of others take.
    let mut reader = world.db.read().await.unwrap();
    let known =
        store::durations::medians(&mut reader, "b", "one", store::durations::Kind::Test).await.unwrap();
    assert!(known.is_empty(), "{known:?}");
}

pub async fn junit_files_of_all_machines_are_put_together(world: World) {
    // Every chunk writes over what the one before it wrote, and `x` runs in two of them.
    let suite = "D=$1; shift; n=0
        for t in \"$@\"; do
            case $t in a) until [ -e $D/z ] || [ $n -gt 600 ]; do n=$((n+1)); sleep 0.1; done;; z) touch $D/z;; esac
            said=''; [ $t != c ] || { said='<failure message=\"it does not work\"/>'; bad=1; }
            echo \"<testsuite><testcase name='$t'>$said</testcase></testsuite>\" > out/last.xml
            case $t in b|z) echo \"<testsuite><testcase name='x'/></testsuite><!-- $t -->\" > out/x.xml;; esac
            [ $t != b ] || echo no > out/broken.xml
        done
        exit ${bad:-0}
";
    let files = [("suite", suite), ("before.xml", "<testsuite><testcase name='before'/></testsuite>")];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
    world.mirror.files.lock().unwrap().insert("one".to_owned(), files.into());
    let shared = world.dir.path().display();
    world.configure(&format!(
        "[host.h]\npool = \"local\"\ntrust = \"trusted\"\ncapacity = 2\nenv_pass = [\"PATH\"]\n\
         [repo.one]\nurl = \"https://example.com/one\"\nhorizon = 1\n\
         [builder.b]\nhost = \"h\"\nrecipe = \"r\"\nhelpers = 1\n\
         [recipe.r]\nbuild = \"mkdir out && mv before.xml out\"\nlist = \"echo a b c z\"\n\
         run = \"sh ./suite {shared} {{tests}}\"\nresults = \"junit\"\njunit = \"out/*.xml\"\n"
    ));
    world.push("one", &[1]).await;
    let running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.cause.as_ref().unwrap().detail, "run: c: exit status 1", "{build:?}");
    let machines: Vec<_> = spread(&build).machines.iter().map(|machine| machine.chunks).collect();
    assert_eq!(machines, [1, 3]);
    let tests = world.dashboard.tests(&build.id).await.unwrap().tests;
    let mut told: Vec<_> =
        tests.iter().map(|test| format!("{}{} {}", test.id, test.variant, test.outcome)).collect();
    told.sort();
    // What lay there before is the same on both machines, and counts once.
    assert_eq!(told, ["a ok", "b ok", "before ok", "c failed", "x ok", "x#2 ok", "z ok"]);
    let failed = tests.iter().find(|test| test.outcome == "failed").unwrap();
    assert_eq!(failed.message.as_deref(), Some("it does not work"));
    let warnings = &only(&build).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("JUnit file out/broken.xml: "), "{warnings:?}");
    running.until(|status| status.workers.iter().all(|worker| worker.state == "idle")).await;
    assert!(world.objects.list("spread").await.unwrap().is_empty(), "nothing is left of what waited");
}
