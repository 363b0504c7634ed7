//! Outputs that were really printed: by go 1.26, cargo 1.95, pytest 9, node 22 and perl's Test::More.

use testresults::{Format, Limits, Outcome, Test, read};

const FAILED: Outcome = Outcome::Failed;

fn tests(format: Format, output: &[u8]) -> Vec<Test> {
    let (tests, summary) = read(format, Limits::default(), output);
    assert_eq!((summary.left_out, summary.cut, summary.problem), (0, 0, None));
    assert_eq!(summary.tests, tests.len() as u64);
    for test in &tests {
        let bytes = test.bytes.clone().map_or(0..0, |bytes| bytes.start as usize..bytes.end as usize);
        assert!(output.get(bytes).is_some(), "{test:?}");
    }
    tests
}

/// Each as `id|variant|outcome`.
fn told(tests: &[Test]) -> Vec<String> {
    tests.iter().map(|test| format!("{}|{}|{}", test.id, test.variant, test.outcome.as_str())).collect()
}

fn one<'a>(tests: &'a [Test], id: &str) -> &'a Test {
    tests.iter().find(|test| test.id == id).unwrap()
}

fn part<'a>(test: &Test, output: &'a [u8]) -> &'a str {
    let bytes = test.bytes.clone().unwrap();
    std::str::from_utf8(&output[bytes.start as usize..bytes.end as usize]).unwrap()
}

#[test]
fn go_as_json() {
    let output = include_bytes!("../fixtures/go.json.txt");
    let tests = tests(Format::GoJson, output);
    let expected = [
        "example.com/mod/broken||failed",
        "example.com/mod/flaky.TestTable/first||ok",
        "example.com/mod/flaky.TestTable/second||failed",
        "example.com/mod/flaky.TestTable||failed",
        "example.com/mod/flaky.TestPanics||ok",
        "example.com/mod/good.TestFine||ok",
        "example.com/mod/good.TestSkipped||skipped",
        "example.com/mod/good.TestParallel/a||ok",
        "example.com/mod/good.TestParallel/b||ok",
        "example.com/mod/good.TestParallel||ok",
        "example.com/mod/flaky||failed",
        "example.com/mod/good||ok",
    ];
    assert_eq!(told(&tests), expected);
    let broken = one(&tests, "example.com/mod/broken").message.as_deref().unwrap();
    assert!(broken.contains("broken_test.go:5:32: undefined: undefined"), "{broken}");
    let second = one(&tests, "example.com/mod/flaky.TestTable/second");
    assert!(second.message.as_deref().unwrap().starts_with("    flaky_test.go:7: got 3, want 4 at 0x"));
    let said = part(second, output);
    assert!(
        said.starts_with("{\"Time\"") && said.contains("got 3, want 4") && said.ends_with("\"Elapsed\":0}\n")
    );
    assert_eq!(one(&tests, "example.com/mod/flaky").message, None);
    assert_eq!(one(&tests, "example.com/mod/good").micros, Some(6000));
    let skipped = one(&tests, "example.com/mod/good.TestSkipped").message.as_deref().unwrap();
    assert!(skipped.contains("not here"), "{skipped}");
}

#[test]
fn a_panic_in_go() {
    let output = include_bytes!("../fixtures/go-panic.json.txt");
    let found = tests(Format::GoJson, output);
    let panics = one(&found, "example.com/mod/flaky.TestPanics");
    assert_eq!(panics.outcome, FAILED);
    assert!(panics.message.as_deref().unwrap().contains("panic: assignment to entry in nil map"));
    // The machine goes down in the middle.
    let at = output.windows(12).position(|part| part == b"panic: assig").unwrap();
    let found = tests(Format::GoJson, &output[..at]);
    assert_eq!(one(&found, "example.com/mod/flaky.TestPanics").outcome, Outcome::Unfinished);
    assert_eq!(one(&found, "example.com/mod/flaky").outcome, Outcome::Unfinished);
}

#[test]
fn benchmarks_of_go() {
    let json = tests(Format::GoJson, include_bytes!("../fixtures/go-bench.json.txt"));
    let plain = tests(Format::Dist, include_bytes!("../fixtures/go-bench.txt"));
    for (tests, value) in [(json, 42.1), (plain, 74.2)] {
        let bench = one(&tests, "example.com/mod/good.BenchmarkSum");
        let measure = bench.measure.as_ref().unwrap();
        assert_eq!((measure.value, measure.unit.as_str(), bench.outcome), (value, "ns/op", Outcome::Ok));
        assert_eq!(one(&tests, "example.com/mod/good").outcome, Outcome::Ok);
    }
}

#[test]
fn go_for_people() {
    let output = include_bytes!("../fixtures/go.txt");
    let found = tests(Format::Dist, output);
    let expected = [
        "example.com/mod/broken||failed",
        "example.com/mod/flaky.TestTable||failed",
        "example.com/mod/flaky.TestTable/second||failed",
        "example.com/mod/flaky||failed",
        "example.com/mod/good||ok",
    ];
    assert_eq!(told(&found), expected);
    let broken = one(&found, "example.com/mod/broken").message.as_deref().unwrap();
    assert!(broken.contains("undefined: undefined") && broken.ends_with("[build failed]"), "{broken}");
    let second = one(&found, "example.com/mod/flaky.TestTable/second");
    assert!(
        part(second, output).starts_with("    --- FAIL: TestTable/second (0.00s)\n        flaky_test.go:7")
    );
    assert_eq!(one(&found, "example.com/mod/flaky").micros, Some(4000));

    let output = include_bytes!("../fixtures/go-verbose.txt");
    let found = tests(Format::Dist, output);
    let panics = one(&found, "example.com/mod/flaky.TestPanics");
    assert!(panics.message.as_deref().unwrap().contains("goroutine 9 [running]"));
    let second = one(&found, "example.com/mod/flaky.TestTable/second");
    assert!(second.message.as_deref().unwrap().contains("got 3, want 4"));
    let good = ["TestFine", "TestSkipped", "TestParallel", "TestParallel/a", "TestParallel/b"];
    let good = good.map(|test| one(&found, &format!("example.com/mod/good.{test}")).outcome);
    assert_eq!(good.map(Outcome::as_str), ["ok", "skipped", "ok", "ok", "ok"]);
    assert_eq!(found.len(), 4 + 1 + 5 + 1);
    // What runs when the time is over never ends.
    let at = output.windows(9).position(|part| part == b"--- FAIL:").unwrap();
    assert_eq!(told(&tests(Format::Dist, &output[..at])).len(), 3);
    assert!(tests(Format::Dist, &output[..at]).iter().all(|test| test.outcome == Outcome::Unfinished));
}

#[test]
fn dist() {
    let output = include_str!("../fixtures/dist.txt");
    let found = tests(Format::Dist, output.as_bytes());
    let expected = ["errors||ok", "path||ok", "sync|sync -cpu=10|ok"];
    assert_eq!(told(&found), expected);
    assert_eq!(one(&found, "sync").micros, Some(221_000));
    // As the coordinator prints it.
    let printed = output.replace("XXXBANNERXXX:", "##### ");
    assert_eq!(told(&tests(Format::Dist, printed.as_bytes())), expected);
    // What ends without a package.
    let cut = "##### Testing packages.\nok  \ta\t1.5s\n--- FAIL: TestX (0.10s)\n    x_test.go:1: bad\n##### b\nok  \ta\t(cached)\n";
    assert_eq!(told(&tests(Format::Dist, cut.as_bytes())), ["a||ok", "TestX||failed", "a|b|ok"]);
}

#[test]
fn cargo_test() {
    let expected = [
        ("it::says", "failed"),
        ("it::whole", "ok"),
        ("sample::src/lib.rs - two", "ok"),
        ("sample::tests::broken", "failed"),
        ("sample::tests::fine", "ok"),
        ("sample::tests::long", "skipped"),
        ("sample::tests::panics", "ok"),
    ];
    let plain = include_bytes!("../fixtures/cargo.txt");
    let json = include_bytes!("../fixtures/cargo.json.txt");
    for (format, output) in [(Format::Libtest, &plain[..]), (Format::LibtestJson, &json[..])] {
        let found = tests(format, output);
        let mut all: Vec<_> = found.iter().map(|test| (test.id.as_str(), test.outcome.as_str())).collect();
        all.sort_unstable();
        assert_eq!(all, expected, "{format:?}");
        let broken = one(&found, "sample::tests::broken");
        assert!(broken.message.as_deref().unwrap().contains("left: 2"), "{broken:?}");
        assert!(part(broken, output).contains("assertion `left == right` failed: the sum"));
        assert_eq!(one(&found, "it::says").message.as_deref(), Some("Error: \"no luck\""));
        assert_eq!(one(&found, "sample::tests::long").message.as_deref(), Some("takes long"));
    }
    let json = tests(Format::LibtestJson, json);
    assert_eq!(one(&json, "sample::tests::broken").micros, Some(123_213));
    let quiet = tests(Format::Libtest, include_bytes!("../fixtures/cargo-quiet.txt"));
    assert_eq!(told(&quiet), ["tests::broken||failed", "says||failed"]);
    assert!(quiet[0].message.as_deref().unwrap().contains("the sum"));
}

#[test]
fn a_program_of_rust_that_dies() {
    let output = "     Running unittests src/lib.rs (target/debug/deps/a-0123456789abcdef)\n\nrunning 3 tests\n\
        test one ... ok\ntest two ... error: test failed, to rerun pass `-p a --lib`\n\n\
        Caused by:\n  process didn't exit successfully (signal: 6, SIGABRT)\n";
    let found = tests(Format::Libtest, output.as_bytes());
    assert_eq!(told(&found), ["a::one||ok", "a::two||unfinished", "a||unfinished"]);
    assert_eq!(found[2].message.as_deref(), Some("the program ended after 1 of its 3 tests"));
    let json = "{ \"type\": \"test\", \"event\": \"started\", \"name\": \"x\" }\nSegmentation fault\n";
    assert_eq!(told(&tests(Format::LibtestJson, json.as_bytes())), ["x||unfinished"]);
    // With one thread, and output between.
    let output = "running 2 tests\ntest a ... hello\nok\ntest b ... bench:       1,234 ns/iter (+/- 5)\n\ntest result: ok. 1 passed\n";
    let found = tests(Format::Libtest, output.as_bytes());
    assert_eq!(told(&found), ["a||ok", "b||ok"]);
    assert_eq!(found[1].measure.as_ref().unwrap().value, 1234.0);
}

#[test]
fn nextest() {
    let output = r#"{"type":"suite","event":"started","test_count":1,"nextest":{"crate":"a","test_binary":"it","kind":"test"}}
{"type":"test","event":"started","name":"a::it$case::one"}
{"type":"test","event":"failed","name":"a::it$case::one","exec_time":0.5,"stdout":"boom"}
"#;
    let found = tests(Format::LibtestJson, output.as_bytes());
    assert_eq!(told(&found), ["a::it::case::one||failed"]);
    assert_eq!((found[0].micros, found[0].message.as_deref()), (Some(500_000), Some("boom")));
}

#[test]
fn tap() {
    let output = include_bytes!("../fixtures/node.tap");
    let found = tests(Format::Tap, output);
    let expected = [
        "outer > inner good||ok",
        "outer > inner bad||failed",
        "outer||failed",
        "skipped||skipped",
        "later||skipped",
        "fine # odd||ok",
    ];
    assert_eq!(told(&found), expected);
    let bad = one(&found, "outer > inner bad");
    assert!(bad.micros.is_some() && part(bad, output).starts_with("    not ok 2 - inner bad\n"));
    assert!(bad.message.as_deref().unwrap().contains("error: '1 == 2'"));
    assert_eq!(one(&found, "skipped").message.as_deref(), Some("SKIP not here"));

    let found = tests(Format::Tap, include_bytes!("../fixtures/perl.tap"));
    let expected =
        ["fine||ok", "sum||failed", "test 3||skipped", "known||skipped", "group > in it||ok", "group||ok"];
    assert_eq!(told(&found), expected);
    assert!(one(&found, "sum").message.as_deref().unwrap().contains("got: '1'"));

    let cut = "TAP version 13\n1..4\nok 1 a\nnot ok 2\nBail out! no disk\n";
    let found = tests(Format::Tap, cut.as_bytes());
    assert_eq!(told(&found), ["a||ok", "test 2||failed", "(plan)||unfinished"]);
    assert_eq!(found[2].message.as_deref(), Some("2 of 4 tests were told of; bail out: no disk"));
    let two = "1..1\nok 1 - a # time=1.5ms\n1..1\nok 1 - a\n";
    let found = tests(Format::Tap, two.as_bytes());
    assert_eq!((told(&found), found[0].micros), (vec!["a||ok".to_owned(), "a|#2|ok".to_owned()], Some(1500)));
}

#[test]
fn pytest() {
    let output = include_bytes!("../fixtures/pytest-verbose.txt");
    let found = tests(Format::Pytest, output);
    let expected = [
        "test_sample.py::TestGroup::test_fine||ok",
        "test_sample.py::TestGroup::test_each[1]||ok",
        "test_sample.py::TestGroup::test_each[2]||failed",
        "test_sample.py::test_skipped||skipped",
        "test_sample.py::test_known||skipped",
        "test_sample.py::test_errors||failed",
    ];
    assert_eq!(told(&found), expected);
    let each = one(&found, "test_sample.py::TestGroup::test_each[2]");
    assert!(each.message.as_deref().unwrap().contains("E   AssertionError: only one"));
    assert!(part(each, output).starts_with("____"));
    assert!(
        one(&found, "test_sample.py::test_errors")
            .message
            .as_deref()
            .unwrap()
            .contains("RuntimeError: no fixture")
    );
    assert_eq!(one(&found, "test_sample.py::test_skipped").message.as_deref(), Some("not here"));

    let found = tests(Format::Pytest, include_bytes!("../fixtures/pytest.txt"));
    let expected = ["test_sample.py::TestGroup::test_each[2]||failed", "test_sample.py::test_errors||failed"];
    assert_eq!(told(&found), expected);
    assert!(found[0].message.as_deref().unwrap().contains("only one"));

    let found =
        tests(Format::Pytest, b"[gw0] [ 50%] PASSED t/a.py::x \na.py::y Fatal Python error: Aborted\n");
    assert_eq!(told(&found), ["t/a.py::x||ok", "a.py::y||unfinished"]);
    let rerun =
        b"a.py::x RERUN   [ 50%]\na.py::x PASSED   [100%]\n== slowest durations ==\n0.25s call     a.py::x\n";
    let found = tests(Format::Pytest, rerun);
    assert_eq!(
        (told(&found), found[0].micros),
        (vec!["a.py::x||ok".to_owned(), "a.py::x|#2|failed".to_owned()], Some(250_000))
    );
}

#[test]
fn junit() {
    let found = tests(Format::Junit, include_bytes!("../fixtures/pytest.xml"));
    let expected = [
        "test_sample.TestGroup.test_fine||ok",
        "test_sample.TestGroup.test_each[1]||ok",
        "test_sample.TestGroup.test_each[2]||failed",
        "test_sample.test_skipped||skipped",
        "test_sample.test_known||skipped",
        "test_sample.test_errors||failed",
    ];
    assert_eq!(told(&found), expected);
    assert_eq!(found[0].micros, Some(1000));
    let each = found[2].message.as_deref().unwrap();
    assert!(
        each.starts_with("AssertionError: only one\nassert 2 == 1\nself = <test_sample.TestGroup"),
        "{each}"
    );
    assert!(
        found[5].message.as_deref().unwrap().starts_with("failed on setup with \"RuntimeError: no fixture\"")
    );

    let odd = "\u{feff}<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a \"b>c\">]><!-- <testcase name='no'/> --><t:testsuites>\
        <testsuite><testcase classname=\"a::b\" name='c' time=\"1,000.5\"><flakyFailure>x</flakyFailure>\
        <system-out><![CDATA[<testcase name='no'/>]]]]></system-out></testcase>\
        <testcase name=\"d\"><failure><![CDATA[a]]b <&>]]>&a; &#65;&amp; & b</failure></testcase></testsuite></t:testsuites>";
    let found = tests(Format::Junit, odd.as_bytes());
    assert_eq!(told(&found), ["a::b::c||ok", "a::b::c|#2|failed", "d||failed"]);
    assert_eq!(found[0].micros, Some(1_000_500_000));
    assert_eq!(found[2].message.as_deref(), Some("a]]b <&>&a; A& & b"));

    let problem = |text: &[u8]| read(Format::Junit, Limits::default(), text).1.problem.unwrap();
    assert!(problem(b"").contains("no XML"));
    assert!(problem(b"<html><body>").contains("no JUnit"));
    assert!(problem(b"<testsuite><testcase name='x'><failure>").contains("not whole"));
    assert!(problem(b"\xff\xfe<\0").contains("UTF-8"));
}

#[test]
fn limits_hold_and_what_is_left_out_is_counted() {
    let limits = Limits { tests: 10, ..Limits::default() };
    let output: String = (0..100)
        .map(|n| format!("ok {n} - t{n}\n"))
        .chain((0..5).map(|n| format!("not ok - f{n}\n")))
        .collect();
    let (found, summary) = read(Format::Tap, limits, output.as_bytes());
    assert_eq!((found.len(), summary.left_out, summary.tests), (11, 94, 11));
    assert_eq!(found[10].id, "f0");
    let long = format!("{{\"Action\":\"pass\",\"Package\":\"p\",\"Test\":\"{}\"}}\n", "x".repeat(2000));
    let limits = Limits { line: 1000, ..Limits::default() };
    assert_eq!(read(Format::GoJson, limits, long.as_bytes()).1.cut, 1);
    let (found, _) = read(Format::GoJson, Limits::default(), long.as_bytes());
    assert_eq!(found[0].id.len(), Limits::default().name);
}
