//! Values of one row, and the columns of Arrow that they are put into.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Int64Builder, ListBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use maintner::time::Time;

/// The zone of all instants.
const UTC: &str = "+00:00";

/// Seconds since 1970 that are of the years 0 to 9999.
const YEARS: std::ops::Range<i64> = -62_167_219_200..253_402_300_800;

/// What the values of a column are. Any of them may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A whole number.
    Number,
    /// A list of whole numbers.
    Numbers,
    /// Yes or no.
    Flag,
    /// An instant.
    Time,
}

impl Kind {
    /// The type of the column.
    #[must_use]
    pub fn data_type(self) -> DataType {
        let list = |of| DataType::List(Arc::new(Field::new_list_field(of, true)));
        match self {
            Self::Text => DataType::Utf8,
            Self::Texts => list(DataType::Utf8),
            Self::Number => DataType::Int64,
            Self::Numbers => list(DataType::Int64),
            Self::Flag => DataType::Boolean,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        }
    }

    /// What it is called where tables are listed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Texts => "texts",
            Self::Number => "number",
            Self::Numbers => "numbers",
            Self::Flag => "boolean",
            Self::Time => "time",
        }
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell<'a> {
    /// None.
    Null,
    /// A text, which is UTF-8 for the most part.
    Text(Cow<'a, [u8]>),
    /// A list of them.
    Texts(Vec<Cow<'a, [u8]>>),
    /// A number.
    Number(i64),
    /// A list of them.
    Numbers(Vec<i64>),
    /// Yes or no.
    Flag(bool),
    /// Microseconds since 1970.
    Time(i64),
}

impl<'a> Cell<'a> {
    /// A text, empty or not.
    #[must_use]
    pub const fn text(text: &'a [u8]) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// A text that is empty where there is none.
    #[must_use]
    pub const fn some(text: &'a [u8]) -> Self {
        if text.is_empty() { Self::Null } else { Self::text(text) }
    }

    /// A text that was made.
    #[must_use]
    pub fn made(text: String) -> Self {
        Self::Text(Cow::Owned(text.into_bytes()))
    }

    /// A number.
    #[must_use]
    pub fn number(number: impl Into<i64>) -> Self {
        Self::Number(number.into())
    }

    /// How many there are.
    #[must_use]
    pub fn count(count: usize) -> Self {
        Self::Number(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// A number of GitHub's, where 0 is none.
    #[must_use]
    pub const fn id(id: i64) -> Self {
        if id == 0 { Self::Null } else { Self::Number(id) }
    }

    /// An instant, to the microsecond; none where it is of no year from 0 to 9999: some commits are of such, and the engine can
    /// print none of them.
    #[must_use]
    pub fn time(time: Time) -> Self {
        let micros = time
            .seconds()
            .filter(|seconds| YEARS.contains(seconds))
            .and_then(|seconds| seconds.checked_mul(1_000_000)?.checked_add(i64::from(time.nanos() / 1000)));
        micros.map_or(Self::Null, Self::Time)
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn seconds(seconds: i64) -> Self {
        Self::time(Time::from_seconds(seconds))
    }
}

/// The values of a column.
pub enum Builder {
    /// See [`Kind::Text`]; so the others.
    Text(StringBuilder),
    /// A list of texts.
    Texts(ListBuilder<StringBuilder>),
    /// Numbers.
    Number(Int64Builder),
    /// Lists of numbers.
    Numbers(ListBuilder<Int64Builder>),
    /// Yes or no.
    Flag(BooleanBuilder),
    /// Instants.
    Time(TimestampMicrosecondBuilder),
}

impl Builder {
    /// One without values.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Texts => Self::Texts(ListBuilder::new(StringBuilder::new())),
            Kind::Number => Self::Number(Int64Builder::new()),
            Kind::Numbers => Self::Numbers(ListBuilder::new(Int64Builder::new())),
            Kind::Flag => Self::Flag(BooleanBuilder::new()),
            Kind::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone(UTC)),
        }
    }

    /// Appends a value; one of another kind, which no table has, is none. Says how many bytes of text it has.
    pub fn append(&mut self, cell: &Cell<'_>) -> usize {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => {
                builder.append_value(String::from_utf8_lossy(text));
                return text.len();
            }
            (Self::Texts(builder), Cell::Texts(texts)) => {
                for text in texts {
                    builder.values().append_value(String::from_utf8_lossy(text));
                }
                builder.append(true);
                return texts.iter().map(|text| text.len()).sum();
            }
            (Self::Number(builder), Cell::Number(number)) => builder.append_value(*number),
            (Self::Numbers(builder), Cell::Numbers(numbers)) => {
                builder.append_value(numbers.iter().map(|number| Some(*number)));
            }
            (Self::Flag(builder), Cell::Flag(flag)) => builder.append_value(*flag),
            (Self::Time(builder), Cell::Time(micros)) => builder.append_value(*micros),
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Texts(builder), _) => builder.append_null(),
            (Self::Number(builder), _) => builder.append_null(),
            (Self::Numbers(builder), _) => builder.append_null(),
            (Self::Flag(builder), _) => builder.append_null(),
            (Self::Time(builder), _) => builder.append_null(),
        }
        0
    }

    /// The column of the values there are.
    #[must_use]
    pub fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Texts(mut builder) => Arc::new(builder.finish()),
            Self::Number(mut builder) => Arc::new(builder.finish()),
            Self::Numbers(mut builder) => Arc::new(builder.finish()),
            Self::Flag(mut builder) => Arc::new(builder.finish()),
            Self::Time(mut builder) => Arc::new(builder.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_four_digits_of_a_year() {
        for (seconds, cell) in [
            (-62_167_219_201, Cell::Null),
            (-62_167_219_200, Cell::Time(-62_167_219_200_000_000)),
            (253_402_300_799, Cell::Time(253_402_300_799_000_000)),
            (253_402_300_800, Cell::Null),
            (i64::MAX, Cell::Null),
        ] {
            assert_eq!(Cell::seconds(seconds), cell, "{seconds}");
        }
    }
}
