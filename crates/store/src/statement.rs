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

/// The text of a second list of [`among::WIDTH`] parameters, from `$34` on.
macro_rules! among_list_2 {
    () => {
        "($34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51, $52, $53, $54, $55, $56, $57, $58, $59, $60, $61, $62, $63, $64, $65)"
    };
}
pub(crate) use among_list_2;

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

/// Names of repos whose builds a statement leaves out. A build is of every repo of its revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hidden(String);

/// The longest name of a repo, bytes: as much room each name takes in the text of [`Hidden`].
const NAME: usize = 64;

impl Hidden {
    /// Leaves out builds of these. Longer names than a repo's are nobody's.
    #[must_use]
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let fit = names.into_iter().filter(|name| !name.is_empty() && name.len() <= NAME);
        Self(fit.map(|name| format!("{name:NAME$}")).collect())
    }

    /// All names, each in as much room, so that both databases can take them apart.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// The beginning of a statement that leaves builds out: takes apart the text of [`Hidden`] in a parameter.
macro_rules! with_hidden {
    ($p:literal) => {
        concat!(
            "WITH RECURSIVE hidden (name, more) AS (SELECT RTRIM(SUBSTR(",
            $p,
            ", 1, 64)), SUBSTR(",
            $p,
            ", 65) WHERE ",
            $p,
            " <> '' UNION ALL SELECT RTRIM(SUBSTR(more, 1, 64)), SUBSTR(more, 65) FROM hidden WHERE more <> '') "
        )
    };
}
pub(crate) use with_hidden;

/// That a revision has no repo that is hidden: `repo@commit+repo@commit`.
macro_rules! seen {
    ($revision:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM hidden WHERE REPLACE('+' || ",
            $revision,
            ", '+' || hidden.name || '@', '') <> '+' || ",
            $revision,
            ")"
        )
    };
}
pub(crate) use seen;

/// Lists every statement of every table.
#[must_use]
pub fn all() -> Vec<&'static Statement> {
    [
        crate::migrate::STATEMENTS,
        crate::environment::STATEMENTS,
        crate::sessions::STATEMENTS,
        crate::tokens::STATEMENTS,
        crate::alarms::STATEMENTS,
        crate::attempt_stats::STATEMENTS,
        crate::attempts::STATEMENTS,
        crate::builds::STATEMENTS,
        crate::events::STATEMENTS,
        crate::leader::STATEMENTS,
        crate::leases::STATEMENTS,
        crate::outbox::STATEMENTS,
        crate::durations::STATEMENTS,
        crate::snapshots::STATEMENTS,
        crate::spans::STATEMENTS,
        crate::standings::STATEMENTS,
        crate::workers::STATEMENTS,
        crate::artifacts::STATEMENTS,
        crate::audit::STATEMENTS,
        crate::branch_commits::STATEMENTS,
        crate::branches::STATEMENTS,
        crate::commits::STATEMENTS,
        crate::legacy::bench_queues::STATEMENTS,
        crate::legacy::bench_results::STATEMENTS,
        crate::legacy::building::STATEMENTS,
        crate::legacy::commits::STATEMENTS,
        crate::legacy::logs::STATEMENTS,
        crate::legacy::noise::STATEMENTS,
        crate::legacy::notices::STATEMENTS,
        crate::legacy::packages::STATEMENTS,
        crate::legacy::results::STATEMENTS,
        crate::legacy::tags::STATEMENTS,
        crate::failures::STATEMENTS,
        crate::gomotes::STATEMENTS,
        crate::feed::STATEMENTS,
        crate::log_chunks::STATEMENTS,
        crate::log_digests::STATEMENTS,
        crate::log_index::STATEMENTS,
        crate::logs::STATEMENTS,
        crate::machine_tokens::STATEMENTS,
        crate::pubsub_events::STATEMENTS,
        crate::repos::STATEMENTS,
        crate::results::STATEMENTS,
        crate::retention::STATEMENTS,
        crate::set_asides::STATEMENTS,
        crate::wanted_holds::STATEMENTS,
        crate::step_times::STATEMENTS,
        crate::test_results::STATEMENTS,
        crate::test_results::MANY,
        crate::tree_changes::STATEMENTS,
        crate::tree_orders::STATEMENTS,
        crate::pulls::STATEMENTS,
        crate::own_rules::STATEMENTS,
        crate::try_changes::STATEMENTS,
        crate::try_runs::STATEMENTS,
        crate::verdicts::STATEMENTS,
        crate::samples::STATEMENTS,
        crate::bisections::STATEMENTS,
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
