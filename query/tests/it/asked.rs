//! A statement's rows.

use std::ffi::OsString;
use std::sync::Arc;

use bellwether_query::args::Args;
use bellwether_query::explained::SqlError;
use bellwether_query::output::{Format, Output};
use bellwether_query::run::session;
use bellwether_query::session::Session;
use bellwether_query::source::{self, Place};
use futures::StreamExt as _;
use jiff::Timestamp;
use maintner::corpus::Corpus;
use maintner::time::Time;
use serde_json::Value;

use crate::world;

/// A corpus that can be asked.
pub struct Asked {
    pub corpus: Arc<Corpus>,
    session: Session,
}

impl Asked {
    /// Of the made-up project: as it is in the log, with `now()` as it is, or as it was.
    pub async fn new(at: Option<&str>) -> Self {
        Self::with(at, &[]).await
    }

    /// With more arguments.
    pub async fn with(at: Option<&str>, more: &[&str]) -> Self {
        let folder = world::folder();
        let mut words = vec!["bellwether-query"];
        words.extend(at.iter().flat_map(|at| ["--at", *at]));
        words.extend(more);
        let args = Args::read(words.into_iter().map(OsString::from), Timestamp::now()).unwrap();
        let at = args.at.map(|at| Time::from_seconds(at.as_second()));
        let corpus = source::open(Place::Folder(folder.path().to_owned()), at).await.unwrap();
        Self { session: session(corpus.clone(), &args).unwrap(), corpus }
    }

    /// What is printed.
    pub async fn printed(&self, sql: &str, format: Format) -> Result<String, SqlError> {
        let mut output = Output::new(Vec::new(), format, 60);
        for statement in Session::statements(sql)? {
            let mut stream = self.session.run(statement, sql).await?;
            let (mut rows, _) = output.begin(stream.schema()).unwrap();
            while let Some(batch) = stream.next().await {
                output.batch(&mut rows, &batch.map_err(|why| SqlError::of(&why, sql))?).unwrap();
            }
            output.end(rows).unwrap();
        }
        Ok(String::from_utf8(output.into_inner()).unwrap())
    }

    /// The rows, each an object.
    pub async fn rows(&self, sql: &str) -> Vec<Value> {
        let text = self.printed(sql, Format::Json).await.unwrap_or_else(|why| panic!("{sql}: {why}"));
        serde_json::from_str(&text).unwrap()
    }

    /// The values of the rows, of one column each.
    pub async fn values(&self, sql: &str) -> Vec<Value> {
        let rows = self.rows(sql).await;
        rows.iter().map(|row| row.as_object().unwrap().values().next().unwrap().clone()).collect()
    }

    /// What is wrong.
    pub async fn wrong(&self, sql: &str) -> String {
        self.printed(sql, Format::Csv).await.expect_err(sql).to_string()
    }
}
