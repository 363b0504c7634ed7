//! What can go wrong between us and a database, told apart by what the caller does about it.

use std::error::Error;
use std::io;

/// Says why a statement or a transaction did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The caller's fencing token or version is older than the row's: write nothing more.
    #[error("stale: the row has a newer owner or version")]
    Stale,
    /// Another writer holds what is needed, or a statement took too long. Try again.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// No space is left where the database lies.
    #[error("the database's disk is full: {0}")]
    Full(String),
    /// The connection is lost or cannot be made. Try again.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A row with this key exists, or a row that is needed does not.
    #[error("conflict: {0}")]
    Conflict(String),
    /// What the database holds is not what we wrote.
    #[error("the database is corrupt: {0}")]
    Corrupt(String),
    /// Anything else, in general our own mistake.
    #[error("database: {0}")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Says whether the same call may succeed a little later without anybody's help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Unavailable(_))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => classify(&*error),
            sqlx::Error::Io(error) if is_full(&error) => Self::Full(error.to_string()),
            sqlx::Error::Io(error) => Self::Unavailable(error.to_string()),
            sqlx::Error::Tls(error) => Self::Unavailable(error.to_string()),
            sqlx::Error::PoolTimedOut => Self::Unavailable("no connection became free in time".into()),
            sqlx::Error::PoolClosed => Self::Unavailable("it is being closed".into()),
            sqlx::Error::WorkerCrashed => Self::Unavailable("its thread is gone".into()),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt(error.to_string()),
            other => Self::Other(Box::new(other)),
        }
    }
}

fn classify(error: &dyn sqlx::error::DatabaseError) -> StoreError {
    let text = error.message().to_owned();
    let code = error.code().unwrap_or_default();
    if code.len() == 5 {
        return classify_postgres(&code, text);
    }
    match code.parse() {
        Ok(code) => classify_sqlite(code, text),
        Err(_) => StoreError::Other(text.into()),
    }
}

fn classify_sqlite(code: u32, text: String) -> StoreError {
    // The primary code is the low byte of the extended one.
    match code & 0xff {
        5 | 6 => StoreError::Busy(text),
        13 => StoreError::Full(text),
        // Only a write of the database or its log tells a full disk by a code of its own. Of a file that can't be made,
        // the shared index that can't grow, or a sync, SQLite keeps the system's reason to itself.
        10 | 14 => StoreError::Unavailable(format!("{text}; the disk may be full, broken or read-only")),
        11 | 26 => StoreError::Corrupt(text),
        19 => StoreError::Conflict(text),
        _ => StoreError::Other(text.into()),
    }
}

fn classify_postgres(code: &str, text: String) -> StoreError {
    match code {
        "53100" => StoreError::Full(text),
        "40001" | "40P01" | "55P03" | "57014" | "53200" | "53300" => StoreError::Busy(text),
        "25P03" | "57P01" | "57P02" | "57P03" | "57P05" => StoreError::Unavailable(text),
        "XX001" | "XX002" => StoreError::Corrupt(text),
        _ if code.starts_with("08") => StoreError::Unavailable(text),
        _ if code.starts_with("23") => StoreError::Conflict(text),
        _ => StoreError::Other(format!("{text} ({code})").into()),
    }
}

/// Says whether an error is, or was caused by, a disk or a quota without space.
pub(crate) fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                return true;
            }
            // `io::Error::source` skips the error it wraps and goes on to that one's source.
            if error.get_ref().is_some_and(|inner| is_full(inner)) {
                return true;
            }
        }
        at = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_codes_are_told_apart() {
        for (code, transient, text) in [
            ("53100", false, "disk is full"),
            ("40001", true, "busy"),
            ("57P01", true, "unavailable"),
            ("08006", true, "unavailable"),
            ("23505", false, "conflict"),
            ("XX001", false, "corrupt"),
            ("42601", false, "42601"),
        ] {
            let error = classify_postgres(code, "words".into());
            assert_eq!(error.is_transient(), transient, "{code}");
            assert!(error.to_string().contains(text), "{code}: {error}");
        }
    }

    #[test]
    fn where_sqlite_does_not_say_that_the_disk_is_full_it_is_named_as_a_possible_reason() {
        // SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_SHMSIZE, SQLITE_CANTOPEN.
        for (code, transient) in [(13, false), (1034, true), (4874, true), (14, true)] {
            let error = classify_sqlite(code, "words".into());
            assert_eq!(error.is_transient(), transient, "{code}");
            assert!(error.to_string().contains("full"), "{code}: {error}");
        }
    }

    #[test]
    fn a_full_disk_is_found_at_any_depth() {
        let inner = io::Error::from(io::ErrorKind::StorageFull);
        assert!(is_full(&io::Error::other(inner)));
        assert!(!is_full(&io::Error::other("no")));
    }
}
