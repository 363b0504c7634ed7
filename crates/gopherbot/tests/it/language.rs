//! The rule language, by the vectors of `spec/services.md` §5.2 and §7.10.

use std::collections::BTreeMap;

use gopherbot::watchflakes::{
    BlockError, Expr, FIELDS, Record, Regexp, RelOp, Rule, Script, quote, script_of, unquote,
};
use proptest::prelude::*;

struct Fields(BTreeMap<&'static str, &'static str>);

impl Record for Fields {
    fn field(&self, name: &str) -> &[u8] {
        self.0.get(name).copied().unwrap_or("").as_bytes()
    }
}

fn parse(text: &str) -> Result<Script, Vec<String>> {
    let parsed = Script::parse("script", text, FIELDS);
    parsed.map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn holds(when: &str, fields: &[(&'static str, &'static str)]) -> bool {
    let script = parse(&format!("yes <- {when}")).unwrap();
    script.action(&Fields(fields.iter().copied().collect())) == Some("yes")
}

#[test]
fn a_script_is_read_as_the_vectors_have_it() {
    let text = "# a comment\npost <- pkg == \"cmd/go\" && test == \"\" && `unexpected files`   # another\n";
    let script = parse(text).unwrap();
    let compare = |field: &str, literal: &str| Expr::Compare {
        field: field.into(),
        op: RelOp::Equal,
        literal: literal.into(),
    };
    let bare =
        Expr::Match { field: String::new(), not: false, regexp: Regexp::new("unexpected files").unwrap() };
    let when = Expr::And(vec![compare("pkg", "cmd/go"), compare("test", ""), bare]);
    assert_eq!(script.rules, [Rule { action: "post".into(), when }]);
    assert_eq!(script.to_string(), "post <- pkg == \"cmd/go\" && test == \"\" && `(?m)unexpected files`\n");

    let script = parse("post <- pkg == \"x\" &&\n   (`a` ||\n   `b`)\ndefault <- output !~ `c`").unwrap();
    assert_eq!(
        script.to_string(),
        "post <- pkg == \"x\" && (`(?m)a` || `(?m)b`)\ndefault <- output !~ `(?m)c`\n"
    );
    let Expr::Match { field, not, .. } = &script.rules[1].when else { panic!() };
    assert_eq!((field.as_str(), *not), ("output", true));
    assert_eq!(parse("").unwrap().rules, []);
    assert_eq!(parse("\n\n# x").unwrap().rules, []);
}

#[test]
fn each_mistake_is_at_its_place_with_its_text() {
    for (text, expected) in [
        ("post <- pkg ~ \"^cmd/go\"", "1.15: ~ requires backquoted regexp"),
        ("post <- pkg !~ `a` `b`", "1.20: unexpected backquoted string `b`"),
        ("post <- pkg == `a`", "1.16: == requires quoted string"),
        ("post <- pkg < \n\"a\"", "1.15: < requires quoted string"),
        ("post <- nope == \"a\"", "1.9: unknown field nope"),
        ("post <- \"a\"", "1.9: unexpected quoted string \"a\""),
        ("post <- ! pkg == \"a\"", "1.11: unexpected identifier pkg"),
        ("post <- !!`a`", "1.10: unexpected !"),
        ("post <- (`a` || `b`\n)", "1.20: missing close paren"),
        ("post <- (`a`", "1.13: missing close paren"),
        ("post <- `(`", "1.9: invalid regexp: unclosed group"),
        ("post <- pkg == \"\\q\"", "1.16: invalid quoted string: unknown escape \\q"),
        ("post `a`", "1.6: unexpected backquoted string `a`"),
        ("post <- pkg", "1.12: unexpected end of script"),
        ("post <- pkg\n", "1.12: unexpected end of line"),
        ("post <- `a` &&", "1.15: unexpected end of script"),
        ("<- `a`", "1.1: unexpected <-"),
        ("post <- pkg && `a`", "1.13: unexpected &&"),
        ("post <- `a` = `b`", "1.13: invalid syntax at ="),
        ("post <- 'a'", "1.9: single-quoted strings not allowed"),
        ("post <- `\u{fc}` ;", "1.14: invalid syntax at ';' (U+003b)"),
        ("post <- `a`\r\n", "1.12: invalid syntax at '\\r' (U+000d)"),
    ] {
        assert_eq!(parse(text).unwrap_err(), [format!("script:{expected}")], "{text:?}");
    }
    let deep = format!("post <- {}`a`{}", "(".repeat(65), ")".repeat(65));
    assert!(parse(&deep).unwrap_err()[0].contains("more than 64 parentheses"));
    assert!(parse(&"#".repeat(70_000)).unwrap_err()[0].contains("longer than"));
    // A long chain is no deep one.
    let long = "pkg == \"\" || test != \"\" && ".repeat(2000);
    assert!(parse(&format!("post <- {long}`a`")).is_ok());
    assert!(
        parse(&format!("post <- {}`a`", "`a` || ".repeat(200))).unwrap_err()[0].contains("more than 200")
    );
}

#[test]
fn after_a_mistake_the_next_line_is_read_and_the_script_has_no_effect() {
    let errors = parse("a <- x\nb <- y\nc <- `ok`\nd ! e\n").unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[2].starts_with("script:4.3: unexpected !"), "{errors:?}");
    // Where the end of the line is what is wrong, the next line is lost with it.
    let errors = parse("a <- pkg\nb <- nope\nc <- nope == \"\"\n").unwrap_err();
    assert_eq!(errors, ["script:1.9: unexpected end of line", "script:3.6: unknown field nope"]);
    assert!(parse(&"&\n".repeat(1000)).unwrap_err().len() <= 50);
}

#[test]
fn conditions_say_what_they_say() {
    let fields = [
        ("pkg", "net/http"),
        ("", "a\npanic: x\nb"),
        ("output", "a\npanic: x\nb"),
        ("date", "2026-11-28T07:00:00Z"),
    ];
    for (when, expected) in [
        ("pkg == \"net/http\"", true),
        ("pkg != \"net/http\"", false),
        ("pkg < \"net/i\" && pkg >= \"net\"", true),
        ("date >= \"2026-11-28\" && date < \"2026-11-29\"", true),
        ("test == \"\"", true),
        ("`^panic: x$`", true),
        ("`panic.*b`", false),
        ("`(?s)panic.*b`", true),
        ("output !~ `^b$`", false),
        ("!`^b$`", false),
        ("!(pkg == \"x\" || goos == \"linux\")", true),
        // `&&` binds closer.
        ("pkg == \"net/http\" || pkg == \"a\" && pkg == \"b\"", true),
        ("(pkg == \"net/http\" || pkg == \"a\") && pkg == \"b\"", false),
        ("!`nope` && pkg ~ `^net/`", true),
    ] {
        assert_eq!(holds(when, &fields), expected, "{when}");
    }
    let script = parse("skip <- goos == \"plan9\"\npost <- pkg ~ `net`\ndefault <- pkg ~ `net`\n").unwrap();
    assert_eq!(script.action(&Fields([("pkg", "net")].into())), Some("post"));
    assert_eq!(script.action(&Fields([("pkg", "os")].into())), None);
    assert!(FIELDS.contains(&"section") && holds("section == \"\"", &fields));
}

#[test]
fn texts_in_quotes_are_go_s() {
    for (text, bytes) in [
        (r#""a\tb\n\"\\""#, b"a\tb\n\"\\".as_slice()),
        (r#""\x41\101\u0042\U00000043\xff""#, b"AABC\xff"),
        (r#""""#, b""),
    ] {
        assert_eq!(unquote(text).unwrap(), bytes);
    }
    for text in [
        r#""\'""#,
        r#""\x4""#,
        r#""\400""#,
        r#""\ud800""#,
        r#""\U00110000""#,
        r#""\""#,
        "a",
        r#""a"b""#,
        r#"""""#,
    ] {
        assert!(unquote(text).is_err(), "{text}");
    }
    assert_eq!(quote("a\"\u{7f}\u{200b}\u{fc}'".as_bytes()), "\"a\\\"\\x7f\\u200b\u{fc}'\"");
}

#[test]
fn the_script_is_the_block_that_an_issue_begins_with() {
    let script = "#!watchflakes\ndefault <- `a`\n";
    for body in [
        "```\n#!watchflakes\ndefault <- `a`\n```\nmore",
        "\r\n\r\n```\r\n#!watchflakes\r\ndefault <- `a`\r\n```\r\n",
        "````text\n#!watchflakes\ndefault <- `a`\n`````  \n```\n",
        "\n\t#!watchflakes\n\tdefault <- `a`\nmore\n\tnot this\n",
        "     #!watchflakes\n    default <- `a`",
    ] {
        let found = script_of(body).unwrap();
        assert_eq!(found.trim_start(), script, "{body:?}");
        assert_eq!(parse(&found).unwrap().rules.len(), 1);
    }
    for (body, error) in [
        ("", BlockError::NoBlock),
        ("\n \n", BlockError::NoBlock),
        ("text\n```\n#!watchflakes\n```\n", BlockError::NoBlock),
        ("``\n#!watchflakes\n``\n", BlockError::NoBlock),
        ("```\n#!watchflakes\n", BlockError::Open),
        ("```\n```\n", BlockError::NoMarker),
        ("```\ndefault <- `a`\n```\n", BlockError::NoMarker),
        ("```\n\n#!watchflakes\n```\n", BlockError::NoMarker),
        ("    text\n", BlockError::NoMarker),
    ] {
        assert_eq!(script_of(body), Err(error), "{body:?}");
    }
}

fn any_expr() -> impl Strategy<Value = Expr> {
    let field = || prop::sample::select(FIELDS).prop_map(str::to_owned);
    let op = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let compare = (field(), op, prop::collection::vec(any::<u8>(), 0..4))
        .prop_map(|(field, op, literal)| Expr::Compare { field, op: RelOp::parse(op).unwrap(), literal });
    let pattern = || prop::sample::select(vec!["a", "^b$", "c|d", r"\x60\d", "[^`]"]);
    let regexp = || pattern().prop_map(|pattern| Regexp::new(pattern).unwrap());
    let named = (field(), any::<bool>(), regexp()).prop_map(|(field, not, regexp)| Expr::Match {
        field,
        not,
        regexp,
    });
    let bare = regexp().prop_map(|regexp| Expr::Match { field: String::new(), not: false, regexp });
    prop_oneof![compare, named, bare].prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Expr::Not(Box::new(inner))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner, 2..4).prop_map(Expr::Or),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Any condition is written so that it is read as one that is written so and says the same.
    #[test]
    fn what_is_written_is_read_as_the_same(when in any_expr(), texts in prop::collection::vec("[abc0`\n]{0,4}", 3)) {
        let script = Script { rules: vec![Rule { action: "post".into(), when }] };
        let written = script.to_string();
        let again = Script::parse("written", &written, FIELDS).unwrap();
        prop_assert_eq!(again.to_string(), written);
        for text in &texts {
            let record = One(text);
            prop_assert_eq!(script.action(&record), again.action(&record));
        }
    }
}

/// Every field is this.
struct One<'a>(&'a str);

impl Record for One<'_> {
    fn field(&self, _: &str) -> &[u8] {
        self.0.as_bytes()
    }
}
