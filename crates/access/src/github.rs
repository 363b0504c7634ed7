//! Signing in by GitHub, which speaks OAuth 2 and no OpenID Connect: who somebody is and where they belong is asked of its
//! API with the token that comes back, which is then forgotten.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use buildenv::GithubLogin;
use http::HeaderMap;
use serde::Deserialize;

use crate::Access;
use crate::api::Failure;
use crate::out::json;
use crate::provider::{Back, Known, SignInError, bearer, form, post};
use crate::sign_in::{SignIn, safe_next};

const WAY: &str = "github";
/// The most pages of organisations or teams that are read; a page has 100.
const PAGES: u32 = 10;

/// GitHub says no with status 200.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Token {
    Given { access_token: String },
    Denied { error: String },
}

#[derive(Debug, Deserialize)]
struct Person {
    login: String,
}

#[derive(Debug, Deserialize)]
struct Team {
    slug: String,
    organization: Person,
}

/// `GET /login/github`
pub(crate) async fn away(
    State(access): State<Access>,
    query: Result<Query<SignIn>, QueryRejection>,
) -> Response {
    let next = query.map(|Query(query)| query.next).unwrap_or_default();
    let config = access.config();
    let Some(github) = &config.access().github else { return SignInError::NotConfigured("GitHub").shown() };
    let back = access.way_back(WAY);
    let scope = if asks_for_groups(github) { "read:org" } else { "" };
    let sent = access.send_away(WAY, safe_next(&next), |state, challenge, _| {
        let query = form(&[
            ("client_id", &github.client.client_id),
            ("redirect_uri", &back),
            ("scope", scope),
            ("state", state),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
        ]);
        format!("{}/login/oauth/authorize?{query}", github.url.trim_end_matches('/'))
    });
    sent.unwrap_or_else(|error| error.shown())
}

/// Whether anybody has a role by an organisation or a team.
fn asks_for_groups(github: &GithubLogin) -> bool {
    github.client.roles.iter().any(|(group, _)| !group.starts_with('@') && group != "*")
}

/// `GET /login/github/callback`
pub(crate) async fn back(
    State(access): State<Access>,
    headers: HeaderMap,
    query: Result<Query<Back>, QueryRejection>,
) -> Result<Response, Failure> {
    let back = query.map(|Query(back)| back).unwrap_or_default();
    let found = async {
        let config = access.config();
        let github = config.access().github.as_ref().ok_or(SignInError::NotConfigured("GitHub"))?;
        let pending = access.take_back(WAY, &headers, &back)?;
        let (person, groups) = who(&access, github, &back.code, &pending.verifier).await?;
        Known::of(&github.client, person, &groups, pending)
    };
    access.welcome(&headers, found.await).await
}

/// Asks who somebody is, and where they belong.
async fn who(
    access: &Access,
    github: &GithubLogin,
    code: &str,
    verifier: &str,
) -> Result<(String, Vec<String>), SignInError> {
    let secret = access.client_secret(&github.client).await?;
    let back = access.way_back(WAY);
    let request = post(
        &format!("{}/login/oauth/access_token", github.url.trim_end_matches('/')),
        &[
            ("client_id", &github.client.client_id),
            ("client_secret", &secret),
            ("code", code),
            ("redirect_uri", &back),
            ("code_verifier", verifier),
        ],
    )?;
    let token = match json::<Token>(request).await? {
        Token::Given { access_token } => access_token,
        Token::Denied { error } => return Err(SignInError::Denied(error)),
    };
    let api = github.api.trim_end_matches('/');
    let person: Person = json(bearer(&format!("{api}/user"), &token)?).await?;
    let mut groups = vec![format!("@{}", person.login)];
    if asks_for_groups(github) {
        for page in 1..=PAGES {
            let url = format!("{api}/user/orgs?per_page=100&page={page}");
            let some: Vec<Person> = json(bearer(&url, &token)?).await?;
            let last = some.len() < 100;
            groups.extend(some.into_iter().map(|org| org.login));
            if last {
                break;
            }
        }
        for page in 1..=PAGES {
            let url = format!("{api}/user/teams?per_page=100&page={page}");
            let some: Vec<Team> = json(bearer(&url, &token)?).await?;
            let last = some.len() < 100;
            groups.extend(some.into_iter().map(|team| format!("{}/{}", team.organization.login, team.slug)));
            if last {
                break;
            }
        }
    }
    Ok((format!("{}@github", person.login), groups))
}
