//! Logs of try runs, apart from all others: by the first eight digits of a commit, the builder, and the first eight digits
//! of the log's SHA-1, as the original names them in its bucket.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use futures::TryStreamExt as _;
use http::{StatusCode, header};
use store::logs::LogRow;

use super::super::logstore;
use super::answer::Fault;
use super::call::Desk;
use super::own;

/// So many digits of each are in a name.
const DIGITS: usize = 8;

/// `/try/log/{rev}/{builder}_{sha1}.log`
pub(super) async fn log(State(desk): State<Desk>, Path((rev, file)): Path<(String, String)>) -> Response {
    let found = match named(&rev, &file) {
        Some((builder, digits)) => own::try_log(&desk, &rev, builder, digits).await,
        None => Ok(None),
    };
    let head =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    match found {
        Ok(Some(log)) => (head, content(&desk, &log)).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, head, "no such log of a try run\n").into_response(),
        Err(Fault(error)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, head, format!("Error: {error}\n")).into_response()
        }
    }
}

/// Takes the name of a log apart.
fn named<'a>(rev: &str, file: &'a str) -> Option<(&'a str, &'a str)> {
    let (builder, digits) = file.strip_suffix(".log")?.rsplit_once('_')?;
    (is_digits(rev) && is_digits(digits) && !builder.contains('\0')).then_some((builder, digits))
}

fn is_digits(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn content(desk: &Desk, log: &LogRow) -> Body {
    let pieces = logstore::read(&desk.dashboard, log.attempt, 0, u64::try_from(log.bytes).unwrap_or(0));
    Body::from_stream(pieces.map_ok(|piece| piece.bytes).map_err(|refusal| {
        tracing::warn!(cause = refusal.message, "a log breaks off");
        std::io::Error::other(refusal.message)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_three_parts() {
        assert_eq!(named("0123abcd", "linux_x-386_89abcdef.log"), Some(("linux_x-386", "89abcdef")));
        for (rev, file) in [
            ("0123abc", "b_89abcdef.log"),
            ("0123ABCD", "b_89abcdef.log"),
            ("0123abcd", "b_89abcde.log"),
            ("0123abcd", "b_89abcdef"),
            ("0123abcd", "b89abcdef.log"),
            ("0123abcd", ".log"),
        ] {
            assert_eq!(named(rev, file), None, "{rev} {file}");
        }
    }
}
