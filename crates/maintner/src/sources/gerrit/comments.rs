//! Comments on files, as they are in the files of a meta commit's tree: `{"comments": […]}`, a file for each patch set, named
//! after its commit. A commit of the log has those that it adds or changes, so that the log grows with the comments and not with
//! their square. Source: what Gerrit 3.10 writes.

use std::collections::BTreeMap;

use maintpb::{GerritComment, GerritRange, Timestamp};
use serde_json::{Map, Value};

/// A file of more bytes is not read.
pub const LONGEST: usize = 16 << 20;

/// The commit that a file of a meta commit's tree is named after; NoteDb makes folders where there are many.
#[must_use]
pub fn commit_of(path: &str) -> Option<String> {
    let name: String = path.chars().filter(|c| *c != '/').collect();
    let hex = name.len() == 40 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hex.then_some(name)
}

/// The comments that are other in a file than they were, in its order, and behind them those that are no more. Either is `None`
/// where there was no file. Of a new one that can't be read nothing is said, since its comments may all be there; behind an
/// old one all that are there are told.
#[must_use]
pub fn changed(commit: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Vec<GerritComment> {
    let old = old.and_then(all).unwrap_or_default();
    let Some(new) = new.map_or_else(|| Some(Vec::new()), all) else { return Vec::new() };
    let before: BTreeMap<&str, &Map<String, Value>> =
        old.iter().filter_map(|one| Some((uuid(one)?, one))).collect();
    let mut found = Vec::new();
    let mut there = std::collections::BTreeSet::new();
    for one in &new {
        let Some(uuid) = uuid(one) else { continue };
        if there.insert(uuid) && before.get(uuid) != Some(&one) {
            found.push(comment(commit, one.clone()));
        }
    }
    for (uuid, one) in before {
        if !there.contains(uuid) {
            let gone = comment(commit, one.clone());
            let GerritComment { file, patch_set, .. } = gone;
            let commit = commit.to_owned();
            found.push(GerritComment {
                uuid: uuid.to_owned(),
                file,
                patch_set,
                commit,
                deleted: true,
                ..GerritComment::default()
            });
        }
    }
    found
}

/// `None` of a file of another form.
fn all(file: &[u8]) -> Option<Vec<Map<String, Value>>> {
    let Ok(Value::Object(mut file)) = serde_json::from_slice(file) else { return None };
    let comments = match file.remove("comments") {
        Some(Value::Array(comments)) => comments,
        None | Some(Value::Null) => Vec::new(),
        Some(_) => return None,
    };
    let objects = comments.into_iter().filter_map(|comment| match comment {
        Value::Object(comment) => Some(comment),
        _ => None,
    });
    Some(objects.collect())
}

fn uuid(comment: &Map<String, Value>) -> Option<&str> {
    comment.get("key")?.get("uuid")?.as_str()
}

fn comment(commit: &str, mut given: Map<String, Value>) -> GerritComment {
    let mut key = match given.remove("key") {
        Some(Value::Object(key)) => key,
        _ => Map::new(),
    };
    let range = given.remove("range").map(|range| {
        let at = |name: &str| range.get(name).and_then(number).unwrap_or_default();
        GerritRange {
            start_line: at("startLine"),
            start_character: at("startChar"),
            end_line: at("endLine"),
            end_character: at("endChar"),
        }
    });
    let author = given.remove("author");
    // It is the file's name, and the server's is in the addresses of people.
    for known in ["revId", "serverId"] {
        given.remove(known);
    }
    let mut found = GerritComment {
        uuid: text(&mut key, "uuid"),
        file: text(&mut key, "filename"),
        patch_set: key.get("patchSetId").and_then(number).unwrap_or_default(),
        line: take(&mut given, "lineNbr"),
        range,
        author: author.and_then(|author| author.get("id")?.as_i64()).unwrap_or_default(),
        written: time(&mut given),
        side: take(&mut given, "side"),
        message: text(&mut given, "message"),
        parent_uuid: text(&mut given, "parentUuid"),
        unresolved: matches!(given.remove("unresolved"), Some(Value::Bool(true))),
        tag: text(&mut given, "tag"),
        commit: commit.to_owned(),
        deleted: false,
        other_json: Vec::new(),
    };
    if !given.is_empty() {
        found.other_json = Value::Object(given).to_string().into_bytes();
    }
    found
}

fn number(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|number| i32::try_from(number).ok())
}

fn take(from: &mut Map<String, Value>, key: &str) -> i32 {
    from.remove(key).as_ref().and_then(number).unwrap_or_default()
}

fn text(from: &mut Map<String, Value>, key: &str) -> String {
    match from.remove(key) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

/// Gerrit writes `2026-01-31T13:07:00Z`; what is of another form stays among what is not known.
fn time(from: &mut Map<String, Value>) -> Option<Timestamp> {
    let time: jiff::Timestamp = from.get("writtenOn")?.as_str()?.parse().ok()?;
    from.remove("writtenOn");
    Some(Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: &str = r#"{"unresolved":true,"key":{"uuid":"a","filename":"a.txt","patchSetId":2},"lineNbr":3,
        "author":{"id":1000001},"writtenOn":"2026-01-31T13:07:00Z","side":1,"message":"Why?","range":
        {"startLine":2,"startChar":0,"endLine":3,"endChar":4},"revId":"x","serverId":"y","parentUuid":"z","fix":[1]}"#;

    fn file(comments: &[&str]) -> Vec<u8> {
        format!(r#"{{"comments":[{}]}}"#, comments.join(",")).into_bytes()
    }

    #[test]
    fn a_comment_is_read_with_what_is_not_known_of_it() {
        let found = changed("c", None, Some(&file(&[ONE])));
        let [one] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((one.uuid.as_str(), one.file.as_str(), one.patch_set, one.line), ("a", "a.txt", 2, 3));
        assert_eq!((one.author, one.side, one.unresolved), (1_000_001, 1, true));
        assert_eq!(one.written, Some(Timestamp { seconds: 1_769_864_820, nanos: 0 }));
        assert_eq!((one.message.as_str(), one.parent_uuid.as_str()), ("Why?", "z"));
        assert_eq!(one.range.as_ref().map(|range| (range.start_line, range.end_character)), Some((2, 4)));
        assert_eq!(one.other_json, br#"{"fix":[1]}"#);
    }

    #[test]
    fn what_is_as_before_is_not_told_again() {
        let other = r#"{"key":{"uuid":"b","filename":"b","patchSetId":1},"message":"x"}"#;
        let edited = other.replace('x', "y");
        assert_eq!(changed("c", Some(&file(&[ONE])), Some(&file(&[ONE]))), []);
        let uuids = |old: &[&str], new: &[&str]| {
            let found = changed("c", Some(&file(old)), Some(&file(new)));
            found
                .iter()
                .map(|one| format!("{}{}", one.uuid, if one.deleted { "-" } else { "" }))
                .collect::<String>()
        };
        assert_eq!(uuids(&[ONE], &[ONE, other]), "b");
        assert_eq!(uuids(&[ONE, other], &[&edited, ONE]), "b");
        assert_eq!(uuids(&[ONE, other], &[other]), "a-");
    }

    #[test]
    fn a_file_that_cannot_be_read_takes_nothing_away() {
        let one = file(&[ONE]);
        for odd in ["", "x", "[]", r#"{"comments":1}"#, r#"{"comments":[{"key":{"uuid":"a"#] {
            assert_eq!(changed("c", Some(&one), Some(odd.as_bytes())), [], "{odd}");
            assert_eq!(changed("c", Some(odd.as_bytes()), Some(&one)).len(), 1, "{odd}");
        }
        for none in [None, Some(b"{}".as_slice()), Some(br#"{"comments":[]}"#)] {
            let gone = changed("c", Some(&one), none);
            assert!(gone.len() == 1 && gone[0].deleted, "{none:?}");
        }
    }

    #[test]
    fn files_are_named_after_commits() {
        let hash = "ab".repeat(20);
        assert_eq!(commit_of(&hash), Some(hash.clone()));
        assert_eq!(commit_of(&format!("ab/{}", &hash[2..])), Some(hash));
        for name in ["", "a.txt", &"g".repeat(40), &"a".repeat(41)] {
            assert_eq!(commit_of(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_file_is_read(old: Vec<u8>, new in r#"\{"comments":\[(\{"key":(\{"uuid":"a"(,"patchSetId":-?[0-9]{1,20})?\}|1)(,"lineNbr":[0-9.e]{1,9}|,"range":[0-9]|,"author":"x"|,"writtenOn":"[0-9TZ:-]{0,20}")*\},?){0,3}\]\}"#) {
            let _ = changed("c", Some(&old), Some(new.as_bytes()));
            let _ = changed("c", Some(new.as_bytes()), Some(&old));
        }
    }
}
