//! Finding and reading files on an original buildlet, which lists whole directories and gives archives.

use buildlet_client::{Error, GlobFile, GlobReport, LsRequest};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use glob::{MatchOptions, Pattern};

use super::{Original, archive};

/// The greatest number of files in a report, as one of ours has it.
const MOST: usize = 10_000;
/// As one of ours matches.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

impl Original {
    pub(in crate::attempt) async fn glob(&self, dir: &str, patterns: &[String]) -> Result<GlobReport, Error> {
        let pattern = |text: &String| {
            Pattern::new(text).map_err(|error| Error::Protocol { what: format!("pattern {text:?}: {error}") })
        };
        let patterns = patterns.iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
        let dir = if dir.is_empty() { "." } else { dir };
        let request = LsRequest { dir: dir.to_owned(), recursive: true, ..LsRequest::default() };
        let mut report = GlobReport::default();
        for entry in self.client().ls(&request).await? {
            let wanted = || patterns.iter().any(|pattern| pattern.matches_with(&entry.path, OPTIONS));
            let Some(size) = entry.size.filter(|_| wanted()) else { continue };
            if report.files.len() == MOST {
                report.truncated = true;
                break;
            }
            report.files.push(GlobFile { path: entry.path, size, mtime_us: 0, mode: 0 });
        }
        Ok(report)
    }

    /// An archive of a single file has that as its one member.
    pub(in crate::attempt) async fn file(
        &self,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let stream = self.client().tgz(path).await?;
        let stream = stream.map(|piece| piece.map_err(std::io::Error::other));
        let (address, doing) = (self.client().address().to_string(), "reading a file");
        let content = archive::only_member(stream);
        let content = content.map(move |piece| {
            piece.map_err(|source| Error::Unreachable {
                address: address.clone(),
                doing,
                source: Box::new(source),
            })
        });
        Ok(content.boxed())
    }
}
