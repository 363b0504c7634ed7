//! Keys of people who are to be let in, and the homes that those are written to.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use arbitrary::Unstructured;
use base64::Engine as _;

use super::scratch::{Scratch, visit};
use super::{bytes, number, once_in, one};
use crate::original::ssh::keys::{add, line};
use crate::ssh::Guest;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7qVzjXkFXpS0bJfG2Dk3VqWb2mXw0sS0mF2cQm1a2b";
const PARTS: [&str; 20] = [
    KEY,
    KEY,
    " ",
    " ",
    "\t",
    "\n",
    "\r",
    "\0",
    "#",
    "\u{85}",
    "\u{2028}",
    "ssh-ed25519",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "AAAAC3NzaC1lZDI1NTE5AAAAIJ7qVzjXkFXpS0bJfG2Dk3VqWb2mXw0sS0mF2cQm1a2b",
    "AAAAB3NzaC1yc2EAAAADAQABAAAAAQM=",
    "command=\"x\" ",
    "cert-authority ",
    "gopher@example",
    "=",
];
const USERS: [&str; 10] = ["a", "a", "a", "b", "..", ".", "", "../d", "a/b", "root\0"];

thread_local! {
    static SCRATCH: Scratch = Scratch::new();
}

/// Adds keys to a home in which a job has been: what is written is one key on one line, and nowhere else.
pub fn keys(data: &[u8]) {
    SCRATCH.with(|scratch| {
        let mut u = Unstructured::new(data);
        let homes = scratch.work();
        fs::create_dir_all(homes.join("b/.ssh")).expect("a directory");
        fs::create_dir(homes.join("a")).expect("a directory");
        fs::write(homes.join("b/.ssh/authorized_keys"), "of b\n").expect("a file");
        a_job(&mut u, &homes.join("a"));
        for _ in 0..=number(&mut u, 2) {
            let key = key(&mut u);
            read(&key);
            let user = *one(&mut u, &USERS);
            let before = all(homes);
            let added = add(Some(homes), user, &key);
            let after = all(homes);
            let file = homes.join(user).join(".ssh/authorized_keys");
            for (path, content) in &after {
                let was = before.iter().find(|(other, _)| other == path).map(|(_, content)| &content[..]);
                if was == Some(content) {
                    continue;
                }
                assert!(added.is_ok() && *path == file, "{user:?} {key:?}: {} changed", path.display());
                one_more(was.unwrap_or_default(), content, &key);
            }
            assert!(after.len() <= before.len() + 1, "{user:?}");
            if added.is_ok() {
                let written = line(&key).expect("it was added");
                let (_, content) = after.iter().find(|(path, _)| *path == file).expect("it is there");
                let mut lines = content.split(|byte| *byte == b'\n');
                assert!(lines.any(|there| there.trim_ascii() == written.as_bytes()), "{written:?}");
            }
        }
        scratch.check();
    });
}

fn key(u: &mut Unstructured<'_>) -> String {
    match number(u, 5) {
        0 => KEY.to_owned(),
        1 => String::from_utf8_lossy(&bytes(u, 200)).into_owned(),
        2 => {
            // Of any kind, by its own word.
            let kind = *one(u, &["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ssh-dss", "x"]);
            let mut blob = u32::try_from(kind.len()).unwrap_or(0).to_be_bytes().to_vec();
            blob.extend_from_slice(kind.as_bytes());
            blob.extend(bytes(u, 120));
            format!("{kind} {}", base64::engine::general_purpose::STANDARD.encode(blob))
        }
        _ => (0..=number(u, 5)).map(|_| *one(u, &PARTS)).collect(),
    }
}

/// What both ways in make of a key.
fn read(key: &str) {
    if let Ok(guest) = Guest::read("u", key) {
        assert!(!guest.fingerprint().contains(char::is_whitespace));
    }
    let Ok(line) = line(key) else { return };
    assert!(!line.contains(char::is_control), "{key:?}");
    assert_eq!(self::line(&line).ok().as_ref(), Some(&line), "{key:?}");
    let mut words = line.split(' ');
    let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    assert!(kind.starts_with("ssh-") || kind.starts_with("ecdsa-") || kind.starts_with("sk-"), "{line:?}");
    let plain = base64::engine::general_purpose::STANDARD.decode(blob).expect("it was looked at");
    assert_eq!(plain.get(4..4 + kind.len()), Some(kind.as_bytes()), "{line:?}");
}

/// What was there is there, and one line behind it.
fn one_more(was: &[u8], is: &[u8], key: &str) {
    let rest = is.strip_prefix(was).expect("nothing that was there is changed");
    let rest =
        if was.last().is_none_or(|last| *last == b'\n') { Some(rest) } else { rest.strip_prefix(b"\n") };
    let line = line(key).expect("it was added");
    assert_eq!(rest, Some(format!("{line}\n").as_bytes()));
}

/// Leaves what a job may leave in its home.
fn a_job(u: &mut Unstructured<'_>, home: &Path) {
    let ssh = home.join(".ssh");
    let left = match number(u, 5) {
        0 => symlink(one(u, &["../../d", "../b/.ssh", ".", "nowhere"]), &ssh),
        1 => fs::write(&ssh, "a file"),
        2 => return,
        _ => fs::create_dir(&ssh),
    };
    left.expect("nothing is there yet");
    if !ssh.symlink_metadata().is_ok_and(|it| it.is_dir()) {
        return;
    }
    let file = ssh.join("authorized_keys");
    let left = match number(u, 6) {
        0 => symlink(one(u, &["../../../x", "../../b/.ssh/authorized_keys", "other"]), &file),
        1 => fs::hard_link(home.join("../b/.ssh/authorized_keys"), &file),
        2 => fs::create_dir(&file),
        3 => fs::write(&file, bytes(u, 60)),
        4 => fs::write(&file, format!(" {KEY}\r\n# mine")),
        _ => return,
    };
    left.expect("nothing is there yet");
    if once_in(u, 4) {
        let _not_everywhere = fs::hard_link(&file, ssh.join("other"));
    }
}

/// All files there are.
fn all(homes: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    visit(homes, &mut |path, it| {
        if it.is_file() {
            all.push((path.to_owned(), fs::read(path).expect("a file")));
        }
    });
    all
}
