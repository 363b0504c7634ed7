//! Rows as they are printed: as a table, as CSV, as JSON. Each batch is printed when it comes.

mod page;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use arrow_csv::WriterBuilder;
use arrow_json::writer::{JsonArray, LineDelimited, WriterBuilder as JsonBuilder};
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::logical_expr::LogicalPlan;
use thiserror::Error;

use page::Page;

/// As CSV and tables are printed; JSON has the same instants: by RFC 3339 with Z or the zone's hours, or with none where the
/// value has no zone.
const TEXT: FormatOptions<'static> = FormatOptions::new();

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people; long texts are cut
    Table,
    /// Comma-separated values, with a line of names
    Csv,
    /// An array of objects
    Json,
    /// An object on each line
    Ndjson,
}

/// Whether whoever reads wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// It does.
    There,
    /// It has seen enough (`bellwether-query … | head`).
    Gone,
}

/// Why rows are not printed.
#[derive(Debug, Error)]
pub enum OutputError {
    /// They can't be written.
    #[error("the output can't be written: {0}")]
    Io(#[from] io::Error),
    /// They have no such form.
    #[error("the rows can't be printed so: {0}")]
    Form(#[from] ArrowError),
}

/// Where rows go.
pub struct Output<W> {
    out: W,
    format: Format,
    /// Characters of a cell of a table.
    width: usize,
    /// Whether what acts on a terminal is taken out.
    tame: bool,
    /// Whether something was printed: between tables there is an empty line.
    begun: bool,
}

/// What was begun for one statement.
pub struct Rows {
    page: Page,
    rows: u64,
    /// Whether they are those of EXPLAIN, whose lines say nothing if they are cut.
    plans: bool,
}

impl Rows {
    /// How many were printed.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.rows
    }
}

impl Output<io::Stdout> {
    /// To standard output.
    #[must_use]
    pub fn stdout(format: Format, width: usize) -> Self {
        let out = io::stdout();
        Self { tame: out.is_terminal(), out, format, width, begun: false }
    }
}

impl<W: Write> Output<W> {
    /// To anything that is no terminal.
    pub const fn new(out: W, format: Format, width: usize) -> Self {
        Self { out, format, width, tame: false, begun: false }
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Begins the rows of a statement.
    ///
    /// # Errors
    /// What can't be written.
    pub fn begin(&mut self, schema: SchemaRef) -> Result<(Rows, Reader), OutputError> {
        let mut begun = Vec::new();
        match self.format {
            Format::Csv => {
                let schema = Arc::new(texts(&schema));
                let none = RecordBatch::new_empty(schema);
                WriterBuilder::new().with_header(true).build(&mut begun).write(&none)?;
            }
            Format::Json => begun.push(b'['),
            Format::Table if self.begun => begun.push(b'\n'),
            Format::Table | Format::Ndjson => {}
        }
        self.begun = true;
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let page = Page::new(names, schema.fields().iter().map(|field| field.data_type().is_numeric()));
        let reader = self.write(&begun)?;
        let plans = *schema == *LogicalPlan::explain_schema();
        Ok((Rows { page, rows: 0, plans }, reader))
    }

    /// Prints some of them.
    ///
    /// # Errors
    /// What can't be written.
    pub fn batch(&mut self, rows: &mut Rows, batch: &RecordBatch) -> Result<Reader, OutputError> {
        if batch.num_rows() == 0 {
            return Ok(Reader::There);
        }
        let mut bytes = Vec::new();
        match self.format {
            Format::Table if rows.plans => {
                let columns = formatters(batch)?;
                for row in 0..batch.num_rows() {
                    for (column, indent) in columns.iter().zip(["", "  "]) {
                        for line in column.value(row).to_string().lines() {
                            writeln!(bytes, "{indent}{}", tamed(line))?;
                        }
                    }
                }
            }
            Format::Table => {
                let columns = formatters(batch)?;
                for row in 0..batch.num_rows() {
                    rows.page.push(columns.iter().map(|column| column.value(row).to_string()), self.width);
                    if rows.page.is_full() {
                        rows.page.print(&mut bytes)?;
                    }
                }
            }
            Format::Csv => {
                WriterBuilder::new().with_header(false).build(&mut bytes).write(&flat(batch)?)?;
            }
            Format::Json => {
                let mut writer =
                    JsonBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
                writer.write(batch)?;
                writer.finish()?;
                let array = writer.into_inner();
                // Of each batch an array; of all of them one.
                if rows.rows > 0 {
                    bytes.push(b',');
                }
                let array = array.strip_prefix(b"[").unwrap_or(&array);
                bytes.extend(array.strip_suffix(b"]").unwrap_or(array));
            }
            Format::Ndjson => {
                let builder = JsonBuilder::new().with_explicit_nulls(true);
                builder.build::<_, LineDelimited>(&mut bytes).write(batch)?;
            }
        }
        rows.rows += batch.num_rows() as u64;
        self.write(&bytes)
    }

    /// Prints what is left, and how the rows end.
    ///
    /// # Errors
    /// What can't be written.
    pub fn end(&mut self, mut rows: Rows) -> Result<Reader, OutputError> {
        let mut bytes = Vec::new();
        match self.format {
            Format::Table => {
                if !rows.plans && (rows.rows == 0 || !rows.page.is_empty()) {
                    rows.page.print(&mut bytes)?;
                }
            }
            Format::Json => bytes.extend(b"]\n"),
            Format::Csv | Format::Ndjson => {}
        }
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<Reader, OutputError> {
        let done = if self.tame {
            self.out.write_all(tamed(&String::from_utf8_lossy(bytes)).as_bytes())
        } else {
            self.out.write_all(bytes)
        };
        match done.and_then(|()| self.out.flush()) {
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
            done => Ok(done.map(|()| Reader::There)?),
        }
    }
}

/// Says something on standard error, if anybody can be told.
pub fn tell(text: &str) {
    let mut err = io::stderr();
    let text = if err.is_terminal() { tamed(text).into() } else { Cow::Borrowed(text) };
    // Where it can't be written there is nobody to tell of that either.
    let _ = writeln!(err, "{text}");
}

/// Whether a letter acts on a terminal, or on the order in which it shows others.
fn acts(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Without what acts on a terminal: texts are of anybody.
fn tamed(text: &str) -> String {
    text.chars()
        .map(|letter| if acts(letter) && !matches!(letter, '\n' | '\t') { '\u{fffd}' } else { letter })
        .collect()
}

fn formatters(batch: &RecordBatch) -> Result<Vec<ArrayFormatter<'_>>, ArrowError> {
    batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &TEXT)).collect()
}

/// The columns that CSV has no form for, as texts.
fn texts(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| match field.data_type().is_nested() {
        true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        false => field.clone(),
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// Lists as texts, `[a, b]`.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let column = |column: &ArrayRef| -> Result<ArrayRef, ArrowError> {
        if !column.data_type().is_nested() {
            return Ok(column.clone());
        }
        let shown = ArrayFormatter::try_new(column, &TEXT)?;
        let mut texts = StringBuilder::new();
        for row in 0..column.len() {
            texts.append_option((!column.is_null(row)).then(|| shown.value(row).to_string()));
        }
        Ok(Arc::new(texts.finish()))
    };
    let columns = batch.columns().iter().map(column).collect::<Result<_, _>>()?;
    RecordBatch::try_new(Arc::new(texts(&batch.schema())), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_on_a_terminal() {
        assert_eq!(tamed("a\u{1b}[2J\u{9b}b\tc\r\nü"), "a\u{fffd}[2J\u{fffd}b\tc\u{fffd}\nü");
        assert_eq!(tamed("a\u{202e}b\u{2069}\u{2065}"), "a\u{fffd}b\u{fffd}\u{2065}");
    }
}
