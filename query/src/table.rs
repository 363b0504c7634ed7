//! What a table is: rows that are read from the corpus while a query runs, and only the columns that it asks for.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use crate::cell::{Builder, Cell, Kind};
use crate::view::View;

/// Bytes of text after which a batch is full, however few rows it has: bodies may be long.
const FULL: usize = 4 << 20;
/// Elements of the corpus that are looked at for one batch at most, so that a query is never long without a chance to end.
const LOOKED_AT: u32 = 8192;

/// A table of the corpus: for each element of some kind, rows.
pub trait Table: fmt::Debug + Send + Sync + Sized + 'static {
    /// What its columns are read from.
    type Row<'a>;
    /// Its name.
    const NAME: &'static str;
    /// What a row is.
    const ABOUT: &'static str;
    /// Its columns, in order.
    const COLUMNS: &'static [Column<Self>];

    /// How many elements there are.
    fn elements(view: &View) -> u32;

    /// Visits the rows of an element.
    fn rows<'a>(view: &'a View, element: u32, visit: &mut dyn FnMut(&Self::Row<'a>));
}

/// How a column's value is read from a row.
pub type Get<T> = for<'r, 'a> fn(&'r <T as Table>::Row<'a>) -> Cell<'r>;

/// A column.
pub struct Column<T: Table> {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What they say.
    pub about: &'static str,
    /// Reads one.
    pub get: Get<T>,
}

/// A table as it is listed.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// Its name.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// Names of columns, what they are, what they say.
    pub columns: fn() -> Vec<(&'static str, Kind, &'static str)>,
    /// The table over a corpus.
    pub provider: fn(Arc<View>) -> Arc<dyn TableProvider>,
}

impl Listed {
    /// A table for the list.
    #[must_use]
    pub fn of<T: Table>() -> Self {
        Self {
            name: T::NAME,
            about: T::ABOUT,
            columns: || T::COLUMNS.iter().map(|column| (column.name, column.kind, column.about)).collect(),
            provider: |view| Arc::new(Provider::<T>::new(view)),
        }
    }
}

/// A table over one version of a corpus.
#[derive(Debug)]
struct Provider<T> {
    view: Arc<View>,
    schema: SchemaRef,
    table: PhantomData<T>,
}

impl<T: Table> Provider<T> {
    fn new(view: Arc<View>) -> Self {
        let fields = T::COLUMNS.iter().map(|column| Field::new(column.name, column.kind.data_type(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Self { view, schema, table: PhantomData }
    }
}

#[async_trait]
impl<T: Table> TableProvider for Provider<T> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = projection.cloned().unwrap_or_else(|| (0..T::COLUMNS.len()).collect());
        let schema = Arc::new(self.schema.project(&columns)?);
        let elements = T::elements(&self.view);
        let parts = u32::try_from(state.config().target_partitions()).unwrap_or(1).clamp(1, 64);
        let size = elements.div_ceil(parts).max(LOOKED_AT);
        let begins = (0..elements.max(1)).step_by(size as usize);
        let parts = begins.map(|from| -> Arc<dyn PartitionStream> {
            Arc::new(Part::<T> {
                view: self.view.clone(),
                schema: schema.clone(),
                columns: columns.clone(),
                from,
                until: from.saturating_add(size).min(elements),
                limit: limit.unwrap_or(usize::MAX),
                table: PhantomData,
            })
        });
        let plan = StreamingTableExec::try_new(schema.clone(), parts.collect(), None, [], false, limit)?;
        Ok(Arc::new(plan))
    }
}

/// Some elements of a table, one after the other.
#[derive(Debug)]
struct Part<T> {
    view: Arc<View>,
    schema: SchemaRef,
    columns: Vec<usize>,
    from: u32,
    until: u32,
    limit: usize,
    table: PhantomData<T>,
}

impl<T: Table> PartitionStream for Part<T> {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = Batches::<T> {
            view: self.view.clone(),
            schema: self.schema.clone(),
            columns: self.columns.iter().map(|at| &T::COLUMNS[*at]).collect(),
            at: self.from,
            until: self.until,
            rows: context.session_config().batch_size(),
            left: self.limit,
        };
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), futures::stream::iter(batches)))
    }
}

/// The batches of a part, each made when it is asked for.
struct Batches<T: Table> {
    view: Arc<View>,
    schema: SchemaRef,
    columns: Vec<&'static Column<T>>,
    at: u32,
    until: u32,
    /// Rows of a batch, more or less: all of an element are in one.
    rows: usize,
    left: usize,
}

impl<T: Table> Iterator for Batches<T> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.until || self.left == 0 {
            return None;
        }
        let mut builders: Vec<_> = self.columns.iter().map(|column| Builder::new(column.kind)).collect();
        let (mut rows, mut bytes) = (0, 0);
        let stop = self.until.min(self.at.saturating_add(LOOKED_AT));
        while self.at < stop && rows < self.rows.min(self.left) && bytes < FULL {
            T::rows(&self.view, self.at, &mut |row| {
                for (column, builder) in self.columns.iter().zip(&mut builders) {
                    bytes += builder.append(&(column.get)(row));
                }
                rows += 1;
            });
            self.at += 1;
        }
        self.left -= rows.min(self.left);
        let columns: Vec<ArrayRef> = builders.into_iter().map(Builder::finish).collect();
        // A query that only counts asks for no column.
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Some(Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .expect("each column has the type and the number of values that it was made for")))
    }
}
