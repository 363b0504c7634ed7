//! A file of rules, read.

use std::ops::Range;

use jiff::civil::Date;
use regex::{Regex, RegexBuilder};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{MuteFile, MuteProblem, MuteRule, Place};

/// Bytes of a file, at most.
const MAX_FILE: usize = 1 << 20;
/// Rules of a file, at most.
const MAX_RULES: usize = 500;
/// Characters of a value, at most.
const MAX_VALUE: usize = 500;
/// Days until a rule's end, at most.
const MAX_DAYS: i32 = 366;
/// Bytes that a compiled expression may take.
const MAX_COMPILED: usize = 1 << 18;
/// Problems of a file that are told, at most.
const MAX_PROBLEMS: usize = 100;
const KEYS: [&str; 6] = ["test", "builder", "text", "owner", "until", "reason"];

/// What a problem is told by.
struct Reader<'a, 'b> {
    file: &'a MuteFile<'a>,
    /// Where each line begins.
    lines: Vec<usize>,
    told: usize,
    problems: &'b mut Vec<MuteProblem>,
}

impl Reader<'_, '_> {
    fn place(&self, at: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines[line - 1];
        let column = self.file.text.get(start..at).map_or(1, |before| before.chars().count() + 1);
        Place { file: self.file.name.to_owned(), line, column }
    }

    fn say(&mut self, span: &Range<usize>, message: impl Into<String>, remedy: impl Into<String>) {
        self.told += 1;
        if self.told <= MAX_PROBLEMS {
            let place = self.place(span.start);
            self.problems.push(MuteProblem { place, message: message.into(), remedy: remedy.into() });
        }
    }
}

/// Reads one file, and adds its rules and its problems.
pub(super) fn file(
    file: &MuteFile<'_>,
    today: Date,
    rules: &mut Vec<MuteRule>,
    problems: &mut Vec<MuteProblem>,
) {
    let mut reader = Reader { file, lines: vec![0], told: 0, problems };
    if file.text.len() > MAX_FILE {
        return reader.say(
            &(0..0),
            format!("the file has more than {MAX_FILE} bytes"),
            "split it, or take old rules out",
        );
    }
    reader.lines.extend(file.text.match_indices('\n').map(|(at, _)| at + 1));
    let (document, errors) = DeTable::parse_recoverable(file.text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        reader.say(&span, error.message().to_owned(), "see https://toml.io for how a file is written");
    }
    if reader.told > 0 {
        return;
    }
    for (key, value) in document.get_ref() {
        if key.get_ref() != "mute" {
            reader.say(
                &key.span(),
                format!("unknown key {}", key.get_ref()),
                "a file has only [[mute]] tables",
            );
            continue;
        }
        let Some(list) = value.get_ref().as_array() else {
            reader.say(
                &key.span(),
                "mute is not a list of tables",
                "begin each rule with [[mute]], in two brackets",
            );
            continue;
        };
        if list.len() > MAX_RULES {
            reader.say(
                &key.span(),
                format!("more than {MAX_RULES} rules"),
                "take out those that have expired",
            );
            continue;
        }
        for rule in list {
            match rule.get_ref().as_table() {
                Some(table) => rules.extend(one(&mut reader, table, &rule.span(), today)),
                None => reader.say(&rule.span(), "a rule is not a table", "begin each rule with [[mute]]"),
            }
        }
    }
}

/// One rule, if nothing is wrong with it.
fn one(
    reader: &mut Reader<'_, '_>,
    table: &DeTable<'_>,
    span: &Range<usize>,
    today: Date,
) -> Option<MuteRule> {
    let before = reader.told;
    for key in table.keys().filter(|key| !KEYS.contains(&key.get_ref().as_ref())) {
        reader.say(
            &key.span(),
            format!("unknown key {}", key.get_ref()),
            format!("a rule has {}", KEYS.join(", ")),
        );
    }
    let test = text(reader, table, "test");
    let builder = text(reader, table, "builder");
    let expression = text(reader, table, "text");
    let owner = text(reader, table, "owner");
    let reason = text(reader, table, "reason");
    let until = until(reader, table, span, today);
    if test.is_none() && !table.contains_key("test") {
        reader.say(span, "a rule without test", "name the test, like test = \"net.TestDial\"");
    }
    if owner.is_none() && !table.contains_key("owner") {
        reader.say(span, "a rule without owner", "say who mends it, like owner = \"anna@example.org\"");
    }
    let tests = test.as_ref().and_then(|(written, span)| pattern(reader, written, span));
    let builders = match &builder {
        Some((written, span)) => pattern(reader, written, span),
        None => pattern(reader, "*", span),
    };
    if let (Some((written, span)), None) = (&test, &expression)
        && written.chars().all(|c| matches!(c, '*' | '?'))
    {
        reader.say(
            span,
            "it would mute every test",
            "name the test more closely, or say which text it fails with",
        );
    }
    let texts = expression.as_ref().and_then(|(written, span)| {
        let compiled = RegexBuilder::new(written).multi_line(true).size_limit(MAX_COMPILED).build();
        let reason = |error: regex::Error| error.to_string().lines().last().unwrap_or("").trim().to_owned();
        compiled
            .map_err(|error| {
                let message = format!("text is no regular expression ({})", reason(error));
                reader.say(span, message, "mend it; in '…' a backslash needs no second one");
            })
            .ok()
    });
    if reader.told > before {
        return None;
    }
    Some(MuteRule {
        place: reader.place(span.start),
        test: test?.0,
        builder: builder.map_or_else(|| "*".to_owned(), |builder| builder.0),
        text: expression.map(|text| text.0),
        owner: owner?.0,
        until: until?,
        reason: reason.map(|reason| reason.0),
        tests: tests?,
        builders: builders?,
        texts,
    })
}

fn text(reader: &mut Reader<'_, '_>, table: &DeTable<'_>, key: &str) -> Option<(String, Range<usize>)> {
    let value: &Spanned<DeValue<'_>> = table.get(key)?;
    let span = value.span();
    let Some(text) = value.get_ref().as_str() else {
        reader.say(&span, format!("{key} is not a text"), format!("write it in quotes, like {key} = \"…\""));
        return None;
    };
    if text.trim().is_empty() {
        reader.say(
            &span,
            format!("{key} is empty"),
            "write it down, or leave the key out if it may be left out",
        );
        return None;
    }
    if text.chars().count() > MAX_VALUE {
        reader.say(&span, format!("{key} has more than {MAX_VALUE} characters"), "make it shorter");
        return None;
    }
    Some((text.to_owned(), span))
}

fn until(reader: &mut Reader<'_, '_>, table: &DeTable<'_>, rule: &Range<usize>, today: Date) -> Option<Date> {
    let remedy = format!("give the last day on which it shall mute, like until = {today} (without quotes)");
    let Some(value) = table.get("until") else {
        reader.say(rule, "a rule without until", remedy);
        return None;
    };
    let date = match value.get_ref() {
        DeValue::Datetime(time) if time.time.is_none() && time.offset.is_none() => time.date,
        _ => None,
    };
    let date = date.and_then(|date| {
        Date::new(
            i16::try_from(date.year).ok()?,
            i8::try_from(date.month).ok()?,
            i8::try_from(date.day).ok()?,
        )
        .ok()
    });
    let Some(date) = date else {
        reader.say(&value.span(), "until is not a day", remedy);
        return None;
    };
    let days = today.until(date).map_or(i32::MAX, |span| span.get_days());
    if days > MAX_DAYS {
        let message = format!("until is {days} days away, over {MAX_DAYS}");
        reader.say(
            &value.span(),
            message,
            "a test that is muted for longer is better deleted; give a nearer day",
        );
        return None;
    }
    Some(date)
}

/// `*` is any characters, `?` is one; all else is itself.
fn pattern(reader: &mut Reader<'_, '_>, written: &str, span: &Range<usize>) -> Option<Regex> {
    let mut expression = String::from(r"\A");
    let mut buffer = [0; 4];
    for c in written.chars() {
        match c {
            '*' => expression.push_str("(?s:.)*"),
            '?' => expression.push_str("(?s:.)"),
            c => expression.push_str(&regex::escape(c.encode_utf8(&mut buffer))),
        }
    }
    expression.push_str(r"\z");
    let compiled = RegexBuilder::new(&expression).size_limit(MAX_COMPILED).build();
    if compiled.is_err() {
        reader.say(span, "the pattern is too big", "make it shorter");
    }
    compiled.ok()
}
