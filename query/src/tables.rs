//! The tables. Source of what they say: spec/maintner.md §3.1; of changes, what Gerrit itself reads in their notes (§4.4).

pub mod changes;
pub mod commits;
pub mod issues;
pub mod said;

use crate::table::Listed;

/// All tables, in the order in which they are listed.
#[must_use]
pub fn all() -> Vec<Listed> {
    vec![
        Listed::of::<issues::Issues>(),
        Listed::of::<said::Comments>(),
        Listed::of::<said::Events>(),
        Listed::of::<issues::Labels>(),
        Listed::of::<said::Reviews>(),
        Listed::of::<changes::Cls>(),
        Listed::of::<changes::PatchSets>(),
        Listed::of::<changes::Votes>(),
        Listed::of::<changes::Messages>(),
        Listed::of::<commits::Commits>(),
        Listed::of::<commits::Files>(),
        Listed::of::<commits::Refs>(),
    ]
}

/// Columns of a table, a line for each.
macro_rules! columns {
    ($($name:literal $kind:ident $about:literal $get:expr;)*) => {
        &[$($crate::table::Column {
            name: $name,
            kind: $crate::cell::Kind::$kind,
            about: $about,
            get: $get,
        },)*]
    };
}
pub(crate) use columns;
