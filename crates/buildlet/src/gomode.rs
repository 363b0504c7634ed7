//! Go's layout of file modes, as numbers and as text (spec 1.13, 1.17).

use crate::sys::fs::FileType;

const SETUID: u32 = 1 << 23;
const SETGID: u32 = 1 << 22;
const STICKY: u32 = 1 << 20;
/// Directory, symlink, device, fifo, socket, char device, irregular.
const TYPES: u32 = 1 << 31 | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;

/// Turns the decimal Go mode of `/write` into Unix permission bits; `None` if it names a type or is no number.
pub(crate) fn unix_from_go(text: &str) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as Go cuts it")]
    let go = text.parse::<i64>().ok()? as u32;
    if go & TYPES != 0 {
        return None;
    }
    let mut mode = go & 0o777;
    for (bit, unix) in [(SETUID, 0o4000), (SETGID, 0o2000), (STICKY, 0o1000)] {
        if go & bit != 0 {
            mode |= unix;
        }
    }
    Some(mode)
}

/// Writes a mode as Go prints it: letters for the type and special bits, then nine for the permissions.
pub(crate) fn text(kind: FileType, mode: u32) -> String {
    let mut text = String::with_capacity(12);
    match kind {
        FileType::Directory => text.push('d'),
        FileType::Symlink => text.push('L'),
        FileType::BlockDevice => text.push('D'),
        FileType::CharacterDevice => text.push_str("Dc"),
        FileType::Fifo => text.push('p'),
        FileType::Socket => text.push('S'),
        _ => {}
    }
    // The order of Go: type letters `d L D p S` come around `u g c t` as `dalTLDpSugct`.
    let char_device = kind == FileType::CharacterDevice;
    if char_device {
        text.pop();
    }
    if mode & 0o4000 != 0 {
        text.push('u');
    }
    if mode & 0o2000 != 0 {
        text.push('g');
    }
    if char_device {
        text.push('c');
    }
    if mode & 0o1000 != 0 {
        text.push('t');
    }
    if text.is_empty() {
        text.push('-');
    }
    for (index, letter) in "rwxrwxrwx".chars().enumerate() {
        text.push(if mode & (0o400 >> index) != 0 { letter } else { '-' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_gos() {
        assert_eq!(text(FileType::RegularFile, 0o640), "-rw-r-----");
        assert_eq!(text(FileType::Directory, 0o1777), "dtrwxrwxrwx");
        assert_eq!(text(FileType::Symlink, 0o777), "Lrwxrwxrwx");
        assert_eq!(text(FileType::RegularFile, 0o4755), "urwxr-xr-x");
        assert_eq!(text(FileType::CharacterDevice, 0o666), "Dcrw-rw-rw-");
    }

    #[test]
    fn numbers_are_gos() {
        assert_eq!(unix_from_go("493"), Some(0o755));
        assert_eq!(unix_from_go("420"), Some(0o644));
        assert_eq!(unix_from_go("2147484141"), None, "the directory bit");
        assert_eq!(unix_from_go(&(0o755 | SETUID).to_string()), Some(0o4755));
        assert_eq!(unix_from_go(""), None);
        assert_eq!(unix_from_go("0o755"), None);
    }
}
