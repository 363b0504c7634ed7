//! Mute rules.

use jiff::civil::{Date, date};
use proptest::prelude::*;
use triage::mute::{MuteFile, MuteRules, Muted};

const TODAY: Date = date(2026, 11, 28);

fn read(text: &str) -> Result<MuteRules, Vec<String>> {
    let read = MuteRules::read(&[MuteFile { name: "mute.toml", text }], TODAY);
    read.map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

const RULES: &str = r#"
[[mute]]
test = "net.TestDial*"
builder = "windows-?"
text = '^dial: connection (reset|refused)$'
owner = "anna@example.org"
until = 2026-12-24
reason = "issue 4711"

[[mute]]
test = "os.(TestPipe)"
owner = "bob"
until = 2026-11-27

[[mute]]
test = "*"
text = "no space left"
owner = "bob"
until = 2026-11-28
"#;

#[test]
fn a_rule_mutes_what_it_names_until_its_day() {
    let rules = read(RULES).unwrap();
    let text = "=== RUN\ndial: connection reset\n--- FAIL";
    let failure = Muted { test: "net.TestDialTimeout", builder: "windows-7", text };
    let rule = rules.mutes(&failure, TODAY).unwrap();
    assert_eq!(rule.sentence(), "muted until 2026-12-24 by anna@example.org (issue 4711), mute.toml:2:1");
    assert!(rules.mutes(&failure, date(2026, 12, 24)).is_some());
    assert!(rules.mutes(&failure, date(2026, 12, 25)).is_none());
    for other in [
        Muted { test: "xnet.TestDial", ..failure },
        Muted { builder: "windows-10", ..failure },
        Muted { text: "dial: connection reset by peer", ..failure },
    ] {
        assert!(rules.mutes(&other, TODAY).is_none(), "{other:?}");
    }
    assert!(
        rules.mutes(&Muted { test: "x", builder: "y", text: "no space left on device" }, TODAY).is_some()
    );
}

#[test]
fn an_expired_rule_mutes_nothing_and_says_so() {
    let rules = read(RULES).unwrap();
    assert!(rules.mutes(&Muted { test: "os.(TestPipe)", builder: "linux", text: "" }, TODAY).is_none());
    assert!(
        rules
            .mutes(&Muted { test: "os.(TestPipe)", builder: "linux", text: "" }, date(2026, 11, 27))
            .is_some()
    );
    let expired = rules.expired(TODAY);
    assert_eq!(expired.len(), 1);
    assert_eq!(
        expired[0].sentence,
        "mute.toml:10:1: the rule for os.(TestPipe) expired on 2026-11-27 and mutes nothing any more; bob has to mend the \
         test and take the rule out, or give a later day"
    );
}

#[test]
fn each_mistake_is_named_with_its_place_and_its_remedy() {
    let rule = |lines: &str| format!("[[mute]]\ntest = \"a.B\"\nowner = \"o\"\nuntil = 2026-12-01\n{lines}");
    let cases = [
        (
            rule("texts = \"x\"\n"),
            "mute.toml:5:1: unknown key texts; a rule has test, builder, text, owner, until, reason",
        ),
        (
            rule("text = \"(\"\n"),
            "mute.toml:5:8: text is no regular expression (error: unclosed group); mend it",
        ),
        (rule("builder = 7\n"), "mute.toml:5:11: builder is not a text; write it in quotes"),
        (rule("reason = \"\"\n"), "mute.toml:5:10: reason is empty"),
        (rule("é = 1\n"), "mute.toml:5:1: "),
        (
            "[mute]\ntest = \"a\"\n".into(),
            "mute.toml:1:2: mute is not a list of tables; begin each rule with [[mute]]",
        ),
        ("x = 1\n".into(), "mute.toml:1:1: unknown key x; a file has only [[mute]] tables"),
        ("mute = [1]\n".into(), "mute.toml:1:9: a rule is not a table"),
        ("[[mute]]\nowner = \"o\"\nuntil = 2026-12-01\n".into(), "mute.toml:1:1: a rule without test"),
        ("[[mute]]\ntest = \"a\"\nuntil = 2026-12-01\n".into(), "mute.toml:1:1: a rule without owner"),
        (
            "[[mute]]\ntest = \"a\"\nowner = \"o\"\n".into(),
            "mute.toml:1:1: a rule without until; give the last day on which it shall mute, like until = 2026-11-28",
        ),
        (
            "[[mute]]\ntest = \"a\"\nowner = \"o\"\nuntil = \"2026-12-01\"\n".into(),
            "mute.toml:4:9: until is not a day; give the last day",
        ),
        (
            "[[mute]]\ntest = \"a\"\nowner = \"o\"\nuntil = 2099-12-01\n".into(),
            "mute.toml:4:9: until is 26666 days away",
        ),
        (
            "[[mute]]\ntest = \"*\"\nowner = \"o\"\nuntil = 2026-12-01\n".into(),
            "mute.toml:2:8: it would mute every test",
        ),
    ];
    for (text, expected) in cases {
        let problems = read(&text).unwrap_err();
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].starts_with(expected), "{text}: {problems:?}");
    }
    // All of them at once, and none of the rules holds.
    let problems = read("[[mute]]\ntest = \"a\"\nowner = 1\n\n[[mute]]\n").unwrap_err();
    assert_eq!(problems.len(), 5, "{problems:?}");
    assert!(read("[[mute]\n").unwrap_err()[0].starts_with("mute.toml:1:"));
    assert!(read(&"#".repeat((1 << 20) + 1)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}|(\\[\\[mute\\]\\]\n|test = \"[*a\\\\(]{0,4}\"\n|until = 20[0-9]{2}-[01][0-9]-01\n|owner = \"\u{e9}\"\n){0,8}") {
        match read(&text) {
            Ok(rules) => prop_assert!(rules.rules().iter().all(|rule| rule.place.line <= text.lines().count())),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    /// A pattern without wildcards matches itself alone, whatever is in it.
    #[test]
    fn a_name_matches_itself_alone(name in "[a-z.()/|+$^ \\[-]{1,12}", other in "[a-z.()/|+$^ \\[-]{1,12}") {
        let rules = read(&format!("[[mute]]\ntest = 'x{name}x'\nowner = 'o'\nuntil = 2026-12-01\n")).unwrap();
        let muted = |test: &str| rules.mutes(&Muted { test, builder: "b", text: "" }, TODAY).is_some();
        let (itself, another) = (format!("x{name}x"), format!("x{other}x"));
        prop_assert!(muted(&itself));
        prop_assert_eq!(muted(&another), name == other);
    }
}
