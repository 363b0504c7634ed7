//! The builder key: what proves to a coordinator that this machine may be a host of its kind.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// More than any key has.
pub(super) const LARGEST: u64 = 4096;

/// A builder key, which no log shows.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// It can't be read.
    #[error(
        "the builder key can't be read from {}: {source}; write the key that the coordinator gives out for this host \
         there, or name another file with --key-file",
        file.display()
    )]
    Unreadable {
        /// Where it was looked for.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is none in it.
    #[error(
        "{} has no builder key in it; write the key that the coordinator gives out for this host there, \
         or name another file with --key-file",
        .0.display()
    )]
    Empty(PathBuf),
    /// What is in it is none.
    #[error("{} is no builder key: expected one line of at most {LARGEST} printable characters", .0.display())]
    NoKey(PathBuf),
}

/// Where the key of a host is if nobody says otherwise; the original looks there too.
pub(super) fn default_file(host: &str, home: Option<&Path>, root: bool) -> PathBuf {
    let home = home.unwrap_or(Path::new(if root { "/root" } else { "/" }));
    home.join(format!(".gobuildkey-{host}"))
}

/// Says of a key file what is wrong with it; the key itself stays here.
pub(crate) fn look(file: &Path) -> Result<Shape, KeyError> {
    let key = read(file)?;
    let digits = key.0.len() == 32 && key.0.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok(if digits { Shape::Usual } else { Shape::Strange })
}

/// Whether a key looks like those that coordinators give out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// 32 digits of base 16.
    Usual,
    /// Something else, which only the coordinator can judge.
    Strange,
}

/// Reads a key, without the space around it.
pub(super) fn read(file: &Path) -> Result<Key, KeyError> {
    word(file).map_err(|error| match error {
        WordError::Unreadable(source) => KeyError::Unreadable { file: file.to_owned(), source },
        WordError::Empty => KeyError::Empty(file.to_owned()),
        WordError::NoWord => KeyError::NoKey(file.to_owned()),
    })
}

/// Why there is no word in a file.
#[derive(Debug)]
pub(super) enum WordError {
    Unreadable(io::Error),
    Empty,
    NoWord,
}

/// Reads the one word that a file has.
pub(super) fn word(file: &Path) -> Result<Key, WordError> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(WordError::Unreadable)?;
    opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(WordError::Unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(WordError::NoWord);
    }
    let text = String::from_utf8(bytes).map_err(|_binary| WordError::NoWord)?;
    let key = text.trim();
    if key.is_empty() {
        return Err(WordError::Empty);
    }
    // Checked here and not where the head is written, whose error would say it.
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(WordError::NoWord);
    }
    Ok(Key(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_printable_word_and_every_error_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        let with = |text: &[u8]| {
            std::fs::write(&file, text).unwrap();
            read(&file)
        };
        assert_eq!(with(b" 3bbd3cc1\r\n").unwrap().expose(), "3bbd3cc1");
        assert_eq!(format!("{:?}", with(b"secret").unwrap()), "Key(\u{2026})");
        for (text, remedy) in [
            (&b""[..], "--key-file"),
            (b" \n\n", "--key-file"),
            (b"a\nb", "one line"),
            (b"a b", "one line"),
            (b"\xff", "one line"),
            (&[b'a'; 5000], "one line"),
        ] {
            let error = with(text).unwrap_err().to_string();
            assert!(error.contains(&file.display().to_string()) && error.contains(remedy), "{error}");
        }
        let missing = read(&dir.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("none") && missing.contains("--key-file"), "{missing}");
    }

    #[test]
    fn it_is_looked_for_where_the_original_looks() {
        let at = |home: Option<&str>, root| default_file("host-a", home.map(Path::new), root);
        assert_eq!(at(Some("/home/x"), false), Path::new("/home/x/.gobuildkey-host-a"));
        assert_eq!(at(None, true), Path::new("/root").join(".gobuildkey-host-a"));
        assert_eq!(at(None, false), Path::new("/.gobuildkey-host-a"));
    }
}
