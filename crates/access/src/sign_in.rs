//! Signing in by a link that works once, and signing out.

use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use store::{Micros, StoreError, audit, sessions};
use transport::{Role, Viewer};

use crate::api::Failure;
use crate::guard::from_elsewhere;
use crate::page::{LoginPage, Way, refused};
use crate::{Access, by_cookie, cookie, deed, make, secret, session};

/// Query of the page, and its form.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct SignIn {
    #[serde(default)]
    token: String,
    #[serde(default)]
    pub next: String,
}

/// A path of ours to go on to, whatever was asked for.
pub(crate) fn safe_next(next: &str) -> &str {
    let bytes = next.as_bytes();
    let fine = bytes.first() == Some(&b'/')
        && !matches!(bytes.get(1), Some(b'/' | b'\\'))
        && bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\');
    if fine { next } else { "/" }
}

/// `GET /login`
pub(crate) async fn page(
    State(access): State<Access>,
    viewer: Viewer,
    query: Result<Query<SignIn>, QueryRejection>,
) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let next = safe_next(&query.next);
    let ways = access.other_ways(next);
    LoginPage { viewer: &viewer, token: &query.token, next, ways }.shown()
}

/// `POST /login`
pub(crate) async fn by_link(
    State(access): State<Access>,
    headers: HeaderMap,
    form: Result<Form<SignIn>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "not the form of the page to sign in",
        ));
    };
    if from_elsewhere(&headers) {
        return Err(Failure::new(StatusCode::FORBIDDEN, "csrf", "this form comes from another site"));
    }
    let now = Micros::now();
    let mut tx = access.0.db.begin().await?;
    let link = sessions::use_link(&mut tx, &secret::hash(&form.token), now).await?;
    tx.commit().await?;
    let Some(link) = link else {
        let why = "This link does not work any more: a link works once, for ten minutes. `bellwether login` prints another.";
        return Ok(refused(StatusCode::UNAUTHORIZED, why));
    };
    let role = link.role.parse::<Role>().map_err(|error| StoreError::Corrupt(error.to_string()))?;
    access.let_in(&headers, &link.person, role, "link", &form.next).await
}

/// `POST /logout`
pub(crate) async fn out(
    State(access): State<Access>,
    viewer: Viewer,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let secure = access.secure();
    if let (true, Some(cookie)) = (by_cookie(&viewer), cookie::value(&headers, secure)) {
        let mut tx = access.0.db.begin().await?;
        let hash = secret::hash(&cookie);
        sessions::end(&mut tx, &hash).await?;
        audit::append(&mut tx, deed(&viewer.who, "sign_out", &viewer.who, "")).await?;
        tx.commit().await?;
        access.0.standings.end(&hash);
    }
    Ok(([(header::SET_COOKIE, cookie::clear(secure))], Redirect::to("/")).into_response())
}

impl Access {
    /// Signs somebody in: a new session, the old one of this browser ends.
    pub(crate) async fn let_in(
        &self,
        headers: &HeaderMap,
        person: &str,
        role: Role,
        way: &str,
        next: &str,
    ) -> Result<Response, Failure> {
        let (secure, lasts) = (self.secure(), self.config().access().session);
        let text = make("")?;
        let now = Micros::now();
        let mut tx = self.0.db.begin().await?;
        sessions::sweep(&mut tx, now).await?;
        let old = cookie::value(headers, secure).map(|old| secret::hash(&old));
        if let Some(old) = &old {
            sessions::end(&mut tx, old).await?;
        }
        sessions::insert(&mut tx, &session(&text, person, role, now, lasts)).await?;
        let detail = format!("{role} by {way}");
        audit::append(&mut tx, deed(person, "sign_in", person, &detail)).await?;
        tx.commit().await?;
        if let Some(old) = &old {
            self.0.standings.end(old);
        }
        let set = cookie::set(&text, lasts.as_secs(), secure);
        Ok(([(header::SET_COOKIE, set)], Redirect::to(safe_next(next))).into_response())
    }

    /// Links to those who sign people in for us.
    fn other_ways(&self, next: &str) -> Vec<Way> {
        let config = self.config();
        let next = transport::segment(next);
        let all = [
            ("OpenID Connect", "oidc", config.access().oidc.is_some()),
            ("GitHub", "github", config.access().github.is_some()),
        ];
        let way = |name, path| Way { name, address: format!("/login/{path}?next={next}") };
        all.into_iter().filter(|(_, _, set)| *set).map(|(name, path, _)| way(name, path)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_to_a_path_of_ours_only() {
        for fine in ["/", "/builds/1?x=y", "/grid?repo=a%2Fb"] {
            assert_eq!(safe_next(fine), fine);
        }
        for bad in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "/a b", "javascript:x"]
        {
            assert_eq!(safe_next(bad), "/", "{bad}");
        }
    }
}
