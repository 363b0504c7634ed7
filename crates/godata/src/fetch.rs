//! Questions to the server, each asked once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::sync::OnceCell;
use transport::{CallError, Service};

use crate::address::Address;
use crate::config::{Config, Limits, OTHERWISE, Waits};
use crate::error::GodataError;
use crate::index::{self, Listed};

/// So often a question may be sent elsewhere.
const REDIRECTS: u32 = 5;
/// So many hosts may have segments.
const HOSTS: usize = 16;

/// Who is asked, and what is known of them.
pub(crate) struct Fetcher {
    index: Address,
    /// Whether the index is on this machine or in a private network; none as long as nobody wanted to know.
    inner: OnceCell<bool>,
    services: Mutex<BTreeMap<String, Service>>,
    waits: Waits,
    limits: Limits,
}

/// What there is of a segment from an offset on.
pub(crate) enum Piece {
    /// Its bytes from the offset that was asked for.
    Rest(Pieces),
    /// All of it: the server does not know how to send a part.
    Whole(Pieces),
    /// The server has not that many bytes.
    Shorter,
}

impl Fetcher {
    pub(crate) fn new(config: &Config) -> Result<Self, GodataError> {
        let index = Address::parse(&config.index)
            .ok_or_else(|| GodataError::Address { url: config.index.clone() })?;
        let services = config.service.iter().map(|service| (index.origin.clone(), service.clone())).collect();
        let services = Mutex::new(services);
        Ok(Self { index, inner: OnceCell::new(), services, waits: config.waits, limits: config.limits })
    }

    /// Where the index is.
    pub(crate) fn index_url(&self) -> String {
        self.index.to_string()
    }

    /// Waits until the log has not that many bytes, if it is told how many, and gives what it has then; none where the server
    /// says that nothing changed.
    pub(crate) async fn index(&self, known: Option<u64>) -> Result<Option<Vec<Listed>>, GodataError> {
        let address = match known {
            Some(known) => self.index.with("waitsizenot", known),
            None => self.index.clone(),
        };
        let (url, response) = self.ask(address, None, self.waits.change).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(None),
            status => return Err(refused(url, status)),
        }
        let mut pieces = Pieces { url, body: response.into_body(), silence: self.waits.silence };
        let mut text = BytesMut::new();
        while let Some(piece) = pieces.next().await? {
            if text.len() + piece.len() > self.limits.index {
                return Err(answer(
                    &pieces.url,
                    format!("the index has more than {} bytes", self.limits.index),
                    false,
                ));
            }
            text.extend_from_slice(&piece);
        }
        match index::parse(&text, &self.limits) {
            Ok(listed) => Ok(Some(listed)),
            Err(what) => Err(answer(&pieces.url, what, false)),
        }
    }

    /// Asks for a segment's bytes from an offset up to its end.
    pub(crate) async fn segment(&self, listed: &Listed, from: u64) -> Result<Piece, GodataError> {
        let address =
            self.index.join(&listed.url).ok_or_else(|| GodataError::Address { url: listed.url.clone() })?;
        let range = format!("bytes={from}-{}", listed.size - 1);
        let (url, response) = self.ask(address, Some(&range), self.waits.silence).await?;
        let status = response.status();
        let length = number(&response, header::CONTENT_LENGTH, |text| text.parse().ok());
        let start = number(&response, header::CONTENT_RANGE, |text| {
            text.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
        });
        let pieces = Pieces { url, body: response.into_body(), silence: self.waits.silence };
        match status {
            StatusCode::PARTIAL_CONTENT => match start {
                Some(start) if start != from => {
                    let what = format!("bytes from {from} on were asked for, and bytes from {start} on came");
                    Err(answer(&pieces.url, what, true))
                }
                _ => Ok(Piece::Rest(pieces)),
            },
            // Some say so of a part as well.
            StatusCode::OK if length == Some(listed.size - from) => Ok(Piece::Rest(pieces)),
            StatusCode::OK => Ok(Piece::Whole(pieces)),
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(Piece::Shorter),
            status => Err(refused(pieces.url, status)),
        }
    }

    async fn ask(
        &self,
        first: Address,
        range: Option<&str>,
        timeout: Duration,
    ) -> Result<(String, Response<Body>), GodataError> {
        let mut address = first;
        for _ in 0..=REDIRECTS {
            let url = address.to_string();
            let mut request = Request::get(address.path.as_str());
            if let Some(range) = range {
                request = request.header(header::RANGE, range);
            }
            let failed = |why| GodataError::Call { url: url.clone(), why };
            let request = request
                .body(Body::empty())
                .map_err(|why| failed(CallError::BadRequest(format!("{}: {why}", address.path))))?;
            let service = self.service(&address).await?.with_timeout(timeout);
            let response = service.send(request).await.map_err(|why| match why {
                // What a name leads to is known only now.
                CallError::BadRequest(why) => self.led(&address, why),
                why => failed(why),
            })?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((url, response));
            }
            let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
            let next = to.and_then(|to| address.join(to));
            let Some(next) = next.filter(|next| !next.is_weaker_than(&address)) else {
                return Err(answer(&url, format!("it leads to {to:?}, where nothing is asked"), false));
            };
            address = next;
        }
        Err(answer(&address.to_string(), format!("it was sent on more than {REDIRECTS} times"), false))
    }

    /// Whom to ask at an address that the index may lead to: what could be read underway is not read where the index can't be,
    /// and an index that is everybody's leads to nothing that only we can reach.
    async fn service(&self, address: &Address) -> Result<Service, GodataError> {
        if address.is_weaker_than(&self.index) {
            let why = "the index is at an https address, and so is all that it may lead to".to_owned();
            return Err(self.led(address, why));
        }
        let services = || self.services.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = services().get(&address.origin) {
            return Ok(known.clone());
        }
        let own = address.origin == self.index.origin;
        let inner = if own { Some(true) } else { self.is_inner().await };
        let service = if inner == Some(true) {
            Service::url(&address.origin)
        } else {
            let public = Service::public_url(&address.origin);
            public.map_err(|why| self.led(address, why.to_string()))?
        };
        let mut services = services();
        // What was chosen because nobody knew is chosen again the next time.
        if inner.is_some() && services.len() < HOSTS {
            services.insert(address.origin.clone(), service.clone());
        }
        Ok(service)
    }

    /// Whether the index is where only we may be; none where that can't be found out now, and then it is asked again.
    async fn is_inner(&self) -> Option<bool> {
        let known = self.inner.get_or_try_init(|| async {
            if self.index.origin == OTHERWISE {
                return Ok(true);
            }
            let found = tokio::time::timeout(self.waits.silence, tokio::net::lookup_host(self.index.host()));
            let found = found.await.map_err(|_| ())?.map_err(|_| ())?;
            Ok::<_, ()>(all_inner(found.map(|found| found.ip())))
        });
        known.await.ok().copied()
    }

    fn led(&self, address: &Address, why: String) -> GodataError {
        GodataError::Led { url: address.to_string(), index: self.index.to_string(), why }
    }
}

/// Whether a name leads nowhere but to where only we may be: one that also leads there may be anybody's, who would have us ask
/// what only we can reach.
fn all_inner(found: impl IntoIterator<Item = IpAddr>) -> bool {
    let mut found = found.into_iter().peekable();
    found.peek().is_some() && found.all(transport::is_inner)
}

/// A body, piece by piece.
pub(crate) struct Pieces {
    pub(crate) url: String,
    body: Body,
    silence: Duration,
}

impl Pieces {
    /// The next one; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, GodataError> {
        let failed = |why| GodataError::Call { url: self.url.clone(), why };
        loop {
            let next = tokio::time::timeout(self.silence, self.body.frame()).await;
            let silent = || CallError::Timeout { target: self.url.clone(), seconds: self.silence.as_secs() };
            match next.map_err(|_| failed(silent()))? {
                None => return Ok(None),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    _ => {}
                },
                Some(Err(why)) => {
                    return Err(failed(CallError::Unreachable {
                        target: self.url.clone(),
                        source: why.into(),
                    }));
                }
            }
        }
    }
}

fn number(
    response: &Response<Body>,
    name: header::HeaderName,
    read: impl Fn(&str) -> Option<u64>,
) -> Option<u64> {
    response.headers().get(name)?.to_str().ok().and_then(read)
}

fn refused(url: String, status: StatusCode) -> GodataError {
    let again = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    GodataError::Answer { url, what: format!("the server answers with {status}"), again }
}

pub(crate) fn answer(url: &str, what: String, again: bool) -> GodataError {
    GodataError::Answer { url: url.to_owned(), what, again }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(index: &str, inner: bool, to: &str) -> Option<String> {
        let fetcher = Fetcher::new(&Config::at(index, "unused")).unwrap();
        fetcher.inner.set(inner).unwrap();
        let address = fetcher.index.join(to).unwrap();
        fetcher.service(&address).await.err().map(|why| why.to_string())
    }

    #[tokio::test]
    async fn an_index_leads_only_where_everybody_may_go_or_it_is_itself() {
        let index = "https://example.org/logs";
        for fine in
            ["/logs/1", "https://storage.googleapis.com/b/x", "https://1.1.1.1/x", "//other.example/x"]
        {
            assert_eq!(refused(index, false, fine).await, None, "{fine}");
        }
        for (bad, why) in [
            ("http://example.org/logs/1", "index is at an https address"),
            ("http://storage.googleapis.com/b/x", "index is at an https address"),
            ("https://127.0.0.1/x", "private network"),
            ("https://[::1]:8443/x", "private network"),
            ("https://169.254.169.254/latest/meta-data", "private network"),
            ("https://10.1.2.3/x", "private network"),
        ] {
            let said = refused(index, false, bad).await.unwrap();
            assert!(said.contains(why) && said.contains(index), "{bad}: {said}");
        }
        // One of a private network may name others of it, and never what is read underway in its stead.
        assert_eq!(refused(index, true, "https://10.1.2.3/x").await, None);
        assert!(refused(index, true, "http://10.1.2.3/x").await.is_some());
        assert_eq!(refused("http://10.0.0.1/logs", true, "http://10.1.2.3/x").await, None);
        assert_eq!(refused("http://127.0.0.1:1/logs", false, "/logs/1").await, None);
    }

    #[tokio::test]
    async fn whether_an_index_is_inner_is_looked_up() {
        for (index, inner) in
            [("http://127.0.0.1:1/logs", true), ("http://1.1.1.1/logs", false), ("http://[::1]/", true)]
        {
            let fetcher = Fetcher::new(&Config::at(index, "unused")).unwrap();
            assert_eq!(fetcher.is_inner().await, Some(inner), "{index}");
        }
        let of = |texts: &[&str]| all_inner(texts.iter().map(|text| text.parse().unwrap()));
        assert!(of(&["10.0.0.1", "::1"]));
        assert!(!of(&["10.0.0.1", "1.1.1.1"]) && !of(&["1.1.1.1", "127.0.0.1"]) && !of(&[]));
    }

    #[tokio::test]
    async fn a_lookup_that_failed_is_made_again() {
        // No resolver is asked for a name with an empty part.
        let fetcher = Fetcher::new(&Config::at("http://no..host/logs", "unused")).unwrap();
        let other = Address::parse("http://other.example/x").unwrap();
        assert_eq!(fetcher.is_inner().await, None);
        fetcher.service(&other).await.unwrap();
        assert!(fetcher.services.lock().unwrap().is_empty(), "what was chosen without knowing is not kept");
        fetcher.inner.set(true).unwrap();
        fetcher.service(&other).await.unwrap();
        assert!(fetcher.services.lock().unwrap().contains_key(&other.origin));
    }
}
