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
    pub fn query(&'static self) -> Query<'static, Any, AnyArguments> {
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
    ($($name:ident = $text:literal, $sql:literal;)*) => {
        $(pub(crate) const $name: &$crate::Statement = &$crate::Statement { name: $text, sql: $sql };)*
        pub(crate) const STATEMENTS: &[&$crate::Statement] = &[$($name),*];
    };
}
pub(crate) use statements;

/// Lists every statement of every table.
#[must_use]
pub fn all() -> Vec<&'static Statement> {
    [
        crate::migrate::STATEMENTS,
        crate::attempts::STATEMENTS,
        crate::builds::STATEMENTS,
        crate::events::STATEMENTS,
        crate::leader::STATEMENTS,
        crate::leases::STATEMENTS,
        crate::spans::STATEMENTS,
        crate::workers::STATEMENTS,
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
