//! How many builds whoever has them may have at once.

use crate::fields::Fields;

/// How many builds repositories and people may have under way at once; `None` is any number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Of each repository that has none of its own.
    pub repo: Option<u32>,
    /// Of each person that has none of their own.
    pub user: Option<u32>,
    /// Of single repositories.
    pub repos: Vec<(String, Option<u32>)>,
    /// Of single people.
    pub users: Vec<(String, Option<u32>)>,
}

impl Quotas {
    pub(crate) fn read(f: Fields<'_>) -> Self {
        let of = |key: &str| {
            let own = f.tables("own").into_iter();
            own.filter_map(|(_, own)| Some((own.owned(key)?, own.limit("max")))).collect()
        };
        Self { repo: f.limit("repo"), user: f.limit("user"), repos: of("repo"), users: of("user") }
    }
}
