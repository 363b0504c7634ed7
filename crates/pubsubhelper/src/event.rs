//! An event, and its JSON as the original writes it, byte for byte.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Something happened somewhere: a hint to look there, without any data of what it was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// When it was published, or when the wait for it was over. `None` is the original's zero time.
    #[serde(rename = "Time", serialize_with = "write_time", deserialize_with = "read_time")]
    pub time: Option<Timestamp>,
    /// Nothing happened for as long as a wait lasts. `time` is when that was.
    #[serde(rename = "LongPollTimeout", skip_serializing_if = "is_false", deserialize_with = "or_default")]
    pub long_poll_timeout: bool,
    /// It happened at a Gerrit.
    #[serde(rename = "Gerrit", skip_serializing_if = "Option::is_none")]
    pub gerrit: Option<GerritEvent>,
    /// It happened at GitHub.
    #[serde(rename = "GitHub", skip_serializing_if = "Option::is_none")]
    pub github: Option<GithubEvent>,
}

/// What a mail of Gerrit's tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GerritEvent {
    /// The change's page.
    #[serde(rename = "URL", deserialize_with = "or_default")]
    pub url: String,
    /// The project, without its host.
    #[serde(rename = "Project", deserialize_with = "or_default")]
    pub project: String,
    /// The commit, in hexadecimal digits; empty where the mail named none.
    #[serde(rename = "CommitHash", deserialize_with = "or_default")]
    pub commit_hash: String,
    /// The change's number; 0 for none.
    #[serde(rename = "ChangeNumber", skip_serializing_if = "is_zero", deserialize_with = "or_default")]
    pub change_number: i64,
}

/// What a webhook of GitHub's tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GithubEvent {
    /// What was done, in GitHub's word: `opened`, `labeled`…
    #[serde(rename = "Action", deserialize_with = "or_default")]
    pub action: String,
    /// Whose repository.
    #[serde(rename = "RepoOwner", deserialize_with = "or_default")]
    pub repo_owner: String,
    /// The repository, without its owner.
    #[serde(rename = "Repo", deserialize_with = "or_default")]
    pub repo: String,
    /// The issue's number; 0 for none.
    #[serde(rename = "IssueNumber", skip_serializing_if = "is_zero", deserialize_with = "or_default")]
    pub issue_number: i64,
    /// The pull request's number; 0 for none.
    #[serde(rename = "PullRequestNumber", skip_serializing_if = "is_zero", deserialize_with = "or_default")]
    pub pull_request_number: i64,
}

impl Event {
    /// The JSON of the original: keys in its order, a tab for each level, Go's escapes, no newline at the end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        self.serialize(&mut serde_json::Serializer::with_formatter(&mut text, format))
            .expect("invariant: its keys are texts, and memory takes all");
        let text = String::from_utf8(text).expect("invariant: JSON is text");
        // These are in no JSON but in its strings, where Go writes them by number.
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(escaped, "\\u{:04x}", u32::from(c));
                }
                c => escaped.push(c),
            }
        }
        escaped
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        let gerrit =
            self.gerrit.as_ref().map_or(0, |at| at.url.len() + at.project.len() + at.commit_hash.len());
        let github =
            self.github.as_ref().map_or(0, |at| at.action.len() + at.repo_owner.len() + at.repo.len());
        // Beside the texts: itself, its counts, its place in the list, and what is lost around each text.
        size_of::<Event>() + 128 + gerrit + github
    }

    /// Reads what [`Event::to_json`] or the original wrote. Unknown keys are skipped, what is missing or null is empty.
    ///
    /// # Errors
    /// It is no JSON of an event.
    pub fn from_json(text: &str) -> Result<Event, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// A time that is not RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time of RFC 3339, such as 2017-07-27T16:28:01.123456789Z")]
pub struct BadTime(String);

/// The beginning of the year 0, in seconds.
const YEAR_0: i64 = -62_167_219_200;

/// Reads a time of RFC 3339 with any offset, as Go does: digits beyond the nanosecond are cut off.
///
/// # Errors
/// It is none.
pub fn parse_time(text: &str) -> Result<Timestamp, BadTime> {
    let bad = || BadTime(text.chars().take(64).collect());
    let (second, rest) = text.split_at_checked(19).ok_or_else(bad)?;
    let shape = b"dddd-dd-ddTdd:dd:dd";
    if !fits(second, shape) || &second[17..] == "60" {
        return Err(bad());
    }
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    if rest.starts_with('.') && digits == 0 {
        return Err(bad());
    }
    let (fraction, zone) = rest.split_at(if digits == 0 { 0 } else { digits + 1 });
    let known = zone == "Z" || fits(zone, b"+dd:dd") || fits(zone, b"-dd:dd");
    if !known {
        return Err(bad());
    }
    let fraction = &fraction[..fraction.len().min(10)];
    let time: Timestamp = format!("{second}{fraction}{zone}").parse().map_err(|_| bad())?;
    // With its offset taken away it may be before the first year that can be written.
    if time.as_second() < YEAR_0 { Err(bad()) } else { Ok(time) }
}

/// Whether a text has a shape, in which `d` is a digit.
fn fits(text: &str, shape: &[u8]) -> bool {
    let one = |(b, s): (u8, &u8)| if *s == b'd' { b.is_ascii_digit() } else { b == *s };
    text.len() == shape.len() && text.bytes().zip(shape).all(one)
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Go takes null for what is not there.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn write_time<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.collect_str(time),
        None => to.serialize_none(),
    }
}

/// The beginning of Go's zero time, and of one that its package for JSON takes for zero too.
const ZERO: [&str; 2] = ["0001-01-01T00:00:00Z", "0000-00-00T00:00:00"];

fn read_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    match Option::<String>::deserialize(from)? {
        Some(text) if text.is_empty() || ZERO.iter().any(|zero| text.starts_with(zero)) => Ok(None),
        Some(text) => parse_time(&text).map(Some).map_err(serde::de::Error::custom),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of the specification, §6.3.
    const VECTOR: &str = "{\n\t\"Time\": \"2017-07-27T16:28:01.123456789Z\",\n\t\"GitHub\": {\n\t\t\"Action\": \"opened\",\n\t\t\"RepoOwner\": \"golang\",\n\t\t\"Repo\": \"go\",\n\t\t\"IssueNumber\": 21000\n\t}\n}";

    fn at(text: &str) -> Option<Timestamp> {
        Some(parse_time(text).unwrap())
    }

    fn vector() -> Event {
        let github = GithubEvent {
            action: "opened".into(),
            repo_owner: "golang".into(),
            repo: "go".into(),
            issue_number: 21000,
            pull_request_number: 0,
        };
        Event { time: at("2017-07-27T16:28:01.123456789Z"), github: Some(github), ..Event::default() }
    }

    #[test]
    fn json_is_the_original_s_byte_for_byte() {
        assert_eq!(vector().to_json(), VECTOR);
        assert_eq!(Event::from_json(VECTOR).unwrap(), vector());
        let over =
            Event { time: at("2026-11-23T06:16:49.011845504Z"), long_poll_timeout: true, ..Event::default() };
        let text = "{\n\t\"Time\": \"2026-11-23T06:16:49.011845504Z\",\n\t\"LongPollTimeout\": true\n}";
        assert_eq!(over.to_json(), text);
        assert_eq!(Event::from_json(text).unwrap(), over);
        let gerrit =
            GerritEvent { url: "https://x/?a=<b>&c".into(), project: "go".into(), ..GerritEvent::default() };
        let event = Event { gerrit: Some(gerrit), ..Event::default() };
        let text = "{\n\t\"Time\": null,\n\t\"Gerrit\": {\n\t\t\"URL\": \"https://x/?a=\\u003cb\\u003e\\u0026c\",\n\t\t\"Project\": \"go\",\n\t\t\"CommitHash\": \"\"\n\t}\n}";
        assert_eq!(event.to_json(), text);
        assert_eq!(Event::from_json(text).unwrap(), event);
    }

    #[test]
    fn zeros_at_the_end_of_a_time_are_left_out() {
        for (given, written) in [
            ("2017-07-27T16:28:01.120000000Z", "2017-07-27T16:28:01.12Z"),
            ("2017-07-27T16:28:01.000000000Z", "2017-07-27T16:28:01Z"),
            ("2017-07-27T18:28:01.000000001+02:00", "2017-07-27T16:28:01.000000001Z"),
            ("2017-07-27T16:28:01.1234567899Z", "2017-07-27T16:28:01.123456789Z"),
        ] {
            let event = Event { time: at(given), ..Event::default() };
            assert_eq!(event.to_json(), format!("{{\n\t\"Time\": \"{written}\"\n}}"));
        }
    }

    #[test]
    fn what_go_takes_for_no_time_is_none() {
        for time in ["null", "\"\"", "\"0000-00-00T00:00:00Z\"", "\"0001-01-01T00:00:00Z\""] {
            let text = format!("{{\"Time\": {time}, \"Other\": [1], \"GitHub\": null}}");
            assert_eq!(Event::from_json(&text).unwrap(), Event::default(), "{time}");
        }
        assert!(Event::from_json("{\"Time\": \"yesterday\"}").is_err());
    }

    #[test]
    fn other_times_are_refused() {
        assert_eq!(parse_time("0000-01-01T02:00:00+02:00").unwrap().to_string(), "0000-01-01T00:00:00Z");
        for text in [
            "",
            "2017-07-27",
            "2017-07-27T16:28:01",
            "2017-07-27 16:28:01Z",
            "2017-07-27t16:28:01z",
            "2017-07-27T16:28:01.Z",
            "2017-07-27T16:28:60Z",
            "2017-02-30T16:28:01Z",
            "2017-07-27T16:28:01+2:00",
            "2017-07-27T16:28:01 02:00",
            "2017-07-27T16:28:01ZZ",
            "2017-07-27T16:28:01Z[UTC]",
            "2017-07-27T16:28:0é1Z",
            "0000-01-01T00:00:00+02:00",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter)
    }

    fn event() -> impl Strategy<Value = Event> {
        let gerrit =
            (text(), text(), text(), any::<i64>()).prop_map(|(url, project, commit_hash, change_number)| {
                GerritEvent { url, project, commit_hash, change_number }
            });
        let github = (text(), text(), text(), any::<i64>(), any::<i64>()).prop_map(
            |(action, repo_owner, repo, issue_number, pull_request_number)| GithubEvent {
                action,
                repo_owner,
                repo,
                issue_number,
                pull_request_number,
            },
        );
        // From the year 1000 to 9999.
        let time = (-30_610_224_000_i64..=253_402_207_200, 0..1_000_000_000)
            .prop_map(|(second, nanos)| Timestamp::new(second, nanos).unwrap_or_default());
        use proptest::option::of;
        (of(time), any::<bool>(), of(gerrit), of(github)).prop_map(
            |(time, long_poll_timeout, gerrit, github)| Event { time, long_poll_timeout, gerrit, github },
        )
    }

    proptest! {
        #[test]
        fn an_event_comes_back_from_its_json(event in event()) {
            let text = event.to_json();
            let special = text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']);
            prop_assert!(!special);
            prop_assert_eq!(Event::from_json(&text).unwrap(), event);
        }

        #[test]
        fn no_text_is_too_strange_for_a_time(text in "[0-9TZ:+.é-]{0,40}") {
            if let Ok(time) = parse_time(&text) {
                prop_assert_eq!(parse_time(&time.to_string()).unwrap(), time);
            }
        }
    }
}
