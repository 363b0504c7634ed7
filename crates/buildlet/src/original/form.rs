//! Parameters as Go reads them: from the query, and for some paths from an urlencoded body before it.

use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::http::GoError;

/// Go's limit for urlencoded bodies, in bytes.
const MAX_FORM: usize = 10 << 20;

/// Names and values in order; a name may repeat.
#[derive(Debug, Default)]
pub(crate) struct Form {
    pub(crate) body: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn of_query(query: Option<&str>) -> Self {
        Self { body: Vec::new(), query: pairs(query.unwrap_or_default().as_bytes()) }
    }

    pub(crate) async fn read(query: Option<&str>, headers: &HeaderMap, body: Body) -> Result<Self, GoError> {
        let mut form = Self::of_query(query);
        let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if kind
            .split(';')
            .next()
            .is_some_and(|k| k.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
        {
            let read = Limited::new(body, MAX_FORM).collect().await;
            let bytes = read.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    GoError::bad("http: request body too large")
                } else {
                    GoError::bad(format!("the form broke off: {error}"))
                }
            })?;
            form.body = pairs(&bytes.to_bytes());
        }
        Ok(form)
    }

    /// Returns a parameter, that of the body first; empty if absent.
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.body.iter().chain(&self.query).find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// Returns all values of a parameter, those of the body first.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.body
            .iter()
            .chain(&self.query)
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns all values of a parameter of the body.
    pub(crate) fn of_body<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.body.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Reads a bool as Go's ParseBool, all else being false.
    pub(crate) fn yes(&self, name: &str) -> bool {
        matches!(self.get(name), "1" | "t" | "T" | "TRUE" | "true" | "True")
    }
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}
