//! An archive is the tree, whatever the tree says about itself.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use git::{Error, ObjectId, Repository};
use tokio::io::AsyncReadExt;

use crate::fixture::{Fixture, run_in};

/// Kind and mode, and the content or target, by the bytes of the name.
type Entries = BTreeMap<Vec<u8>, (String, Vec<u8>)>;

async fn archived(repository: &Repository, commit: ObjectId, prefix: Option<&str>) -> Entries {
    let mut bytes = Vec::new();
    repository.archive(commit, prefix).await.unwrap().read_to_end(&mut bytes).await.unwrap();
    let mut entries = Entries::new();
    for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let (name, mode) = (entry.path_bytes().into_owned(), entry.header().mode().unwrap() & 0o777);
        let value = match entry.header().entry_type() {
            tar::EntryType::Regular => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (format!("file {mode:o}"), content)
            }
            tar::EntryType::Symlink => ("link".into(), entry.link_name_bytes().unwrap().into_owned()),
            tar::EntryType::Directory => ("folder".into(), Vec::new()),
            tar::EntryType::XGlobalHeader => continue,
            other => panic!("{other:?}"),
        };
        entries.insert(name, value);
    }
    entries
}

/// Reads the same from the tree, object by object.
fn tree(fixture: &Fixture, commit: ObjectId) -> Entries {
    let listing = std::process::Command::new("git")
        .args(["ls-tree", "-r", "-z", &commit.to_string()])
        .current_dir(&fixture.source)
        .output()
        .unwrap();
    let mut entries = Entries::new();
    for record in listing.stdout.split(|byte| *byte == 0).filter(|record| !record.is_empty()) {
        let tab = record.iter().position(|byte| *byte == b'\t').unwrap();
        let head = String::from_utf8(record[..tab].to_vec()).unwrap();
        let words: Vec<&str> = head.split(' ').collect();
        let content = || {
            let out = std::process::Command::new("git")
                .args(["cat-file", "blob", words[2]])
                .current_dir(&fixture.source)
                .output()
                .unwrap();
            out.stdout
        };
        let mut name = record[tab + 1..].to_vec();
        let value = match words[0] {
            "100644" => ("file 644".to_owned(), content()),
            "100755" => ("file 755".to_owned(), content()),
            "120000" => ("link".to_owned(), content()),
            "160000" => {
                name.push(b'/');
                ("folder".to_owned(), Vec::new())
            }
            other => panic!("{other}"),
        };
        for (at, byte) in record[tab + 1..].iter().enumerate() {
            if *byte == b'/' {
                entries.insert(record[tab + 1..tab + 2 + at].to_vec(), ("folder".into(), Vec::new()));
            }
        }
        entries.insert(name, value);
    }
    entries
}

#[tokio::test]
async fn an_archive_equals_the_tree() {
    let fixture = Fixture::new();
    fixture.write(".gitattributes", "hidden export-ignore\nsub/ export-ignore\nsubst export-subst ident\n*.txt text eol=crlf\n*.u16 working-tree-encoding=UTF-16LE\n*.f filter=evil\n[attr]gone export-ignore\nmacro gone\n");
    fixture.write("hidden", "shown all the same\n");
    fixture.write("macro", "shown\n");
    fixture.write("sub/inner/.gitattributes", "* export-ignore\n");
    fixture.write("sub/inner/file", "x");
    fixture.write("subst", "$Format:%H$ $Id$\n");
    fixture.write("dos.txt", "one\ntwo\r\nthree\n");
    fixture.write("data.f", "as it is\n");
    fixture.write("empty", "");
    fixture.write("run.sh", "#!/bin/sh\n");
    fixture.write(&format!("{}/{}", "d".repeat(90), "f".repeat(200)), "a long name");
    std::fs::set_permissions(fixture.source.join("run.sh"), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink("../../../etc/passwd", fixture.source.join("out")).unwrap();
    std::os::unix::fs::symlink("sub/inner", fixture.source.join("in")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"latin-\xe9\xff");
    std::fs::write(fixture.source.join(odd), "not UTF-8").unwrap();
    fixture.run(&["add", "-A"]);
    // Added behind the filters' back, so that the tree holds exactly these bytes.
    for (name, bytes) in
        [("dos.txt", &b"one\ntwo\r\nthree\n"[..]), ("wide.u16", b"plain\n"), ("subst", b"$Format:%H$ $Id$\n")]
    {
        let id = run_in(&fixture.source, &["hash-object", "-w", "--stdin", "--no-filters"], bytes);
        fixture.run(&["update-index", "--add", "--cacheinfo", &format!("100644,{id},{name}")]);
    }
    let link = "160000,1111111111111111111111111111111111111111,module";
    fixture.run(&["update-index", "--add", "--cacheinfo", link]);
    fixture.run(&["commit", "-q", "-m", "all sorts"]);
    let commit = fixture.run(&["rev-parse", "HEAD"]).parse().unwrap();
    let mirror = fixture.mirror().await;
    let wanted = tree(&fixture, commit);
    assert!(wanted.len() > 15 && wanted.contains_key(odd.as_bytes()));
    assert_eq!(archived(&mirror, commit, None).await, wanted);
    let below = archived(&mirror, commit, Some("a/b/")).await;
    assert_eq!(below[&b"a/b/subst"[..]], wanted[&b"subst"[..]]);
    let listed = mirror.list_tree(commit, 3, 5000).await.unwrap();
    assert_eq!(listed.submodules, ["module"]);
    assert!(listed.paths.contains(&"sub/inner/file".to_owned()) && !listed.truncated);
}

#[tokio::test]
async fn an_archive_of_nothing_is_an_error() {
    let fixture = Fixture::new();
    fixture.commit("one");
    let mirror = fixture.mirror().await;
    let nowhere = ObjectId::from_bytes([7; 20]);
    assert!(matches!(mirror.archive(nowhere, None).await, Err(Error::NoSuchRevision { .. })));
    for prefix in ["../x", "/x", "", "a//b", "./a"] {
        assert!(
            mirror.archive(nowhere, Some(prefix)).await.is_err_and(|e| matches!(e, Error::Unexpected { .. }))
        );
    }
}

#[tokio::test]
async fn a_damaged_tree_is_an_error_of_the_stream() {
    let fixture = Fixture::new();
    fixture.write("big", vec![b'x'; 1 << 20]);
    fixture.write("bad", "to be lost");
    let commit = fixture.commit("one");
    let mirror = fixture.git.init_bare(&fixture.source.join(".git")).await.unwrap();
    let lost = fixture.run(&["rev-parse", "HEAD:bad"]);
    std::fs::remove_file(fixture.source.join(format!(".git/objects/{}/{}", &lost[..2], &lost[2..]))).unwrap();
    let mut bytes = Vec::new();
    let error = mirror.archive(commit, None).await.unwrap().read_to_end(&mut bytes).await.unwrap_err();
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()).unwrap();
    assert!(matches!(cause, Error::Corrupt { .. }), "{cause}");
}

#[tokio::test]
async fn files_are_read_up_to_a_limit() {
    let fixture = Fixture::new();
    fixture.write("a b/c", "text");
    fixture.write("big", vec![b'x'; 5000]);
    let commit = fixture.commit("one");
    let mirror = fixture.mirror().await;
    assert_eq!(mirror.read_file(commit, "a b/c", 100).await.unwrap().as_deref(), Some(&b"text"[..]));
    for missing in ["none", "a b", "", "../x", "a b/../big", "a\nb"] {
        assert_eq!(mirror.read_file(commit, missing, 100).await.unwrap(), None, "{missing}");
    }
    assert!(matches!(mirror.read_file(commit, "big", 100).await, Err(Error::TooLarge { limit: 100, .. })));
    assert_eq!(mirror.read_file(commit, "big", 5000).await.unwrap().unwrap().len(), 5000);
}
