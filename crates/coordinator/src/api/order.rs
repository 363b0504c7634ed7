//! An order's body: JSON of a program, or a form of a page, which is answered with the way back to the page.

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Form, Json};
use http::header;
use serde::de::DeserializeOwned;

use transport::extract::Input;
use transport::routes::refusal;

use super::BuildAnswer;

/// An order.
pub(super) struct Order<T> {
    /// What it says, if it says anything.
    pub body: Option<T>,
    form: bool,
}

impl<T> Order<T> {
    /// Answers it: a program gets JSON, a person the build's page.
    pub(super) fn answered(&self, build: &str, answer: Json<BuildAnswer>) -> Response {
        if self.form {
            return Redirect::to(&format!("/builds/{}", transport::segment(build))).into_response();
        }
        answer.into_response()
    }
}

impl<T> Order<T> {
    /// Answers it: a program gets JSON, a person is led to a page.
    pub(super) fn led<A: serde::Serialize>(&self, page: &str, answer: Json<A>) -> Response {
        if self.form {
            return Redirect::to(page).into_response();
        }
        answer.into_response()
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Order<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim().to_owned();
        match kind.as_str() {
            "application/x-www-form-urlencoded" => {
                let Form(body) = Form::<T>::from_request(request, state)
                    .await
                    .map_err(|error| refusal(error.status(), "bad_request", error.body_text()))?;
                Ok(Order { body: Some(body), form: true })
            }
            "" => Ok(Order { body: None, form: false }),
            _ => {
                let Input(body) = <Input<T> as FromRequest<S>>::from_request(request, state).await?;
                Ok(Order { body: Some(body), form: false })
            }
        }
    }
}
