//! Runs statements over one version of a corpus.

use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use maintner::corpus::{Corpus, Replay};
use maintner::log::Log;
use maintner::rules::Rules;

use crate::explained::SqlError;
use crate::tables;
use crate::view::View;

/// Bytes of a text of statements.
const LONGEST: usize = 256 << 10;
/// Words and signs of one, values and commas aside. Each may nest an expression by one more, and the engine goes down into
/// expressions on the stack: with the stacks that `main` gives to its threads five times as many were measured to do no harm. But
/// planning a chain takes time by the square of its length, some seconds for a sum of this many.
const MOST_WORDS: usize = 2_000;

/// Who holds most, in an error of memory.
const NAMED: NonZeroUsize = NonZeroUsize::new(5).expect("five is not zero");

/// Bytes with which a part of a sort works: with less memory than that for each processor there are fewer parts.
const PART: usize = 8 << 20;
/// Bytes of a part's memory for each row of a batch: with less than 128 MiB for a part, batches have fewer rows than usual.
const BATCH_SHARE: usize = 16 << 10;
/// Rows that a batch has at least.
const FEWEST_ROWS: usize = 64;

/// What a session is told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes that joins, sorts and groups may hold; what sorts and groups need beyond them goes to a temporary file.
    pub memory: usize,
    /// What `now()` is; the time of the query, if none.
    pub now: Option<DateTime<Utc>>,
}

/// Statements over a corpus. They only read.
pub struct Session {
    context: SessionContext,
    now: Option<DateTime<Utc>>,
}

impl Session {
    /// Over this version of a corpus, of which nothing is copied.
    ///
    /// # Errors
    /// What the engine can't be started with.
    pub fn new(corpus: Arc<Corpus>, options: Options) -> Result<Self> {
        let mut config = SessionConfig::new()
            .with_information_schema(true)
            .with_default_catalog_and_schema("bellwether", "corpus");
        // Without it an error of a name does not say where it is.
        config.options_mut().sql_parser.collect_spans = true;
        config.options_mut().execution.time_zone = Some("+00:00".to_owned());
        let parts = config.target_partitions().min(options.memory / PART).max(1);
        let mut config = config.with_target_partitions(parts);
        // Of what there is, each part of a sort keeps some for merging what it puts into a file: a quarter of it altogether.
        let merge = &mut config.options_mut().execution.sort_spill_reservation_bytes;
        *merge = (*merge).min(options.memory / parts / 4);
        // A batch has to fit into it some times over.
        let rows = config.batch_size().min(options.memory / parts / BATCH_SHARE).max(FEWEST_ROWS);
        let config = config.with_batch_size(rows);
        // What spills has equal shares; of a pool where who comes first has all, the last one has too little to begin with.
        let pool = TrackConsumersPool::new(FairSpillPool::new(options.memory), NAMED);
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).build_arc()?;
        let context = SessionContext::new_with_config_rt(config, runtime);
        let view = Arc::new(View::new(corpus));
        for table in tables::all() {
            context.register_table(table.name, (table.provider)(view.clone()))?;
        }
        Ok(Self { context, now: options.now })
    }

    /// The statements of a text, each but the last one ended by a semicolon.
    ///
    /// # Errors
    /// What is no SQL, and where.
    pub fn statements(text: &str) -> Result<Vec<Statement>, SqlError> {
        if text.len() > LONGEST {
            return Err(SqlError::plain(format!("the statement is longer than {LONGEST} bytes")));
        }
        let words = words(text);
        if words > MOST_WORDS {
            return Err(SqlError::plain(format!(
                "the statement has {words} words and signs beside its values, and the limit is {MOST_WORDS}: \
                 many values are best asked as a list, IN ('a', 'b')"
            )));
        }
        DFParser::parse_sql(text).map(Vec::from).map_err(|why| SqlError::of(&why, text))
    }

    /// Says what is wrong with statements before a log is read: they are planned over a corpus without rows.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn check(statements: &[Statement], text: &str) -> Result<(), SqlError> {
        let empty = Corpus::load(Log::default(), Rules::Ours, Replay::OneThread)
            .map_err(|why| SqlError::plain(why.to_string()))?;
        let session = Self::new(Arc::new(empty), Options { memory: 1 << 20, now: None })
            .map_err(|why| SqlError::of(&why, text))?;
        for statement in statements {
            session.plan(statement.clone(), text).await?;
        }
        Ok(())
    }

    /// Begins a statement; its rows are made while they are read.
    ///
    /// # Errors
    /// What it names that is not there, and where; what would write.
    pub async fn run(&self, statement: Statement, text: &str) -> Result<SendableRecordBatchStream, SqlError> {
        let (state, plan) = self.plan(statement, text).await?;
        DataFrame::new(state, plan).execute_stream().await.map_err(|why| SqlError::of(&why, text))
    }

    async fn plan(&self, statement: Statement, text: &str) -> Result<(SessionState, LogicalPlan), SqlError> {
        let mut state = self.context.state();
        if let Some(now) = self.now {
            state.execution_props_mut().query_execution_start_time = Some(now);
        }
        let plan = state.statement_to_plan(statement).await.map_err(|why| SqlError::of(&why, text))?;
        let reads =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reads.verify_plan(&plan).map_err(|why| SqlError::only_reads(&why))?;
        Ok((state, plan))
    }
}

/// How many words and signs a text has, values and commas aside. What is no SQL has none: the parser says so.
fn words(text: &str) -> usize {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize().unwrap_or_default();
    let counts = |token: &&Token| {
        !matches!(
            token,
            Token::Whitespace(_) | Token::Comma | Token::Number(..) | Token::SingleQuotedString(_)
        )
    };
    tokens.iter().filter(counts).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_without_values() {
        assert_eq!(words("SELECT a -- none of these\nFROM b WHERE c IN (1, 'x', 2.5) OR NOT d <> 4"), 13);
        assert_eq!(words("SELECT 'open"), 0);
    }

    #[test]
    fn a_list_may_be_long_and_a_chain_may_not() {
        let list = format!("SELECT 1 IN (0{})", ", 7".repeat(50_000));
        assert_eq!(Session::statements(&list).unwrap().len(), 1);
        let chain = format!("SELECT 1{}", " + 1".repeat(MOST_WORDS));
        let why = Session::statements(&chain).unwrap_err().to_string();
        assert!(why.contains("2001 words") && why.contains("IN ("), "{why}");
    }
}
