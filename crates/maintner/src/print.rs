//! Mutations for people and for programs: a line, or JSON. Fields have the names of the protocol (spec/maintner.md §1.2).

use std::fmt::Write as _;

use crate::mutation::{self, GitCommit, GitRef, Issue, Message as _, Mutation, MutationError, elements};
use crate::wire::{Fields, Value, WireError, int32, int64, packed};

/// What a field holds.
enum Kind {
    Text,
    Int32,
    Int64,
    Bool,
    Time,
    Of(&'static [Field]),
}

struct Field {
    number: u32,
    name: &'static str,
    kind: Kind,
    list: bool,
}

const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, list: false }
}

const fn list(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, list: true }
}

use Kind::{Bool, Int32, Int64, Of, Text, Time};

const BOOL_CHANGE: &[Field] = &[one(1, "val", Bool)];
const STRING_CHANGE: &[Field] = &[one(1, "val", Text)];
const LABEL: &[Field] = &[one(1, "id", Int64), one(2, "name", Text)];
const MILESTONE: &[Field] =
    &[one(1, "id", Int64), one(2, "title", Text), one(3, "closed", Of(BOOL_CHANGE)), one(4, "number", Int64)];
const USER: &[Field] = &[one(1, "id", Int64), one(2, "login", Text)];
const TEAM: &[Field] = &[one(1, "id", Int64), one(2, "slug", Text)];
const COMMIT_REF: &[Field] = &[one(1, "owner", Text), one(2, "repo", Text), one(3, "commit_id", Text)];
const SYNC: &[Field] = &[one(1, "server_date", Time)];
const COMMENT: &[Field] = &[
    one(1, "id", Int64),
    one(2, "user", Of(USER)),
    one(3, "body", Text),
    one(4, "created", Time),
    one(5, "updated", Time),
];
const DISMISSED: &[Field] =
    &[one(1, "review_id", Int64), one(3, "dismissal_message", Text), one(4, "state", Text)];
const EVENT: &[Field] = &[
    one(1, "id", Int64),
    one(2, "event_type", Text),
    one(3, "actor_id", Int64),
    one(4, "created", Time),
    one(5, "label", Of(LABEL)),
    one(6, "milestone", Of(MILESTONE)),
    one(7, "assignee_id", Int64),
    one(8, "assigner_id", Int64),
    one(9, "commit", Of(COMMIT_REF)),
    one(10, "other_json", Text),
    one(11, "rename_from", Text),
    one(12, "rename_to", Text),
    one(13, "reviewer_id", Int64),
    one(14, "review_requester_id", Int64),
    one(15, "dismissed_review", Of(DISMISSED)),
    one(16, "team_reviewer", Of(TEAM)),
];
const REVIEW: &[Field] = &[
    one(1, "id", Int64),
    one(2, "actor_id", Int64),
    one(3, "created", Time),
    one(4, "body", Text),
    one(5, "state", Text),
    one(6, "commit_id", Text),
    one(7, "actor_association", Text),
    one(8, "other_json", Text),
];
const ISSUE: &[Field] = &[
    one(1, "owner", Text),
    one(2, "repo", Text),
    one(3, "number", Int32),
    one(4, "user", Of(USER)),
    one(5, "created", Time),
    one(6, "updated", Time),
    one(7, "body", Text),
    list(8, "comment", Of(COMMENT)),
    one(9, "title", Text),
    list(10, "assignees", Of(USER)),
    list(11, "deleted_assignees", Int64),
    one(12, "id", Int64),
    one(13, "not_exist", Bool),
    one(14, "comment_status", Of(SYNC)),
    one(15, "no_milestone", Bool),
    one(16, "milestone_id", Int64),
    one(17, "milestone_num", Int64),
    one(18, "milestone_title", Text),
    one(19, "closed", Of(BOOL_CHANGE)),
    one(21, "closed_at", Time),
    one(22, "closed_by", Of(USER)),
    list(23, "remove_label", Int64),
    list(24, "add_label", Of(LABEL)),
    one(25, "locked", Of(BOOL_CHANGE)),
    list(26, "event", Of(EVENT)),
    one(27, "event_status", Of(SYNC)),
    one(28, "pull_request", Bool),
    list(29, "review", Of(REVIEW)),
    one(30, "review_status", Of(SYNC)),
    one(31, "body_change", Of(STRING_CHANGE)),
];
const GITHUB: &[Field] = &[
    one(1, "owner", Text),
    one(2, "repo", Text),
    list(3, "labels", Of(LABEL)),
    list(4, "milestones", Of(MILESTONE)),
];
const FILE: &[Field] =
    &[one(1, "file", Text), one(2, "added", Int64), one(3, "deleted", Int64), one(4, "binary", Bool)];
const TREE: &[Field] = &[list(1, "file", Of(FILE))];
const COMMIT: &[Field] = &[one(1, "sha1", Text), one(2, "raw", Text), one(3, "diff_tree", Of(TREE))];
const GIT: &[Field] = &[one(1, "repo", Of(&[one(1, "go_repo", Text)])), one(2, "commit", Of(COMMIT))];
const REF: &[Field] = &[one(1, "ref", Text), one(2, "sha1", Text)];
const GERRIT: &[Field] = &[
    one(1, "project", Text),
    list(2, "commits", Of(COMMIT)),
    list(3, "refs", Of(REF)),
    list(4, "deleted_refs", Text),
];
const MUTATION: &[Field] = &[
    one(1, "github_issue", Of(ISSUE)),
    one(2, "git", Of(GIT)),
    one(3, "github", Of(GITHUB)),
    one(4, "gerrit", Of(GERRIT)),
];

/// A mutation as a JSON object without a line break. What it does not say is left out, and so are fields that this program
/// does not know; times are RFC 3339, and of what is not UTF-8 each odd byte is U+FFFD.
///
/// # Errors
/// What is no message.
pub fn json(payload: &[u8]) -> Result<String, MutationError> {
    let mut out = String::new();
    object(payload, MUTATION, &mut out)?;
    Ok(out)
}

fn object(message: &[u8], fields: &[Field], out: &mut String) -> Result<(), WireError> {
    out.push('{');
    let mut any = false;
    for field in fields {
        let mut values = String::new();
        let count = collect(message, field, &mut values)?;
        if count == 0 {
            continue;
        }
        if any {
            out.push(',');
        }
        any = true;
        text(field.name.as_bytes(), out);
        out.push(':');
        if field.list {
            let _ = write!(out, "[{values}]");
        } else {
            out.push_str(&values);
        }
    }
    out.push('}');
    Ok(())
}

/// The values of one field, separated by commas, and how many they are. Of a field that is no list the last counts, and
/// messages are merged.
fn collect(message: &[u8], field: &Field, out: &mut String) -> Result<usize, WireError> {
    let mut count = 0;
    let mut merged = Vec::new();
    let mut next = |out: &mut String| {
        if !field.list {
            out.clear();
        } else if count > 0 {
            out.push(',');
        }
        count += 1;
    };
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.read()? {
        if number != field.number {
            continue;
        }
        match (&field.kind, value) {
            (Text, Value::Bytes(bytes)) => {
                next(out);
                text(bytes, out);
            }
            (Int32 | Int64 | Bool, Value::Varint(number)) => {
                next(out);
                scalar(&field.kind, number, out);
            }
            (Int64, Value::Bytes(numbers)) if field.list => packed(numbers, |number| {
                next(out);
                scalar(&field.kind, number, out);
            })?,
            (Of(inner), Value::Bytes(bytes)) if field.list => {
                next(out);
                object(bytes, inner, out)?;
            }
            (Of(_) | Time, Value::Bytes(bytes)) => {
                next(out);
                merged.extend_from_slice(bytes);
            }
            _ => {}
        }
    }
    if count > 0 && !field.list {
        match &field.kind {
            // Messages one behind the other are one that was merged.
            Of(inner) => object(&merged, inner, out)?,
            Time => time(&merged, out)?,
            _ => {}
        }
    }
    Ok(count)
}

fn scalar(kind: &Kind, number: u64, out: &mut String) {
    let _ = match kind {
        Bool => write!(out, "{}", number != 0),
        Int32 => write!(out, "{}", int32(number)),
        _ => write!(out, "{}", int64(number)),
    };
}

fn time(message: &[u8], out: &mut String) -> Result<(), WireError> {
    let time = mutation::Timestamp::of(message)?;
    match jiff::Timestamp::new(time.seconds, time.nanos) {
        Ok(time) => {
            let _ = write!(out, "\"{time}\"");
        }
        // Beyond the calendar.
        Err(_) => {
            let _ = write!(out, "{{\"seconds\":{},\"nanos\":{}}}", time.seconds, time.nanos);
        }
    }
    Ok(())
}

/// A JSON string.
fn text(bytes: &[u8], out: &mut String) {
    out.push('"');
    for letter in String::from_utf8_lossy(bytes).chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// What a mutation says, in a line for people. Nothing of it can move a terminal's cursor.
///
/// # Errors
/// What is no message.
pub fn line(payload: &[u8]) -> Result<String, MutationError> {
    let given = Mutation::of(payload)?;
    let mut said = Vec::new();
    if let Some(message) = given.github_issue {
        said.push(issue(message)?);
    }
    if let Some(message) = given.github {
        let (labels, milestones) = (count(message, 3)?, count(message, 4)?);
        said.push(format!(
            "{}/{}: {}",
            first(message, 1)?,
            first(message, 2)?,
            listed(&[(labels, "label"), (milestones, "milestone")])
        ));
    }
    for (message, project) in [(given.git, false), (given.gerrit, true)] {
        let Some(message) = message else { continue };
        let mut parts = Vec::new();
        for commit in elements::<GitCommit<'_>>(message, 2) {
            let commit = commit?;
            let body = memchr::memmem::find(commit.raw, b"\n\n").map_or(&b""[..], |at| &commit.raw[at + 2..]);
            let subject = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
            parts.push(format!("commit {} {}", short(commit.sha1), shown(subject)));
        }
        if project {
            for found in elements::<GitRef<'_>>(message, 3) {
                let found = found?;
                parts.push(format!("{} is {}", shown(found.name), short(found.sha1)));
            }
            for name in mutation::bytes(message, 4) {
                parts.push(format!("{} is gone", shown(name?)));
            }
        }
        let name = if project { first(message, 1)? } else { "git".to_owned() };
        said.push(format!("{name}: {}", parts.join("; ")));
    }
    Ok(if said.is_empty() { "nothing that is known here".to_owned() } else { said.join("; ") })
}

fn issue(message: &[u8]) -> Result<String, MutationError> {
    let issue = Issue::of(message)?;
    let mut parts = Vec::new();
    if issue.not_exist {
        parts.push("is gone".to_owned());
    }
    if !issue.title.is_empty() {
        parts.push(format!("\"{}\"", shown(issue.title)));
    }
    if let Some(user) = &issue.user {
        parts.push(format!("by {}", shown(user.login)));
    }
    if let Some(closed) = &issue.closed {
        parts.push(if closed.val { "closed" } else { "open" }.to_owned());
    }
    if let Some(locked) = &issue.locked {
        parts.push(if locked.val { "locked" } else { "not locked" }.to_owned());
    }
    if issue.body_change.is_some() || !issue.body.is_empty() {
        parts.push("body".to_owned());
    }
    if issue.no_milestone {
        parts.push("no milestone".to_owned());
    } else if issue.milestone_id != 0 {
        parts.push(format!("milestone {}", shown(issue.milestone_title)));
    }
    for label in elements::<mutation::Label<'_>>(message, Issue::ADD_LABEL) {
        parts.push(format!("+{}", shown(label?.name)));
    }
    for event in elements::<mutation::Event<'_>>(message, Issue::EVENTS) {
        parts.push(format!("event {}", shown(event?.event_type)));
    }
    let (mut removed, mut unassigned) = (0, 0);
    mutation::numbers(message, Issue::REMOVE_LABEL, |_| removed += 1)?;
    mutation::numbers(message, Issue::DELETED_ASSIGNEES, |_| unassigned += 1)?;
    let counted = listed(&[
        (count(message, Issue::COMMENTS)?, "comment"),
        (count(message, Issue::REVIEWS)?, "review"),
        (count(message, Issue::ASSIGNEES)?, "assignee"),
        (removed, "label less"),
        (unassigned, "assignee less"),
    ]);
    if !counted.is_empty() {
        parts.push(counted);
    }
    let synced = [(14, "comments"), (27, "events"), (30, "reviews")];
    parts.extend(
        synced.iter().filter(|(number, _)| issue.has(*number)).map(|(_, what)| format!("{what} are whole")),
    );
    Ok(format!("{}/{}#{}: {}", shown(issue.owner), shown(issue.repo), issue.number, parts.join(", ")))
}

fn count(message: &[u8], number: u32) -> Result<usize, WireError> {
    mutation::bytes(message, number).try_fold(0, |count, element| element.map(|_| count + 1))
}

fn first(message: &[u8], number: u32) -> Result<String, WireError> {
    mutation::bytes(message, number).next().map_or(Ok(String::new()), |found| Ok(shown(found?)))
}

fn listed(counts: &[(usize, &str)]) -> String {
    let some = counts.iter().filter(|(count, _)| *count > 0);
    some.map(|(count, what)| format!("{count} × {what}")).collect::<Vec<_>>().join(", ")
}

fn short(sha1: &[u8]) -> String {
    shown(&sha1[..sha1.len().min(10)])
}

/// At most 100 letters, none of which is for a terminal.
fn shown(text: &[u8]) -> String {
    let mut letters = String::from_utf8_lossy(&text[..text.len().min(400)]).into_owned();
    letters.retain(|letter| !letter.is_control());
    match letters.char_indices().nth(100) {
        Some((at, _)) => format!("{}…", &letters[..at]),
        None => letters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of spec/maintner.md §1.3.
    fn vector(hexadecimal: &str) -> Vec<u8> {
        hex::decode(hexadecimal).unwrap()
    }

    const ISSUE: &str = "0a3c0a06676f6c616e671202676f1803220d08641209676f70686572626f742a0608e0cd9fb4053a09736f6d6520626f64794a0a736f6d65207469746c65";
    const GONE: &str = "0a100a06676f6c616e671202676f18076801";

    #[test]
    fn an_issue_is_printed() {
        assert_eq!(
            json(&vector(ISSUE)).unwrap(),
            r#"{"github_issue":{"owner":"golang","repo":"go","number":3,"user":{"id":100,"login":"gopherbot"},"created":"2016-01-02T15:04:00Z","body":"some body","title":"some title"}}"#
        );
        assert_eq!(line(&vector(ISSUE)).unwrap(), "golang/go#3: \"some title\", by gopherbot, body");
        assert_eq!(
            json(&vector(GONE)).unwrap(),
            r#"{"github_issue":{"owner":"golang","repo":"go","number":7,"not_exist":true}}"#
        );
        assert_eq!(line(&vector(GONE)).unwrap(), "golang/go#7: is gone");
        assert_eq!(
            (json(&[]).unwrap(), line(&[]).unwrap()),
            ("{}".into(), "nothing that is known here".into())
        );
    }

    #[test]
    fn lists_merged_messages_and_odd_texts_are_printed() {
        // remove_label, packed and not; closed, twice; a title with what a terminal would act on.
        let inside = b"\xba\x01\x02\x05\x06\xb8\x01\x07\x9a\x01\x02\x08\x01\x9a\x01\x00\x4a\x05a\"\x1b\n\xff";
        let payload = [&[0x0a, u8::try_from(inside.len()).unwrap()][..], inside].concat();
        assert_eq!(
            json(&payload).unwrap(),
            "{\"github_issue\":{\"title\":\"a\\\"\\u001b\\n\u{fffd}\",\"closed\":{\"val\":true},\"remove_label\":[5,6,7]}}"
        );
        assert_eq!(line(&payload).unwrap(), "/#0: \"a\"\u{fffd}\", closed, 3 × label less");
        let gerrit = b"\x22\x15\x0a\x03h/p\x1a\x09\x0a\x04HEAD\x12\x01f\x22\x03old";
        assert_eq!(
            json(gerrit).unwrap(),
            r#"{"gerrit":{"project":"h/p","refs":[{"ref":"HEAD","sha1":"f"}],"deleted_refs":["old"]}}"#
        );
        assert_eq!(line(gerrit).unwrap(), "h/p: HEAD is f; old is gone");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_printed_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
            let _ = (json(&bytes), line(&bytes));
        }
    }
}
