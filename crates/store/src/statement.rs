//! The text of each statement, known by name, so that a test can prepare all of them on both databases.

use sqlx::any::{Any, AnyArguments};
use sqlx::query::Query;

/// One SQL statement in the subset that both databases take, with `$1`… as its parameters.
#[derive(Debug)]
pub struct Statement {
    /// Names it in logs and in tests: `table.verb`.
    pub name: &'static str,
    /// Its text.
    pub sql: &'static str,
}

impl Statement {
    /// Begins a call of the statement; bind its parameters in order.
    pub fn query<'q>(&'static self) -> Query<'q, Any, AnyArguments> {
        tracing::trace!(statement = self.name);
        sqlx::query(self.sql)
    }
}

/// Declares the statements of one table and the list of them that [`all`] reads.
///
/// ```text
/// statements! {
///     GET = "repos.get", "SELECT name FROM repos WHERE name = $1";
/// }
/// ```
macro_rules! statements {
    ($($name:ident = $text:literal, $sql:expr;)*) => {
        $(pub(crate) const $name: &$crate::Statement = &$crate::Statement { name: $text, sql: $sql };)*
        pub(crate) const STATEMENTS: &[&$crate::Statement] = &[$($name),*];
    };
}
pub(crate) use statements;

/// The text of a list of [`among::WIDTH`] parameters from `$2` on, for `IN`.
macro_rules! among_list {
    () => {
        "($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33)"
    };
}
pub(crate) use among_list;

/// A list of texts as parameters of a statement that is written once.
pub(crate) mod among {
    use super::{Any, AnyArguments, Query};

    /// How many texts fit into one call.
    pub(crate) const WIDTH: usize = 32;

    /// Binds the texts, and the first of them again for the parameters that are left.
    pub(crate) fn bind<'q>(
        mut query: Query<'q, Any, AnyArguments>,
        texts: &[&'q str],
    ) -> Query<'q, Any, AnyArguments> {
        let filler = texts.first().copied().unwrap_or_default();
        for at in 0..WIDTH {
            query = query.bind(texts.get(at).copied().unwrap_or(filler));
        }
        query
    }
}

/// Lists every statement of every table.
#[must_use]
pub fn all() -> Vec<&'static Statement> {
    [
        crate::migrate::STATEMENTS,
        crate::environment::STATEMENTS,
        crate::sessions::STATEMENTS,
        crate::tokens::STATEMENTS,
        crate::attempts::STATEMENTS,
        crate::builds::STATEMENTS,
        crate::events::STATEMENTS,
        crate::leader::STATEMENTS,
        crate::leases::STATEMENTS,
        crate::spans::STATEMENTS,
        crate::workers::STATEMENTS,
        crate::artifacts::STATEMENTS,
        crate::audit::STATEMENTS,
        crate::branch_commits::STATEMENTS,
        crate::branches::STATEMENTS,
        crate::commits::STATEMENTS,
        crate::log_chunks::STATEMENTS,
        crate::logs::STATEMENTS,
        crate::repos::STATEMENTS,
        crate::results::STATEMENTS,
        crate::test_results::STATEMENTS,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_texts_have_no_late_parameters() {
        let all = all();
        let mut names: Vec<_> = all.iter().map(|s| s.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().all(|s| !s.sql.contains('?') && !s.sql.contains(';')));
    }
}
