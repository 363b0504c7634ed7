//! `log stats`, `log digest`, `log verify`, `log recover` and `log tail` on logs that were made by nobody of ours.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The example segment of spec/maintner.md §2.1, whose digests were made by the original.
const SEGMENT: &str = "\
    5245434030 2b33653d0a3c0a06676f6c616e671202676f18032 20d0864 1209676f70686572626f742a0608e0cd9fb405\
    3a09736f6d6520626f64794a0a736f6d65207469746c65 524543403437 2b31323d0a100a06676f6c616e671202676f1807\
    680152454340 36332b36353d22630a19676f2e676f6f676c65736f757263652e636f6d2f6275696c641a460a1a\
    726566732f6368616e6765732f33302f34383333302f6d65746112286639666366306666396562353866633865646439383966386262623335303066663733663962\
    3131";
const SHA224: &str = "06fcfb5c3b5f84e2c9b61282d25a243378a75a990abc0c7f7b5185aa";
const DIGEST: &str = "11b2913572aa62e832b3a4daa05b62ff4777e1519ba7639950ea1a18";

fn segment() -> Vec<u8> {
    hex::decode(SEGMENT.replace(' ', "")).unwrap()
}

/// Exit code, standard output and error of `bellwether log …`.
fn log(arguments: &[&str], dir: &Path) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
    let output = command.arg("log").args(arguments).arg(dir).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn folder(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name), bytes).unwrap();
    dir
}

#[test]
fn a_log_is_counted_digested_and_found_whole() {
    let dir = folder(&format!("0000.{SHA224}.mutlog"), &segment());
    let (code, out, _) = log(&["stats", "--json"], dir.path());
    let stats: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(0));
    for (name, want) in [
        ("records", 3),
        ("bytes", 210),
        ("issues", 2),
        ("users", 1),
        ("projects", 1),
        ("cls", 0),
        ("passed_over", 1),
    ] {
        assert_eq!(stats[name], want, "{name} of {stats}");
    }
    for more in [&[][..], &["--original"], &["--one-thread"]] {
        let (code, out, err) = log(&[&["digest"], more].concat(), dir.path());
        assert_eq!((code, out.trim_end()), (Some(0), DIGEST), "{more:?}: {err}");
    }
    // Made the first time, and gone on from the second.
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("checkpoint");
    for _ in 0..2 {
        let (code, out, err) = log(&["digest", "--checkpoint", file.to_str().unwrap()], dir.path());
        assert_eq!((code, out.trim_end()), (Some(0), DIGEST), "{err}");
        assert!(file.exists());
    }
    let (code, out, err) = log(&["digest", "--dump"], dir.path());
    assert_eq!((code, out.lines().count(), err.trim_end()), (Some(0), 5, DIGEST));
    assert!(out.contains("\nU\t100\tgopherbot\n"), "{out}");
    let (code, out, _) = log(&["verify"], dir.path());
    assert_eq!((code, out.as_str()), (Some(0), "3 records in 1 files, 210 bytes: whole\n"));
}

/// A field of protobuf that has bytes.
fn field(tag: usize, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [varint(tag << 3 | 2), varint(bytes.len()), bytes.to_vec()].concat()
}

/// One that has a number.
fn number(tag: usize, value: usize) -> Vec<u8> {
    [varint(tag << 3), varint(value)].concat()
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A mutation of a Gerrit's project: a commit, by a letter of its hash, that is at these refs.
fn at(letter: &str, message: &str, refs: &[&str]) -> Vec<u8> {
    let (hash, who) = (letter.repeat(40), "Ann <7@s> 1500000000 +0000");
    let raw = format!("tree {}\nauthor {who}\ncommitter {who}\n\n{message}\n", "0".repeat(40));
    let refs = refs.iter().map(|name| field(3, [field(1, name), field(2, &hash)].concat()));
    let commit = field(2, [field(1, &hash), field(2, raw)].concat());
    let project = field(1, "go.googlesource.com/go");
    field(4, [project, commit, refs.collect::<Vec<_>>().concat()].concat())
}

/// Two days: an issue with two comments and an event, then a branch and a change.
#[test]
fn the_days_of_a_log_are_counted_together() {
    let who = [number(1, 100), field(2, "gopherbot")].concat();
    let when = number(1, 1_500_000_000);
    let comment = |id| {
        let parts = [number(1, id), field(2, &who), field(3, "text"), field(4, &when), field(5, &when)];
        field(8, parts.concat())
    };
    let event = [number(1, 5), field(2, "closed"), number(3, 100), field(4, &when)].concat();
    let name = [field(1, "golang"), field(2, "go"), number(3, 3)].concat();
    let more = [field(4, &who), field(5, &when), comment(1), comment(2), field(26, event)].concat();
    let issue = field(1, [name, more].concat());
    let meta = "Create change\n\nPatch-set: 1\nChange-id: I1\nBranch: refs/heads/master\nStatus: new\n";
    let days = [
        vec![issue, at("a", "one", &["refs/heads/master"])],
        vec![
            at("b", "two\n\nChange-Id: I1", &["refs/changes/01/1/1"]),
            at("c", meta, &["refs/changes/01/1/meta"]),
        ],
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut whole = 0;
    for (nth, day) in days.iter().enumerate() {
        let mut file = Vec::new();
        for mutation in day {
            file.extend(format!("REC@{:x}+{:x}=", file.len(), mutation.len()).as_bytes());
            file.extend(mutation);
        }
        whole += file.len();
        std::fs::write(dir.path().join(format!("maintner-2017-07-0{}.mutlog", nth + 1)), file).unwrap();
    }
    let (code, out, err) = log(&["stats", "--json"], dir.path());
    assert_eq!(code, Some(0), "{err}");
    let stats: Value = serde_json::from_str(&out).unwrap();
    for (name, want) in [
        ("records", 4),
        ("bytes", whole),
        ("repos", 1),
        ("issues", 1),
        ("comments", 2),
        ("events", 1),
        ("reviews", 0),
        ("users", 1),
        ("projects", 1),
        ("cls", 1),
        ("commits", 3),
        ("refs", 3),
        ("passed_over", 0),
    ] {
        assert_eq!(stats[name], want, "{name} of {stats}");
    }
    assert!(stats["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{stats}");
    for memory in ["anonymous_bytes", "mapped_bytes"] {
        let known = stats[memory].as_u64().is_some_and(|bytes| bytes > 100_000);
        assert!(known || !cfg!(target_os = "linux"), "{memory} of {stats}");
    }
    let (code, out, _) = log(&["stats"], dir.path());
    assert!(code == Some(0) && out.contains("comments"), "{out}");
}

#[test]
fn what_is_not_whole_is_named() {
    let mut changed = segment();
    changed[50] ^= 1;
    let cut = &segment()[..200];
    let sealed = format!("0000.{SHA224}.mutlog");
    for (name, bytes, arguments, said) in [
        (sealed.as_str(), &changed[..], &["verify"][..], "its name says 06fcfb5c"),
        (
            "maintner-2017-07-01.mutlog",
            cut,
            &["verify"],
            "maintner-2017-07-01.mutlog: record at offset 99 (0x63)",
        ),
        (
            "maintner-2017-07-01.mutlog",
            cut,
            &["stats"],
            "it has 101 bytes and the file ends after 91 of them",
        ),
        ("0001.growing.mutlog", cut, &["digest"], "segment 0000 is missing"),
        ("notes.txt", cut, &["stats"], "no log is here"),
    ] {
        let dir = folder(name, bytes);
        let (code, out, err) = log(arguments, dir.path());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains(said), "{said} is not in: {err}");
    }
    let day = folder("maintner-2017-07-01.mutlog", &segment());
    assert!(log(&["verify"], day.path()).1.contains("of 3 of the records there is no digest"));
}

#[test]
fn without_a_build_or_a_word_it_says_what_it_wants() {
    let output = Command::new(env!("CARGO_BIN_EXE_bellwether")).arg("log").output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(err.contains("<BUILD>"), "{err}");
}

#[test]
fn what_is_good_is_kept_and_what_is_dropped_is_said() {
    let mut changed = segment();
    changed[64] = b'X';
    let dir = folder(&format!("0000.{SHA224}.mutlog"), &changed[..200]);
    let to = tempfile::tempdir().unwrap();
    let (code, out, err) = log(&["recover", "--to", to.path().to_str().unwrap()], dir.path());
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("dropped 101 bytes of ") && out.contains("it has 101 bytes"), "{out}");
    assert!(out.ends_with("2 records are kept, 99 bytes\n"), "{out}");
    let (code, out, err) = log(&["recover", "--json"], dir.path());
    assert_eq!(code, Some(0), "{err}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&said["records"], &said["dropped"][0]["offset"]), (&Value::from(2), &Value::from(99)));
    let aside = said["aside"][0].as_str().unwrap();
    assert_eq!(std::fs::read(aside).unwrap(), &changed[..200]);
    for dir in [dir.path(), to.path()] {
        assert!(log(&["verify"], dir).1.starts_with("2 records in 1 files, 99 bytes: whole"));
    }
}

#[test]
fn mutations_are_printed() {
    let dir = folder("0000.growing.mutlog", &segment());
    let (code, out, err) = log(&["tail", "--once", "--from", "0"], dir.path());
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 3), "{err}");
    assert_eq!(lines[0], "0  golang/go#3: \"some title\", by gopherbot, body");
    assert_eq!(lines[1], "71  golang/go#7: is gone");
    assert_eq!(lines[2], "99  go.googlesource.com/build: refs/changes/30/48330/meta is f9fcf0ff9e");
    let (_, out, _) = log(&["tail", "--once", "--from", "99", "--json"], dir.path());
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["mutation"]["gerrit"]["refs"][0]["ref"], "refs/changes/30/48330/meta");
    assert_eq!(log(&["tail", "--once"], dir.path()).1, "");
    let (code, _, err) = log(&["tail", "--once", "--from", "5"], dir.path());
    assert!(code == Some(2) && err.contains("no record begins at byte 5"), "{err}");
}
