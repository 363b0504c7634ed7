//! Results of tests: out of the log, and out of files.

use dashboard::api::{Outcome, TestResult};

use crate::outcomes::cause;
use crate::world::{World, simple};

/// Each as `id outcome`, in order.
fn told(tests: &[TestResult]) -> Vec<String> {
    let mut told: Vec<_> = tests.iter().map(|test| format!("{} {}", test.id, test.outcome)).collect();
    told.sort();
    told
}

/// The recipe of `b` with these results.
fn with(run: &str, results: &str, more: &str) -> String {
    simple(run, more).replace("[recipe.r]\n", &format!("[recipe.r]\nresults = \"{results}\"\n"))
}

pub async fn results_of_tests_are_read_out_of_the_log(world: World) {
    let dist = "printf '##### Testing packages.\\nok  \\tbytes\\t1.5s\\n--- FAIL: TestX (0.10s)\\n    x_test.go:1: got 3\\nFAIL\\nFAIL\\tos\\t0.2s\\n'; exit 1";
    let json = "printf '{\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"TestA\"}\\n{\"Action\":\"pass\",\"Package\":\"p\",\"Test\":\"TestA\",\"Elapsed\":0.5}\\n{\"Action\":\"pass\",\"Package\":\"p\",\"Elapsed\":1}\\n'";
    let rust = "echo '     Running unittests src/lib.rs (target/debug/deps/a-0123456789abcdef)'; printf 'running 1 test\\ntest x::y ... ok\\n\\ntest result: ok.\\n'";
    let more = format!(
        "[builder.json]\nhost = \"h\"\nrecipe = \"json\"\n[recipe.json]\nresults = \"go-json\"\n\
         [[recipe.json.step]]\nname = \"one\"\nrun = '''echo ok 1; {json}'''\n\
         [[recipe.json.step]]\nname = \"two\"\nrun = '''{json}'''\n\
         [builder.rust]\nhost = \"h\"\nrecipe = \"rust\"\n[recipe.rust]\nresults = \"libtest\"\nbuild = \"echo test z ... ok\"\nrun = '''{rust}'''\n\
         [builder.odd]\nhost = \"h\"\nrecipe = \"odd\"\n[recipe.odd]\nresults = \"tap\"\nrun = \"echo hello\"\n"
    );
    world.configure(&with(dist, "dist", &more));
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(cause(&build), ("exit", "run: exit status 1"));
    let tests = world.dashboard.tests(&build.id).await.unwrap().tests;
    assert_eq!(told(&tests), ["bytes ok", "os failed", "os.TestX failed"]);
    let failed = tests.iter().find(|test| test.id == "os.TestX").unwrap();
    let log = world.log(&build.attempts[0]).await;
    let (first, last) = (failed.first_byte.unwrap() as usize, failed.last_byte.unwrap() as usize);
    assert_eq!(&log[first..=last], "--- FAIL: TestX (0.10s)\n    x_test.go:1: got 3\n");
    assert_eq!((failed.duration_us, failed.signature.as_deref().map(str::len)), (Some(100_000), Some(16)));

    // Two steps in one log; the second time it is another run of the same test.
    let build = world.done("one", "json").await;
    let tests = world.dashboard.tests(&build.id).await.unwrap().tests;
    assert_eq!(told(&tests), ["p ok", "p ok", "p.TestA ok", "p.TestA ok"]);
    // What builds is not asked.
    let build = world.done("one", "rust").await;
    let tests = world.dashboard.tests(&build.id).await.unwrap().tests;
    assert_eq!(told(&tests), ["a::x::y ok"]);
    let build = world.done("one", "odd").await;
    assert_eq!(build.outcome, Some(Outcome::Ok));
    let warnings = build.attempts[0].warnings.join("\n");
    assert!(warnings.contains("no result of a test is in the output: is it tap"), "{warnings}");
}

pub async fn junit_files_are_read_on_the_worker(mut world: World) {
    let secret = "correct-horse-battery-staple";
    world.secrets.insert("deploy".into(), secret.into());
    let run = "mkdir out; echo \"<testsuite><testcase classname='a' name='x' time='0.5'/><testcase name='y'><failure message='got $DEPLOY_TOKEN'/></testcase></testsuite>\" > out/1.xml; \
        echo '<testsuite><testcase name=\"y\"/>' > out/2.xml; echo 'no' > out/3.xml; exit 2";
    let more =
        "junit = \"out/*.xml\"\n[secret.deploy]\nenv = \"D\"\nas = \"DEPLOY_TOKEN\"\nbuilders = [\"b\"]\n";
    world.configure(&with(run, "junit", more));
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Failed), "{build:?}");
    let tests = world.dashboard.tests(&build.id).await.unwrap().tests;
    assert_eq!(told(&tests), ["a.x ok", "y failed", "y ok"]);
    let failed = tests.iter().find(|test| test.outcome == "failed").unwrap();
    assert_eq!(failed.message.as_deref(), Some("got ***"));
    let warnings = &build.attempts[0].warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("JUnit file out/3.xml: there is no element in it"), "{warnings:?}");
}
