//! Every key that a configuration may have: its type, default, meaning, and who may say it.
//!
//! One table serves the checks (unknown keys, types), `config explain` (defaults), the digest (which keys change
//! what a build does) and docs/CONFIG.md (its reference is written from here, and a test compares).

mod keys;
mod later;
mod maintnerd;
mod notify;
mod outbox;
mod quotas;
mod reference;
mod tries;

pub(crate) use keys::{BUILDER, RECIPE, SECTIONS, TOP};
pub use later::keys_without_effect;
pub(crate) use later::{asks_nothing, later};

/// The section whose keys are a matrix's own axes.
pub(crate) const AXIS: &str = "axis-values";
pub use reference::{all_keys, reference};

/// The type of a key's value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Type {
    Bool,
    /// A whole number from–to.
    Int(i64, i64),
    /// A number above zero, with or without a point.
    Number,
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A name by the grammar of names.
    Name,
    /// A duration that is not nothing.
    Timeout,
    Size,
    Version,
    /// A file name: absolute, or relative and then under the data directory.
    Path,
    /// An environment variable's name.
    Variable,
    /// A text or a list of texts.
    Texts,
    /// A name or a list of names.
    Names,
    /// A pattern or a list of patterns; `!x` takes away.
    Patterns,
    /// A table of texts, in order.
    Vars,
    /// A table of labels.
    Labels,
    /// Whole numbers that are not 0.
    Issues,
    /// A table by this section.
    Table(&'static Section),
    /// A list of tables by this section, or one table.
    Tables(&'static Section),
    /// `true`, `false`, or what a list of tables by this section says.
    BoolOrTables(&'static Section),
    /// A table whose values are texts or lists, for a matrix.
    Axes,
}

impl Type {
    /// Says for people what may stand there.
    pub fn expected(&self) -> String {
        match self {
            Self::Bool => "true or false".into(),
            Self::Int(from, to) => format!("a whole number from {from} to {to}"),
            Self::Number => "a number above 0".into(),
            Self::Text => "a text in quotes".into(),
            Self::OneOf(list) => {
                format!("one of {}", list.iter().map(|t| format!("{t:?}")).collect::<Vec<_>>().join(", "))
            }
            Self::Name => "a name: a-z, 0-9, '.', '_', '-', at most 64 characters".into(),
            Self::Timeout => "a duration like \"90s\", \"20m\" or \"1h30m\"".into(),
            Self::Size => "a size like \"512MiB\" or \"2GiB\", or a number of bytes".into(),
            Self::Version => "a version like \"1.22\"".into(),
            Self::Path => "a file name, absolute or under the data directory".into(),
            Self::Variable => "the name of an environment variable".into(),
            Self::Texts => "a text or a list of texts".into(),
            Self::Names => "a name or a list of names".into(),
            Self::Patterns => "a pattern or a list of patterns".into(),
            Self::Vars => "a table of texts, like { CC = \"clang\" }".into(),
            Self::Labels => "a table of labels, like { os = \"linux\" }".into(),
            Self::Issues => "issue numbers, none of them 0".into(),
            Self::Table(_) => "a table".into(),
            Self::Tables(_) => "a table or a list of tables".into(),
            Self::BoolOrTables(_) => "true, false, or a list of tables".into(),
            Self::Axes => "a table of lists, like { arch = [\"amd64\", \"arm64\"] }".into(),
        }
    }

    /// Names the type in the reference.
    pub fn short(&self) -> String {
        match self {
            Self::Bool => "bool".into(),
            Self::Int(..) => "integer".into(),
            Self::Number => "number".into(),
            Self::OneOf(list) => list.iter().map(|t| format!("`\"{t}\"`")).collect::<Vec<_>>().join(" "),
            Self::Text => "text".into(),
            Self::Name => "name".into(),
            Self::Timeout => "duration".into(),
            Self::Size => "size".into(),
            Self::Version => "version".into(),
            Self::Path => "path".into(),
            Self::Variable => "variable".into(),
            Self::Texts => "text(s)".into(),
            Self::Names => "name(s)".into(),
            Self::Patterns => "pattern(s)".into(),
            Self::Vars => "table of texts".into(),
            Self::Labels => "labels".into(),
            Self::Issues => "integers".into(),
            Self::Table(s) => format!("table, see *{}*", s.name),
            Self::Tables(s) => format!("table(s), see *{}*", s.name),
            Self::BoolOrTables(s) => format!("bool or table(s), see *{}*", s.name),
            Self::Axes => "table of lists".into(),
        }
    }
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub name: &'static str,
    pub kind: Type,
    /// The default as it would be written, or words for "none".
    pub default: &'static str,
    pub doc: &'static str,
    pub example: &'static str,
    /// Whether the key changes what a build does, and so is in its digest.
    pub digest: bool,
}

/// A kind of table.
#[derive(Debug)]
pub(crate) struct Section {
    pub name: &'static str,
    /// How it is written: `[builder.NAME]`.
    pub header: &'static str,
    pub doc: &'static str,
    pub keys: &'static [Key],
    /// Whether a project file may hold it.
    pub project: bool,
}

impl Section {
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }

    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|k| k.name)
    }
}
