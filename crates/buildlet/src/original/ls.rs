//! `/ls`: one line per entry.

use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, Uri, header};
use sha1::{Digest as _, Sha1};

use crate::agent::{Agent, hex};
use crate::files::{FileError, open_beneath};
use crate::gomode;
use crate::http::GoError;
use crate::paths::is_relative_beneath;
use crate::sys::fs::{FileType, Mode, OFlags, openat};
use crate::walk::{Entry, Next, walk_fd};

use super::form::Form;
use super::{internal, require};

/// The greatest listing kept in memory, in bytes; a longer one is an error and not a truncated answer.
const MAX_LISTING: usize = 256 << 20;

pub(crate) async fn ls(
    State(agent): State<Arc<Agent>>,
    method: Method,
    uri: Uri,
) -> Result<Response, GoError> {
    require(&method, &Method::GET)?;
    let form = Form::of_query(uri.query());
    let dir = form.get("dir").to_owned();
    if !dir.is_empty() && !is_relative_beneath(&dir) {
        return Err(GoError::bad("bad 'dir' parameter"));
    }
    let workdir = agent.workdir().to_owned();
    let list = move || listing(&workdir, &dir, &form);
    match agent.as_job(list).await.map_err(internal)? {
        Ok(text) => {
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            Ok(([(header::CONTENT_TYPE, plain)], text).into_response())
        }
        Err(error) => Err(internal(format!("Walk error: {error}"))),
    }
}

fn listing(workdir: &Path, dir: &str, form: &Form) -> Result<Vec<u8>, FileError> {
    std::fs::create_dir_all(workdir)?;
    let base = open_beneath(workdir, dir, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let recursive = form.yes("recursive");
    let digest = form.yes("digest");
    let skip: Vec<&str> = form.all("skip").filter(|skip| !skip.is_empty()).collect();
    let mut text = Vec::new();
    walk_fd(base, &mut |entry| {
        if entry.kind == FileType::Directory && skip.iter().any(|skip| skip.as_bytes() == entry.path) {
            return Ok(Next::Skip);
        }
        line(entry, digest, &mut text)?;
        if text.len() > MAX_LISTING {
            return Err(io::Error::other("the listing is too long"));
        }
        Ok(if recursive { Next::Enter } else { Next::Skip })
    })?;
    Ok(text)
}

fn line(entry: &Entry<'_>, digest: bool, text: &mut Vec<u8>) -> io::Result<()> {
    text.extend_from_slice(gomode::text(entry.kind, entry.mode()).as_bytes());
    text.push(b'\t');
    text.extend_from_slice(entry.path);
    match entry.kind {
        FileType::Directory => text.push(b'/'),
        FileType::RegularFile => {
            let mut rest = String::new();
            // Writing to a string never fails.
            let _ok = write!(rest, "\t{}\t{}", entry.stat.st_size, rfc3339(entry.stat.st_mtime));
            text.extend_from_slice(rest.as_bytes());
            if digest {
                text.push(b'\t');
                text.extend_from_slice(sha1_of(entry)?.as_bytes());
            }
        }
        _ => {}
    }
    text.push(b'\n');
    Ok(())
}

fn sha1_of(entry: &Entry<'_>) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = std::fs::File::from(openat(entry.parent, entry.name, flags, Mode::empty())?);
    let mut hash = Sha1::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// Writes seconds since 1970 as RFC 3339 in UTC; the civil date by Howard Hinnant's algorithm.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400);
    let second = seconds.rem_euclid(86_400);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
        assert_eq!(rfc3339(1_498_903_200), "2017-07-01T10:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(4_107_542_399), "2100-02-28T23:59:59Z");
    }
}
