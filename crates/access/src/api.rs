//! The API: who am I, which routes are there, tokens, login links.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::audit;
use store::tokens::{self, TokenRow};
use store::{Micros, StoreError};
use transport::extract::{Input, Path};
use transport::operation::NameText;
use transport::routes::refusal;
use transport::{Role, Viewer};

use crate::{Access, LINK, deed, make, secret};

/// The longest name of a token.
const LONGEST_NAME: usize = 64;
/// The longest that a token may live, in seconds: a hundred years.
const LONGEST_LIFE: u64 = 100 * 366 * 86_400;

/// Answer of `GET /api/v1/whoami`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhoAnswer {
    /// A name; `anonymous` for a stranger.
    pub who: String,
    /// What they may do.
    pub role: String,
    /// Whether they said who they are.
    pub known: bool,
    /// The only repos that this is about; none for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repos: Vec<String>,
}

/// Body of `POST /api/v1/tokens`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenRequest {
    /// A name for people.
    #[schemars(with = "NameText")]
    pub name: String,
    /// What it may do.
    #[schemars(with = "TokenRole")]
    pub role: String,
    /// The only repos that it is about; none for all.
    #[serde(default)]
    #[schemars(with = "Vec<NameText>")]
    pub repos: Vec<String>,
    /// Seconds until it ends by itself; never if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = LONGEST_LIFE))]
    pub expires_in: Option<u64>,
}

/// What a token may do.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
#[expect(dead_code, reason = "only its schema is used: what is sent is read by its words")]
enum TokenRole {
    Reader,
    Developer,
    Builder,
    Admin,
    Service,
}

/// What a person may do.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
#[expect(dead_code, reason = "only its schema is used: what is sent is read by its words")]
enum PersonRole {
    Reader,
    Developer,
    Admin,
}

/// A token that was made: the only time that it is shown.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenAnswer {
    /// The token.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub info: TokenInfo,
}

/// What is kept of a token, without the token. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenInfo {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: String,
    /// The only repos that it is about; none for all.
    pub repos: Vec<String>,
    /// Who made it.
    pub maker: String,
    /// When it was made.
    #[schemars(with = "i64")]
    pub created: Micros,
    /// The last time it was shown, to the minute.
    #[schemars(with = "Option<i64>")]
    pub used: Option<Micros>,
    /// When it ends by itself.
    #[schemars(with = "Option<i64>")]
    pub expires: Option<Micros>,
    /// When it was revoked.
    #[schemars(with = "Option<i64>")]
    pub revoked: Option<Micros>,
}

/// Answer of `GET /api/v1/tokens`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenList {
    /// All tokens, the oldest first.
    pub tokens: Vec<TokenInfo>,
}

/// Body of `POST /api/v1/login-links`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkRequest {
    /// Who will be signed in by it; whoever asks, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    pub person: Option<String>,
    /// What they may do; `admin` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PersonRole>")]
    pub role: Option<String>,
}

/// A login link.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LinkAnswer {
    /// Its path, below the server's address.
    pub path: String,
    /// For how many seconds it works.
    pub seconds: u64,
}

/// A refusal of ours.
pub(crate) struct Failure(Box<Response>);

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Failure(Box::new(refusal(status, code, message)))
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request failed at the database");
        let status = match error.is_transient() {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, "database", "the database could not do it; the server's log says why")
    }
}

/// `GET /api/v1/whoami`
pub(crate) async fn whoami(viewer: Viewer) -> Json<WhoAnswer> {
    Json(WhoAnswer {
        who: viewer.who.to_string(),
        role: viewer.role.to_string(),
        known: viewer.known,
        repos: viewer.scope.map(|repos| repos.to_vec()).unwrap_or_default(),
    })
}

/// A path and a method with who may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteInfo {
    /// The path, with its parameters in braces.
    pub path: String,
    /// The method, or `*` for all.
    pub method: String,
    /// The role that it is for.
    pub role: String,
}

/// Answer of `GET /api/v1/routes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteList {
    /// All of them, by path.
    pub routes: Vec<RouteInfo>,
}

/// `GET /api/v1/routes`
pub(crate) async fn routes(State(access): State<Access>) -> Json<RouteList> {
    let table = access.0.table.get().map_or(&[][..], Vec::as_slice);
    let row = |entry: &transport::routes::Entry| RouteInfo {
        path: entry.path.clone(),
        method: entry.method.to_owned(),
        role: entry.role.to_string(),
    };
    Json(RouteList { routes: table.iter().map(row).collect() })
}

/// `GET /api/v1/openapi.json`
pub(crate) async fn document(State(access): State<Access>) -> Response {
    let text = access.0.document.get().cloned().unwrap_or_default();
    ([(http::header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn info(row: TokenRow) -> TokenInfo {
    TokenInfo {
        name: row.name,
        role: row.role,
        repos: row.scope.split_whitespace().map(str::to_owned).collect(),
        maker: row.maker,
        created: row.created,
        used: row.used,
        expires: row.expires,
        revoked: row.revoked,
    }
}

fn is_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.bytes().next().is_some_and(fine)
        && name.len() <= LONGEST_NAME
        && name.bytes().all(|byte| fine(byte) || b"._-".contains(&byte))
}

fn role(text: &str, fit: &[Role]) -> Result<Role, Failure> {
    let role = text.parse::<Role>().ok().filter(|role| fit.contains(role));
    let names: Vec<_> = fit.iter().map(|role| role.as_str()).collect();
    role.ok_or_else(|| Failure::bad(format!("{text:?} is not one of the roles {}", names.join(", "))))
}

fn built_in(name: &str) -> Failure {
    Failure::bad(format!(
        "{name:?} is the name of somebody who is built in, and would be their equal: take another"
    ))
}

/// `POST /api/v1/tokens`
pub(crate) async fn create(
    State(access): State<Access>,
    viewer: Viewer,
    Input(body): Input<TokenRequest>,
) -> Result<(StatusCode, Json<TokenAnswer>), Failure> {
    use Role::*;
    let role = role(&body.role, &[Reader, Developer, Builder, Admin, Service])?;
    for name in body.repos.iter().chain([&body.name]) {
        if !is_name(name) {
            return Err(Failure::bad(format!("{name:?} is not a name: [a-z0-9][a-z0-9._-]{{0,63}}")));
        }
    }
    if Viewer::is_built_in(&body.name) {
        return Err(built_in(&body.name));
    }
    let now = Micros::now();
    let expires = match body.expires_in {
        Some(seconds) if (1..=LONGEST_LIFE).contains(&seconds) => {
            Some(Micros(now.0.saturating_add_unsigned(seconds * 1_000_000)))
        }
        Some(_) => return Err(Failure::bad(format!("`expires_in` is from 1 to {LONGEST_LIFE}"))),
        None => None,
    };
    let token = make("bw_")?;
    let row = TokenRow {
        hash: secret::hash(&token),
        name: body.name,
        role: role.to_string(),
        scope: body.repos.join(" "),
        maker: viewer.who.to_string(),
        created: now,
        used: None,
        expires,
        revoked: None,
    };
    let mut tx = access.0.db.begin().await?;
    match tokens::insert(&mut tx, &row).await {
        Err(StoreError::Conflict(_)) => {
            let message = format!("there is a token {:?} already; revoke it first", row.name);
            return Err(Failure::new(StatusCode::CONFLICT, "exists", message));
        }
        written => written?,
    }
    let detail = format!("{} {}", row.role, row.scope);
    audit::append(&mut tx, deed(&viewer.who, "token_create", &row.name, detail.trim_end())).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(TokenAnswer { token, info: info(row) })))
}

/// `GET /api/v1/tokens`
pub(crate) async fn list(State(access): State<Access>) -> Result<Json<TokenList>, Failure> {
    let rows = tokens::list(&mut access.0.db.read().await?).await?;
    Ok(Json(TokenList { tokens: rows.into_iter().map(info).collect() }))
}

/// `DELETE /api/v1/tokens/{name}`
pub(crate) async fn revoke(
    State(access): State<Access>,
    viewer: Viewer,
    Path(name): Path<String>,
) -> Result<StatusCode, Failure> {
    let mut tx = access.0.db.begin().await?;
    let Some(hash) = tokens::revoke(&mut tx, &name, Micros::now()).await? else {
        let message = format!("no token {name:?} that is not revoked");
        return Err(Failure::new(StatusCode::NOT_FOUND, "not_found", message));
    };
    audit::append(&mut tx, deed(&viewer.who, "token_revoke", &name, "")).await?;
    tx.commit().await?;
    access.0.standings.end(&hash);
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/login-links`
pub(crate) async fn link(
    State(access): State<Access>,
    viewer: Viewer,
    body: Option<Input<LinkRequest>>,
) -> Result<Json<LinkAnswer>, Failure> {
    let body = body.map(|Input(body)| body).unwrap_or_default();
    let role = role(body.role.as_deref().unwrap_or("admin"), &[Role::Reader, Role::Developer, Role::Admin])?;
    let person = body.person.unwrap_or_else(|| viewer.who.to_string());
    if person.is_empty() || person.chars().count() > 256 || person.chars().any(char::is_control) {
        return Err(Failure::bad("not the name of a person"));
    }
    // Their own name they have already.
    if Viewer::is_built_in(&person) && person != *viewer.who {
        return Err(built_in(&person));
    }
    let path = access.login_link(&person, role).await?;
    access.note(&viewer.who, "login_link", &person, role.as_str()).await;
    Ok(Json(LinkAnswer { path, seconds: LINK.as_secs() }))
}
