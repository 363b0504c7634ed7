//! Commits, the files that they change, and refs.

use std::borrow::Cow;
use std::cell::OnceCell;

use maintner::column::NONE;
use maintner::commit::{CommitText, email, files};
use maintner::gerrit::{Commit, Ref};
use maintner::github::Number;
use maintner::mutation::{DiffTreeFile, bytes};

use super::columns;
use crate::cell::Cell;
use crate::table::{Column, Table};
use crate::view::{View, name};

/// The field of a commit's message with its files.
const DIFF_TREE: u32 = 3;

/// A commit that came, and that is no note of Gerrit's.
pub struct CommitRow<'a> {
    view: &'a View,
    number: Number,
    commit: &'a Commit,
    object: OnceCell<CommitText<'a>>,
}

impl<'a> CommitRow<'a> {
    fn of(view: &'a View, number: Number) -> Option<Self> {
        let commit = Some(view.gerrit().commits().get(number)).filter(|commit| !commit.is_place())?;
        (!view.is_note(number)).then(|| Self { view, number, commit, object: OnceCell::new() })
    }

    fn object(&self) -> &CommitText<'a> {
        self.object.get_or_init(|| {
            // It was read when it was taken, so it is read again.
            self.view.gerrit().object(&self.view.corpus().log, self.commit).unwrap_or_default()
        })
    }

    fn message(&self) -> &'a [u8] {
        self.view.gerrit().message(&self.view.corpus().log, self.number)
    }

    fn files(&self) -> Vec<DiffTreeFile<'a>> {
        files(self.view.text(self.commit.message)).unwrap_or_default()
    }

    /// How many there are; none where the log does not have them, which is not the same as that there is none.
    fn count(&self) -> Cell<'_> {
        let known = bytes(self.view.text(self.commit.message), DIFF_TREE).next().is_some();
        if known { Cell::count(self.files().len()) } else { Cell::Null }
    }

    fn parents(&self) -> Cell<'_> {
        let gerrit = self.view.gerrit();
        let hash = |parent| Cow::Owned(hex::encode(gerrit.commits().get(parent).hash).into_bytes());
        Cell::Texts(gerrit.parents(self.commit).map(hash).collect())
    }
}

/// A path as it is: git quotes those with bytes that are no ASCII or act on a terminal, as C does.
fn unquoted(path: &[u8]) -> Cow<'_, [u8]> {
    let Some(inner) = path.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return Cow::Borrowed(path);
    };
    let mut made = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            made.push(*first);
            continue;
        }
        let (byte, length) = match *rest {
            [high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', ..] => {
                ((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'), 3)
            }
            [b'a', ..] => (0x07, 1),
            [b'b', ..] => (0x08, 1),
            [b't', ..] => (b'\t', 1),
            [b'n', ..] => (b'\n', 1),
            [b'v', ..] => (0x0b, 1),
            [b'f', ..] => (0x0c, 1),
            [b'r', ..] => (b'\r', 1),
            [letter @ (b'"' | b'\\'), ..] => (letter, 1),
            // Git writes nothing else, so it is not its quoting.
            _ => return Cow::Borrowed(path),
        };
        made.push(byte);
        rest = &rest[length..];
    }
    Cow::Owned(made)
}

/// The first line.
fn subject(message: &[u8]) -> &[u8] {
    let message = message.trim_ascii_start();
    message[..memchr::memchr(b'\n', message).unwrap_or(message.len())].trim_ascii_end()
}

/// Commits.
#[derive(Debug)]
pub struct Commits;

impl Table for Commits {
    type Row<'a> = CommitRow<'a>;
    const NAME: &'static str = "commits";
    const ABOUT: &'static str = "a commit of git, patch sets too; those that Gerrit keeps its notes in are not here, but what they say is";
    const COLUMNS: &'static [Column<Self>] = columns![
        "project" Text "server/project; of several, the first" |row| row.view.project(row.commit.project);
        "commit" Text "its hash" |row| row.view.hash(row.number);
        "subject" Text "the first line of its message" |row| Cell::text(subject(row.message()));
        "author" Text "name of the author" |row| Cell::some(name(row.view.gerrit().name(row.commit.author)));
        "author_email" Text "the author's address" |row| {
            Cell::some(email(row.view.gerrit().name(row.commit.author)))
        };
        "author_time" Time "when it was written" |row| Cell::seconds(row.object().author.seconds);
        "committer" Text "name of the committer" |row| {
            Cell::some(name(row.view.gerrit().name(row.commit.committer)))
        };
        "committer_email" Text "the committer's address" |row| {
            Cell::some(email(row.view.gerrit().name(row.commit.committer)))
        };
        "commit_time" Time "when it was committed" |row| Cell::seconds(row.commit.time);
        "parents" Texts "hashes of its parents" |row| row.parents();
        "tree" Text "hash of its tree" |row| Cell::made(hex::encode(row.object().tree));
        "files" Number "how many files it changes, where that is known" |row| row.count();
        "message" Text "all of its message" |row| Cell::text(row.message());
    ];

    fn elements(view: &View) -> u32 {
        view.gerrit().commits().next()
    }

    fn rows<'a>(view: &'a View, number: u32, visit: &mut dyn FnMut(&Self::Row<'a>)) {
        if let Some(row) = CommitRow::of(view, number) {
            visit(&row);
        }
    }
}

/// A file of a commit.
pub struct FileRow<'a> {
    view: &'a View,
    number: Number,
    commit: &'a Commit,
    file: DiffTreeFile<'a>,
}

/// Files.
#[derive(Debug)]
pub struct Files;

impl Table for Files {
    type Row<'a> = FileRow<'a>;
    const NAME: &'static str = "files";
    const ABOUT: &'static str = "a file that a commit changes";
    const COLUMNS: &'static [Column<Self>] = columns![
        "project" Text "server/project of the commit" |row| row.view.project(row.commit.project);
        "commit" Text "hash of the commit" |row| row.view.hash(row.number);
        "commit_time" Time "when it was committed" |row| Cell::seconds(row.commit.time);
        "path" Text "the file" |row| Cell::Text(unquoted(row.file.file));
        "added" Number "lines that are new" |row| Cell::Number(row.file.added);
        "deleted" Number "lines that are gone" |row| Cell::Number(row.file.deleted);
        "is_binary" Flag "whether it is no text" |row| Cell::Flag(row.file.binary);
    ];

    fn elements(view: &View) -> u32 {
        view.gerrit().commits().next()
    }

    fn rows<'a>(view: &'a View, number: u32, visit: &mut dyn FnMut(&Self::Row<'a>)) {
        let Some(row) = CommitRow::of(view, number) else { return };
        for file in row.files() {
            visit(&FileRow { view, number, commit: row.commit, file });
        }
    }
}

/// A ref that is there.
pub struct RefRow<'a> {
    view: &'a View,
    at: &'a Ref,
}

/// Refs.
#[derive(Debug)]
pub struct Refs;

impl Table for Refs {
    type Row<'a> = RefRow<'a>;
    const NAME: &'static str = "refs";
    const ABOUT: &'static str = "a branch, tag or other ref; those of CLs are in patch_sets";
    const COLUMNS: &'static [Column<Self>] = columns![
        "project" Text "server/project" |row| row.view.project(row.at.project);
        "name" Text "its whole name, refs/heads/…" |row| Cell::text(row.view.gerrit().name(row.at.name));
        "commit" Text "hash of where it is" |row| row.view.hash(row.at.commit);
        "commit_time" Time "when that was committed; none where it did not come" |row| {
            let commit = row.view.gerrit().commits().get(row.at.commit);
            if commit.is_place() { Cell::Null } else { Cell::seconds(commit.time) }
        };
    ];

    fn elements(view: &View) -> u32 {
        view.gerrit().refs().next()
    }

    fn rows<'a>(view: &'a View, number: u32, visit: &mut dyn FnMut(&Self::Row<'a>)) {
        let at = view.gerrit().refs().get(number);
        if at.commit != NONE {
            visit(&RefRow { view, at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_they_are_and_not_as_git_quotes_them() {
        for (quoted, path) in [
            (r#"src/a.go"#, "src/a.go"),
            (r#""caf\303\251.go""#, "café.go"),
            (r#""a\tb\"c\\d""#, "a\tb\"c\\d"),
            (r#""odd\x""#, r#""odd\x""#),
            (r#""odd\30""#, r#""odd\30""#),
            (r#"""#, r#"""#),
        ] {
            assert_eq!(unquoted(quoted.as_bytes()), path.as_bytes(), "{quoted}");
        }
    }
}
