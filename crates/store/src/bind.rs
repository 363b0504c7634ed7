//! How our own types become SQL values: ids as TEXT, times as BIGINT.

use sqlx::any::{AnyTypeInfo, AnyValueRef};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Any, Database, Decode, Encode, Type};

use crate::{AttemptId, BisectionId, BuildId, EventId, LeaseId, Micros, TryRunId, WorkerId};

macro_rules! text {
    ($($name:ty),*) => {$(
        impl Type<Any> for $name {
            fn type_info() -> AnyTypeInfo {
                <str as Type<Any>>::type_info()
            }
        }

        impl<'q> Encode<'q, Any> for $name {
            fn encode_by_ref(&self, to: &mut <Any as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
                Encode::<Any>::encode(self.to_string(), to)
            }
        }

        impl<'r> Decode<'r, Any> for $name {
            fn decode(value: AnyValueRef<'r>) -> Result<Self, BoxDynError> {
                Ok(<&str as Decode<'r, Any>>::decode(value)?.parse()?)
            }
        }
    )*};
}

text!(BuildId, AttemptId, LeaseId, WorkerId, TryRunId, BisectionId, EventId);

impl Type<Any> for Micros {
    fn type_info() -> AnyTypeInfo {
        <i64 as Type<Any>>::type_info()
    }
}

impl<'q> Encode<'q, Any> for Micros {
    fn encode_by_ref(&self, to: &mut <Any as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Any>::encode(self.0, to)
    }
}

impl<'r> Decode<'r, Any> for Micros {
    fn decode(value: AnyValueRef<'r>) -> Result<Self, BoxDynError> {
        <i64 as Decode<'r, Any>>::decode(value).map(Self)
    }
}

/// A number with eight bytes that may be missing, as `Option<Double>`.
///
/// A missing `f64` itself is told to PostgreSQL as one of four bytes by sqlx 0.9 (it takes the two for each other, and only there), and a
/// statement keeps the types that it was called with first.
pub(crate) struct Double(pub(crate) f64);

impl Type<Any> for Double {
    fn type_info() -> AnyTypeInfo {
        <f32 as Type<Any>>::type_info()
    }
}

impl<'q> Encode<'q, Any> for Double {
    fn encode_by_ref(&self, to: &mut <Any as Database>::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Any>::encode(self.0, to)
    }
}
