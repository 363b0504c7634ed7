use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7qVzjXkFXpS0bJfG2Dk3VqWb2mXw0sS0mF2cQm1a2b gopher@example";

fn homes() -> tempfile::TempDir {
    let homes = tempfile::tempdir().unwrap();
    std::fs::create_dir(homes.path().join("gopher")).unwrap();
    homes
}

#[test]
fn a_key_is_added_once_and_for_nobody_else_to_read() {
    let homes = homes();
    let ssh = homes.path().join("gopher/.ssh");
    for _ in 0..2 {
        add(Some(homes.path()), "gopher", &format!("{KEY}\t")).unwrap();
    }
    let file = ssh.join("authorized_keys");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{KEY}\n"));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&ssh), mode(&file)), (0o700, 0o600));

    std::fs::write(&file, "# mine, without an end").unwrap();
    add(Some(homes.path()), "gopher", KEY).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("# mine, without an end\n{KEY}\n"));
}

#[test]
fn what_is_more_or_less_than_a_key_is_refused() {
    let homes = homes();
    let blob = KEY.split(' ').nth(1).unwrap();
    for bad in [
        String::new(),
        "ssh-ed25519".to_owned(),
        format!("{KEY}\nssh-ed25519 {blob}"),
        format!("{KEY}\r{blob}"),
        format!("command=\"x\" {KEY}"),
        format!("cert-authority {KEY}"),
        format!("ssh-rsa {blob}"),
        format!("ssh-dss {blob}"),
        "ssh-ed25519 !!!!".to_owned(),
        "ssh-ed25519 AAAA".to_owned(),
        "ssh-ed25519 //////////8=".to_owned(),
        format!("ssh-ed25519 {blob} {}", "x".repeat(20_000)),
    ] {
        let refused = add(Some(homes.path()), "gopher", &bad);
        assert!(matches!(refused, Err(KeyError::Key(_))), "{bad:?}");
    }
    for bad in ["", ".", "..", "../gopher", "a/b", "Gopher", "-x", "g\0", "1", &"a".repeat(33)] {
        assert!(matches!(add(Some(homes.path()), bad, KEY), Err(KeyError::User(_))), "{bad:?}");
    }
    assert!(!homes.path().join("gopher/.ssh").exists());
    assert!(matches!(add(Some(homes.path()), "nobody-there", KEY), Err(KeyError::Io { .. })));
}

#[test]
fn no_link_is_followed() {
    let homes = homes();
    let other = tempfile::tempdir().unwrap();
    symlink(other.path(), homes.path().join("link")).unwrap();
    add(Some(homes.path()), "link", KEY).unwrap_err();
    symlink(other.path(), homes.path().join("gopher/.ssh")).unwrap();
    assert!(matches!(add(Some(homes.path()), "gopher", KEY), Err(KeyError::Place { .. })));
    std::fs::remove_file(homes.path().join("gopher/.ssh")).unwrap();
    std::fs::create_dir(homes.path().join("gopher/.ssh")).unwrap();
    let target = other.path().join("target");
    std::fs::write(&target, "theirs\n").unwrap();
    let file = homes.path().join("gopher/.ssh/authorized_keys");
    symlink(&target, &file).unwrap();
    assert!(matches!(add(Some(homes.path()), "gopher", KEY), Err(KeyError::Place { .. })));
    std::fs::remove_file(&file).unwrap();
    std::fs::hard_link(&target, &file).unwrap();
    assert!(matches!(add(Some(homes.path()), "gopher", KEY), Err(KeyError::Place { .. })));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "theirs\n");
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 1);
}

#[test]
fn homes_are_where_the_system_has_them() {
    for (user, os, want) in [
        ("root", "linux", "/root"),
        ("root", "macos", "/var/root"),
        ("gopher", "linux", "/home/gopher"),
        ("gopher", "macos", "/Users/gopher"),
    ] {
        assert_eq!(home(None, user, os), Path::new(want));
    }
}
