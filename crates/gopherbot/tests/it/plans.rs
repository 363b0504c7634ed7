//! What is kept, and what would be posted, by `spec/services.md` §5.4 to 5.14.

use gopherbot::watchflakes::{
    Build, Comment, Config, Failure, Intent, Issue, Kept, Parts, PlanError, Record, TestFailure,
    broken_builder, broken_commit, coalesce, plan, snippet, split_test_id,
};

fn failure(pkg: &str, test: &str) -> Failure {
    Failure::from(parts(pkg, test))
}

fn parts(pkg: &str, test: &str) -> Parts {
    Parts {
        pkg: pkg.into(),
        test: test.into(),
        build: false,
        output: "--- FAIL: it\n    x <b>".into(),
        log: "whole log".into(),
        status: "FAIL".into(),
        builder: "linux-amd64".into(),
        repo: "net".into(),
        goos: "linux".into(),
        goarch: "amd64".into(),
        commit: "0123456789abcdef".into(),
        committed: "2026-11-28T07:05:09Z".parse().unwrap(),
        go_commit: Some("fedcba9876543210".into()),
        top: false,
        log_url: "https://ci.example.org/b/1/log".into(),
    }
}

fn build(id: &str, failures: Vec<Failure>) -> Build {
    Build { id: id.into(), failures }
}

fn issue(number: u64, script: &str) -> Issue {
    Issue {
        number,
        title: format!("issue {number}"),
        body: format!("```\n#!watchflakes\n{script}\n```\n"),
        created: "2026-11-01T00:00:00Z".parse().unwrap(),
        edited: None,
        closed: None,
        comments: Vec::new(),
    }
}

fn config() -> Config {
    Config {
        old_prefixes: vec!["https://old.example.org/b/".into()],
        ..Config::new("https://ci.example.org/b/")
    }
}

/// `#5` for a comment, `new: title`, `skip #5`, `complain #5`.
fn intents(issues: &[Issue], builds: &[Build]) -> Vec<String> {
    let planned = plan(issues, builds, &config()).unwrap();
    let show = |intent: &Intent| match intent {
        Intent::NewIssue { title, .. } => format!("new: {title}"),
        Intent::Comment { issue, reopen, builds, .. } => {
            format!("#{issue}{} {}", if *reopen { " reopen" } else { "" }, builds.join(","))
        }
        Intent::Complain { issue, .. } => format!("complain #{issue}"),
        Intent::Skip { issue, build, failure } => format!("skip #{issue} {build}.{failure}"),
    };
    planned.intents.iter().map(show).collect()
}

#[test]
fn skip_wins_then_every_post_then_the_first_default() {
    let one = || vec![build("b1", vec![failure("net/http", "TestA")])];
    let post = |number| issue(number, "post <- pkg == \"net/http\"");
    let default = |number| issue(number, "default <- pkg == \"net/http\"");
    assert_eq!(intents(&[default(9), default(5)], &one()), ["#5 b1"]);
    assert_eq!(intents(&[default(5), post(9), post(7)], &one()), ["#7 b1", "#9 b1"]);
    let skip = issue(12, "skip <- test == \"TestA\"");
    assert_eq!(intents(&[post(7), skip.clone()], &one()), ["skip #12 b1.0"]);
    let mut broken = issue(3, "skip <- test = \"TestA\"");
    assert_eq!(intents(&[post(7), broken.clone()], &one()), ["complain #3", "#7 b1"]);
    // It was said, and the text was not edited since.
    let said = |created: &str| Comment {
        body: "No.\r\n\r\n— watchflakes\r\n".into(),
        created: created.parse().unwrap(),
    };
    broken.comments.push(said("2026-11-02T00:00:00Z"));
    assert_eq!(intents(&[broken.clone()], &[]), [""; 0]);
    broken.edited = Some("2026-11-03T00:00:00Z".parse().unwrap());
    assert_eq!(intents(&[broken], &[]), ["complain #3"]);
    let odd = issue(4, "whatever <- test == \"TestA\"\npost <- pkg == \"net/http\"");
    assert_eq!(intents(&[odd], &one()), ["new: net/http: TestA failures"]);
    let take = plan(&[issue(4, "take <- test == \"TestA\"")], &one(), &config()).unwrap();
    assert!(take.notes[0].starts_with("issue 4 would take 2026-11-28 07:05 linux-amd64"), "{:?}", take.notes);
}

#[test]
fn one_new_issue_a_build_collects_what_follows() {
    let builds = [
        build(
            "b1",
            vec![failure("golang.org/x/net/http2", "TestA"), failure("golang.org/x/net/http2", "TestB")],
        ),
        build(
            "b2",
            vec![failure("golang.org/x/net/http2", "TestB"), failure("golang.org/x/net/http2", "TestA")],
        ),
    ];
    assert_eq!(
        intents(&[], &builds),
        ["new: x/net/http2: TestA failures", "new: x/net/http2: TestB failures"]
    );
    let planned = plan(&[], &builds, &config()).unwrap();
    let Intent::NewIssue { body, comment, builds, labels, .. } = &planned.intents[0] else { panic!() };
    assert!(body.starts_with(
        "```\n#!watchflakes\ndefault <- pkg == \"golang.org/x/net/http2\" && test == \"TestA\"\n```\n"
    ));
    assert_eq!((builds.join(","), labels.join(",")), ("b1,b2".into(), "Automation".into()));
    assert_eq!(
        comment,
        "New failures that belong here, by the rules\n\n    #!watchflakes\n    default <- pkg == \"golang.org/x/net/http2\" && test == \"TestA\"\n\n\
         <details><summary>2026-11-28 07:05 linux-amd64 net@01234567 go@fedcba98 golang.org/x/net/http2.TestA [FAIL] (<a href=\"https://ci.example.org/b/b1\">build</a>, <a href=\"https://ci.example.org/b/1/log\">log</a>)</summary>\n\n    --- FAIL: it\n        x <b>\n\n</details>\n\
         <details><summary>2026-11-28 07:05 linux-amd64 net@01234567 go@fedcba98 golang.org/x/net/http2.TestA [FAIL] (<a href=\"https://ci.example.org/b/b2\">build</a>, <a href=\"https://ci.example.org/b/1/log\">log</a>)</summary>\n\n    --- FAIL: it\n        x <b>\n\n</details>\n\
         \n— watchflakes\n"
    );
}

#[test]
fn new_issues_are_named_after_what_failed() {
    let title = |parts: Parts| intents(&[], &[build("b", vec![parts.into()])]).remove(0);
    assert_eq!(title(parts("cmd/go", "")), "new: cmd/go: unrecognized failures");
    assert_eq!(title(parts("", "TestX")), "new: build: TestX failures");
    assert_eq!(title(Parts { build: true, ..parts("", "") }), "new: build: build failure on linux-amd64");
    assert_eq!(title(parts("", "")), "new: build: unrecognized failures on linux-amd64");
    let top = || build("b", vec![Parts { top: true, ..parts("a", "TestX") }.into()]);
    let builds: Vec<Build> = (0..4).map(|n| Build { id: n.to_string(), ..top() }).collect();
    assert_eq!(intents(&[], &builds), ["new: a: TestX failures [consistent failure]"]);
    assert_eq!(intents(&[], &builds[1..]), ["new: a: TestX failures"]);
    // A name of anybody's can't get out of its rule.
    let odd = plan(&[], &[build("b", vec![failure("a\"||`x`\n", "TestX")])], &config()).unwrap();
    let Intent::NewIssue { body, .. } = &odd.intents[0] else { panic!() };
    assert!(body.contains(r#"default <- pkg == "a\"||`x`\n" && test == "TestX""#), "{body}");
}

#[test]
fn what_is_on_an_issue_is_not_posted_again_and_a_closed_one_is_opened() {
    let builds = || vec![build("b1", vec![failure("a", "TestX")]), build("b2", vec![failure("a", "TestX")])];
    let mut one = issue(5, "default <- pkg == \"a\"");
    let comment =
        |body: &str| Comment { body: body.into(), created: "2026-11-02T00:00:00Z".parse().unwrap() };
    one.comments.push(comment("[log](https://old.example.org/b/b1)\n\n— [watchflakes](https://x)\n"));
    one.comments.push(comment("(https://ci.example.org/b/b2) somebody else"));
    one.comments
        .push(comment("https://ci.example.org/b/b2 bare, \"https://ci.example.org/b/b22\"\n— watchflakes"));
    assert_eq!(intents(&[one.clone()], &builds()), ["#5 b2"]);
    one.closed = Some("2026-11-28T07:05:08Z".parse().unwrap());
    assert_eq!(intents(&[one.clone()], &builds()), ["#5 reopen b2"]);
    one.closed = Some("2026-11-28T07:05:09Z".parse().unwrap());
    assert_eq!(intents(&[one.clone()], &builds()), ["#5 b2"]);
    one.comments.push(comment("\"https://ci.example.org/b/b2\"\n— watchflakes"));
    assert_eq!(intents(&[one], &builds()), [""; 0]);
}

/// What a plan posts is found by the next: nothing is posted twice, and what was cut off comes next.
#[test]
fn a_plan_that_was_carried_out_is_done() {
    let long = |n: u32| Failure::from(Parts { output: format!("{n}").repeat(20_000), ..parts("a", "TestX") });
    let builds: Vec<Build> = (1..=5).map(|n| build(&format!("b{n}"), vec![long(n)])).collect();
    let (mut issues, mut posted) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let planned = plan(&issues, &builds, &config()).unwrap();
        for intent in planned.intents {
            let now = "2026-11-28T08:00:00Z".parse().unwrap();
            let (text, some) = match intent {
                Intent::NewIssue { title, body, comment, builds, .. } => {
                    issues.push(Issue { title, body, ..issue(7, "") });
                    (comment, builds)
                }
                Intent::Comment { body, builds, .. } => (body, builds),
                other => panic!("{other:?}"),
            };
            assert!(!some.is_empty());
            issues[0].comments.push(Comment { body: text, created: now });
            posted.extend(some);
        }
    }
    assert_eq!(posted, ["b1", "b2", "b3", "b4", "b5"]);
}

#[test]
fn what_could_not_be_found_again_is_not_posted() {
    let odd = [build("b 1", vec![failure("a", "TestX")])];
    assert_eq!(plan(&[], &odd, &config()), Err(PlanError::BuildId("b 1".into())));
    assert_eq!(plan(&[], &[], &Config::new("")), Err(PlanError::NoPrefix));
}

#[test]
fn a_hundred_new_issues_are_refused() {
    let builds: Vec<Build> =
        (0..100).map(|n| build(&n.to_string(), vec![failure("a", &format!("Test{n}"))])).collect();
    assert_eq!(plan(&[], &builds, &config()), Err(PlanError::TooManyNew(100)));
    assert!(plan(&[], &builds[1..], &config()).is_ok());
}

#[test]
fn a_long_text_is_cut_and_signed() {
    let long = Failure::from(Parts { output: "ü".repeat(40_000), ..parts("a", "TestX") });
    let planned = plan(&[], &[build("b", vec![long])], &config()).unwrap();
    let Intent::NewIssue { comment, .. } = &planned.intents[0] else { panic!() };
    assert!(comment.len() < 50_200 && comment.contains("</details>\nThe rest was cut"), "{}", comment.len());
    assert!(comment.ends_with("\n— watchflakes\n"));
}

#[test]
fn a_failure_has_the_fields_of_the_language() {
    let one = Failure::from(Parts { build: true, output: "\n \n".into(), ..parts("a", "TestX") });
    let field = |name| String::from_utf8_lossy(one.field(name)).into_owned();
    assert_eq!(field("mode"), "build");
    assert_eq!(field("date"), "2026-11-28T07:05:09Z");
    assert_eq!(
        (field(""), field("snippet"), field("section")),
        ("\n \n".into(), "whole log".into(), String::new())
    );
    assert_eq!(
        (field("status"), field("goarch"), field("repo")),
        ("FAIL".into(), "amd64".into(), "net".into())
    );
}

#[test]
fn a_snippet_has_the_begin_what_happened_and_the_end() {
    assert_eq!(snippet("\n \n a\n\nb\n\n"), " a\n\nb");
    let lines = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(snippet(&lines(30).join("\n")), lines(30).join("\n"));
    let cut = snippet(&lines(31).join("\n"));
    assert_eq!(cut, [&lines(10)[..], &["...".into()], &lines(31)[21..]].concat().join("\n"));
    let mut log = lines(60);
    log[24] = "panic: x".into();
    log[40] = "--- FAIL: y".into();
    let expected = [&log[..10], &["...".into()], &log[24..34], &["...".into()], &log[50..]].concat();
    assert_eq!(snippet(&log.join("\n")), expected.join("\n"));
    let mut log = lines(31);
    log[12] = "a.go:1: internal compiler error: z".into();
    assert_eq!(snippet(&log.join("\n")), [&log[..10], &["...".into()], &log[12..]].concat().join("\n"));
    assert_eq!(snippet(""), "");
}

#[test]
fn of_a_build_the_failures_that_say_most_are_kept() {
    assert_eq!(split_test_id("cmd/go.TestScript/mod"), ("cmd/go", "TestScript/mod"));
    assert_eq!(split_test_id("x.ExampleA.TestB"), ("x.ExampleA", "TestB"));
    assert_eq!(split_test_id("x.y.BenchmarkZ"), ("x.y", "BenchmarkZ"));
    assert_eq!(split_test_id("cmd/go"), ("cmd/go", ""));
    let kept = |ids: &[(&str, &str)]| {
        let all = ids.iter().map(|(id, output)| TestFailure {
            id: (*id).into(),
            output: (*output).into(),
            status: "FAIL".into(),
        });
        coalesce(all.collect()).into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(kept(&[("a", ""), ("a.TestX/s", ""), ("a.TestX", "")]), ["a.TestX/s"]);
    assert_eq!(kept(&[("a.TestX", ""), ("a.TestXY", ""), ("b", "")]), ["a.TestX", "a.TestXY", "b"]);
    let siblings =
        [("a.TestX/1", "long text"), ("a.TestX/2", "--- FAIL"), ("a.TestX/3", ""), ("b.TestY", "")];
    assert_eq!(kept(&siblings), ["a.TestX/2", "b.TestY"]);
    assert_eq!(
        kept(&[("a.TestA", "1"), ("a.TestB", "22"), ("b.TestC", ""), ("c.TestD", "")]),
        ["a.TestB", "b.TestC", "c.TestD"]
    );
    assert_eq!(kept(&[("a", ""), ("b", ""), ("c", ""), ("d", "")]), ["a", "b", "c"]);
}

#[test]
fn broken_commits_and_builders_say_nothing_of_tests() {
    assert!(
        !broken_commit(16, 4, 4)
            && broken_commit(16, 5, 11)
            && broken_commit(16, 0, 3)
            && !broken_commit(3, 0, 0)
    );
    let show = |results: &str| {
        let results = results.chars().map(|c| match c {
            '+' => Some(true),
            '-' => Some(false),
            _ => None,
        });
        let results: Vec<Option<bool>> = results.collect();
        broken_builder(&results)
            .iter()
            .map(|kept| match kept {
                Kept::Dropped => '.',
                Kept::Kept => 'k',
                Kept::Top => 'T',
            })
            .collect::<String>()
    };
    assert_eq!(show("----+"), "TTTT.");
    assert_eq!(show("---+"), "....");
    assert_eq!(show("+--?-+----+-+"), ".kk.k......k.");
    assert_eq!(show("+-"), "..");
    assert_eq!(show("------"), "......");
    assert_eq!(show(""), "");
}
