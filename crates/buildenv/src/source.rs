//! The files a configuration is read from, and places in them.

use std::sync::Arc;

use crate::name::RepoName;

/// What a source may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A server file: may say everything.
    Server,
    /// The `bellwether.toml` of a repository: its builders, recipes, branches, horizon and needs.
    Project(RepoName),
    /// Built-in defaults: give way to the server's files key by key.
    Embedded,
}

/// One configuration text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name shown to people, like `bellwether.toml` or `sync:bellwether.toml`.
    pub file: String,
    /// The text of the file.
    pub text: String,
    /// What it may say.
    pub kind: Kind,
}

impl Source {
    /// Makes a server source.
    #[must_use]
    pub fn server(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: text.into(), kind: Kind::Server }
    }

    /// Makes a source of a repository's own file.
    #[must_use]
    pub fn project(repo: RepoName, file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: text.into(), kind: Kind::Project(repo) }
    }
}

/// A place in one of the files, cheap to copy; resolved to line and column when shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    /// Index in [`Files`].
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Index in [`Files::vias`] plus one, or 0: which template or matrix brought it here.
    pub via: u32,
}

impl Place {
    /// Says which template or matrix brought the value here, unless that is known.
    pub fn mark(&mut self, via: u32) {
        if self.via == 0 {
            self.via = via;
        }
    }
}

/// Where something was said, for people: file, line and column, and the template or matrix in between.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// The file's shown name.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// `template go-linux` or `matrix linux`, if the value came through one.
    pub via: Option<Arc<str>>,
}

impl serde::Serialize for Location {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Location", 4)?;
        out.serialize_field("file", &*self.file)?;
        out.serialize_field("line", &self.line)?;
        out.serialize_field("column", &self.column)?;
        out.serialize_field("via", &self.via.as_deref())?;
        out.end()
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        self.via.iter().try_for_each(|via| write!(f, " ({via})"))
    }
}

/// A source as it was read, with its place among the others.
#[derive(Debug)]
pub(crate) struct File {
    pub name: Arc<str>,
    pub text: String,
    pub kind: Kind,
    lines: Vec<usize>,
}

/// All files of one load, and the names of what values came through.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub list: Vec<File>,
    vias: Vec<Arc<str>>,
}

impl Files {
    pub fn add(&mut self, name: &str, text: String, kind: Kind) -> u32 {
        let lines =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect::<Vec<_>>();
        self.list.push(File { name: name.into(), text, kind, lines });
        (self.list.len() - 1) as u32
    }

    pub fn via(&mut self, what: String) -> u32 {
        self.vias.push(what.into());
        self.vias.len() as u32
    }

    pub fn kind(&self, place: Place) -> &Kind {
        &self.list[place.file as usize].kind
    }

    pub fn locate(&self, place: Place) -> Location {
        let file = &self.list[place.file as usize];
        let (line, column) = file.line_column(place.start as usize);
        let via = place.via.checked_sub(1).map(|i| self.vias[i as usize].clone());
        Location { file: file.name.clone(), line, column, via }
    }
}

impl File {
    /// Gives line and column (in characters), both from 1, of a byte offset.
    pub fn line_column(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines[line - 1];
        let column = self.text.get(start..at).map_or(1, |before| before.chars().count() + 1);
        (line, column)
    }

    /// Gives the text of a line (from 1) without its end.
    pub fn line(&self, line: usize) -> &str {
        let start = self.lines[line - 1];
        let end = self.lines.get(line).map_or(self.text.len(), |next| next - 1);
        self.text.get(start..end).unwrap_or("").trim_end_matches('\r')
    }
}
