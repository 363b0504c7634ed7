//! What the program does.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use chrono::DateTime;
use futures::StreamExt as _;
use maintner::corpus::Corpus;
use maintner::time::Time;
use thiserror::Error;

use crate::args::Args;
use crate::explained::SqlError;
use crate::output::{Output, OutputError, Reader, tell};
use crate::session::{Options, Session};
use crate::source::{self, Place, SourceError};
use crate::tables;

/// More than any statement that is taken.
const MOST_INPUT: u64 = 2 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum RunError {
    /// Nothing says where the log is.
    #[error(
        "where is the log? --data DIR for a folder of maintnerd or godata, --url https://HOST/logs for a server; --help has more"
    )]
    Nowhere,
    /// There is no home to keep a cache in.
    #[error("there is no home to keep what is fetched in: --cache DIR says where else")]
    NoCache,
    /// The statement can't be read.
    #[error("the statement can't be read from standard input: {0}")]
    Input(io::Error),
    /// There is no statement.
    #[error("there is no statement: `bellwether query --data DIR 'SELECT …'`, or on standard input")]
    NoStatement,
    /// There is no corpus.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The engine does not begin.
    #[error("the query engine does not start: {0}")]
    Engine(String),
    /// A statement is wrong.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// The rows are not printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Does what the command line says.
///
/// # Errors
/// Why there is no answer.
pub async fn run(args: Args) -> Result<ExitCode, RunError> {
    if args.tables {
        return listed().map(|()| ExitCode::SUCCESS);
    }
    let place = match (args.data.clone(), args.url.clone()) {
        (_, Some(url)) => {
            let cache = args.cache.clone().or_else(godata::default_cache).ok_or(RunError::NoCache)?;
            Place::Server { url, cache }
        }
        (Some(dir), None) => Place::Folder(dir),
        (None, None) => return Err(RunError::Nowhere),
    };
    let text = statement(&args)?;
    // A mistake is told before a large log is read.
    let statements = Session::statements(&text)?;
    if statements.is_empty() {
        return Err(RunError::NoStatement);
    }
    Session::check(&statements, &text).await?;
    let told = io::stderr().is_terminal();
    let began = Instant::now();
    let corpus = source::open(place, args.at.map(time)).await?;
    if told {
        tell(&format!("{} records, {:.1} s", corpus.records, began.elapsed().as_secs_f64()));
    }
    let session = session(corpus, &args)?;
    let mut output = Output::stdout(args.format, args.width.into());
    for statement in statements {
        let began = Instant::now();
        let mut stream = session.run(statement, &text).await?;
        let (mut rows, mut reader) = output.begin(stream.schema())?;
        while reader == Reader::There {
            let Some(batch) = stream.next().await else { break };
            reader = output.batch(&mut rows, &batch.map_err(|why| SqlError::of(&why, &text))?)?;
        }
        let count = rows.count();
        if reader == Reader::Gone || output.end(rows)? == Reader::Gone {
            return Ok(ExitCode::SUCCESS);
        }
        if told {
            let s = if count == 1 { "" } else { "s" };
            tell(&format!("{count} row{s}, {:.1} s", began.elapsed().as_secs_f64()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A session as the command line says.
///
/// # Errors
/// [`RunError::Engine`].
pub fn session(corpus: Arc<Corpus>, args: &Args) -> Result<Session, RunError> {
    let now = args
        .at
        .and_then(|at| DateTime::from_timestamp(at.as_second(), at.subsec_nanosecond().unsigned_abs()));
    let options = Options { memory: args.memory, now };
    Session::new(corpus, options).map_err(|why| RunError::Engine(why.strip_backtrace()))
}

fn time(at: jiff::Timestamp) -> Time {
    Time::new(at.as_second(), at.subsec_nanosecond())
}

fn statement(args: &Args) -> Result<String, RunError> {
    if let Some(sql) = args.sql.as_ref().filter(|sql| *sql != "-") {
        return Ok(sql.clone());
    }
    if io::stdin().is_terminal() {
        tell("statements, a semicolon after each; Ctrl-D ends:");
    }
    let mut text = String::new();
    io::stdin().lock().take(MOST_INPUT).read_to_string(&mut text).map_err(RunError::Input)?;
    Ok(text)
}

/// Prints tables and columns.
fn listed() -> Result<(), RunError> {
    let mut out = Vec::new();
    for table in tables::all() {
        // Writing to memory does not fail.
        let _ = writeln!(out, "{}: {}", table.name, table.about);
        for (name, kind, about) in (table.columns)() {
            let _ = writeln!(out, "  {name:<16} {:<8} {about}", kind.name());
        }
    }
    match io::stdout().write_all(&out) {
        Err(why) if why.kind() != io::ErrorKind::BrokenPipe => Err(OutputError::from(why).into()),
        _ => Ok(()),
    }
}
