//! What the API answers: always 200 and an envelope.

use axum::response::{IntoResponse as _, Response};
use http::header;
use store::{EventId, Micros, ObjectError, StoreError};

use super::super::refusal::Refusal;
use super::gojson;

/// The one error that clients try again.
const TRY_AGAIN: &str = "datastore: concurrent transaction";
/// Said of what is not there.
pub(super) const NO_ENTITY: &str = "datastore: no such entity";

/// Why a request was not done, in the original's words.
#[derive(Debug)]
pub(super) struct Fault(pub(super) String);

impl Fault {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Fault(text.into())
    }

    /// Puts words before it, except before the error that clients look for.
    pub(super) fn within(self, what: &str) -> Self {
        if self.0 == TRY_AGAIN { self } else { Fault(format!("{what}: {}", self.0)) }
    }

    fn internal(cause: &dyn std::fmt::Display) -> Self {
        let request_id = EventId::generate(Micros::now()).to_string();
        tracing::error!(request_id, %cause, "a request of the original's API failed");
        Fault(format!("internal error; the server's log has it as {request_id}"))
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        if error.is_transient() { Fault::new(TRY_AGAIN) } else { Fault::internal(&error) }
    }
}

impl From<ObjectError> for Fault {
    fn from(error: ObjectError) -> Self {
        Fault::internal(&error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Fault::internal(&refusal.message)
    }
}

/// What a call yields: its `Response`, as JSON.
pub(super) type Outcome = Result<String, Fault>;

/// Nothing to say.
pub(super) fn null() -> Outcome {
    Ok("null".to_owned())
}

/// Puts an outcome into the envelope.
pub(super) fn envelope(outcome: Outcome) -> Response {
    let (response, error) = match outcome {
        Ok(response) => (response, String::new()),
        Err(Fault(error)) => ("null".to_owned(), error),
    };
    let text = format!("{{\"Response\":{response},\"Error\":{}}}\n", gojson::compact(&error));
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

/// Makes a handler out of a call: first its key, then the call, then the envelope.
macro_rules! api {
    ($call:path) => {
        |axum::extract::State(desk): axum::extract::State<$crate::server::legacy::call::Desk>,
         request: axum::extract::Request| async move {
            let call = $crate::server::legacy::call::Call::new(desk, request);
            let outcome = match call.authenticated() {
                Ok(()) => $call(call).await,
                Err(fault) => Err(fault),
            };
            $crate::server::legacy::answer::envelope(outcome)
        }
    };
}
pub(super) use api;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_envelope_has_both_keys_and_an_end_of_line() {
        for (outcome, text) in [
            (null(), "{\"Response\":null,\"Error\":\"\"}\n"),
            (Ok("[1]".into()), "{\"Response\":[1],\"Error\":\"\"}\n"),
            (
                Err(Fault::new("a \"b\" <c>")),
                "{\"Response\":null,\"Error\":\"a \\\"b\\\" \\u003cc\\u003e\"}\n",
            ),
        ] {
            let answer = envelope(outcome);
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()[header::CONTENT_TYPE]),
                (200, &"application/json".parse().unwrap())
            );
            assert_eq!(axum::body::to_bytes(answer.into_body(), 1 << 10).await.unwrap(), text);
        }
    }

    #[test]
    fn what_is_worth_trying_again_is_said_in_exactly_these_words() {
        let busy = Fault::from(StoreError::Busy("locked".into()));
        assert_eq!(busy.within("AddResult").0, "datastore: concurrent transaction");
        assert_eq!(Fault::new("x").within("AddResult").0, "AddResult: x");
    }
}
