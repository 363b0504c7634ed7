//! Who somebody is: the one layer before all routes, and the routes to sign in, to sign out and to make tokens.
//!
//! [`Access::before`] puts a [`transport::Viewer`] into each request, by a bearer token, by the cookie of a session, or
//! as a stranger; what a role may do is said by the routes themselves. It also holds strangers to a rate, asks for the
//! token of a form where a session gives an order, and writes refused orders into the audit log.

mod api;
mod cookie;
mod cut;
mod github;
mod guard;
mod limit;
mod oidc;
mod out;
mod page;
mod provider;
mod secret;
mod shared;
mod sign_in;
mod signature;
mod standing;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::{Router, middleware};
use http::Method;
use store::audit::{self, Deed};
use store::sessions::{self, SessionRow};
use store::{Db, Micros, StoreError};
use tokio::sync::{Semaphore, watch};
use transport::operation::{NameText, operation};
use transport::routes::{Entry, Nature, delete, get, post};
use transport::{Role, Routes, Viewer};

pub use api::{
    LinkAnswer, LinkRequest, RouteInfo, RouteList, TokenAnswer, TokenInfo, TokenList, TokenRequest, WhoAnswer,
};

/// How long a login link works.
const LINK: Duration = Duration::from_secs(600);

/// What the document of the API is of.
const TITLE: &str = "Bellwether";
/// What it says about all of it.
const ABOUT: &str = "Everything a page shows and everything a person may do. Names are `snake_case`; times are RFC 3339 \
    in UTC, except where a name ends in `_us` (microseconds since 1970). Lists go on at `next_cursor`. Every refusal has \
    one shape. Within v1 fields are only added, and one without a value may be left out: pass over those you do not know.";

/// What this is given.
#[derive(Debug)]
pub struct AccessParts {
    /// The database.
    pub db: Db,
    /// The configuration, as it changes.
    pub config: watch::Receiver<Arc<buildenv::Config>>,
    /// The token of the command line beside the server.
    pub admin_token: String,
    /// The folder that files with secrets are relative to.
    pub data: PathBuf,
}

/// Who somebody is. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access(Arc<Inner>);

/// By path, what each of its methods is.
type Natures = HashMap<String, Vec<(&'static str, Nature)>>;

#[derive(Debug)]
struct Inner {
    db: Db,
    config: watch::Receiver<Arc<buildenv::Config>>,
    admin: String,
    buckets: Mutex<limit::Buckets>,
    /// What strangers look at is made for so many of them at once.
    seats: Semaphore,
    /// Those of them who wait for something to happen.
    waiters: limit::Waiters,
    /// And in a crowd once for all who look at the same.
    shared: Mutex<shared::Shared>,
    /// Refusals of strangers that may still go into the audit log.
    refusals: Mutex<limit::Buckets>,
    table: OnceLock<Vec<Entry>>,
    /// Of paths that are asked for otherwise than their methods say.
    natures: OnceLock<Natures>,
    /// The OpenAPI document of all routes.
    document: OnceLock<String>,
    data: PathBuf,
    /// What counts still of what was shown, for what lasts longer than a request.
    standings: standing::Standings,
    /// Who was sent away to sign in.
    waiting: Mutex<provider::Waiting>,
}

impl Access {
    /// Makes one. It does nothing by itself.
    #[must_use]
    pub fn new(parts: AccessParts) -> Access {
        let AccessParts { db, config, admin_token, data } = parts;
        Access(Arc::new(Inner {
            db,
            config,
            admin: secret::hash(&admin_token),
            buckets: Mutex::default(),
            seats: Semaphore::new(limit::SEATS),
            waiters: limit::Waiters::default(),
            shared: Mutex::default(),
            refusals: Mutex::default(),
            table: OnceLock::new(),
            natures: OnceLock::new(),
            document: OnceLock::new(),
            data,
            standings: standing::Standings::default(),
            waiting: Mutex::default(),
        }))
    }

    /// Adds its own routes to those of the services.
    pub fn with(&self, services: Routes) -> Routes {
        use Role::{Admin, Anonymous, Reader};
        let own = Routes::new()
            .route("/login", get(Anonymous, sign_in::page).post(Anonymous, sign_in::by_link))
            .route("/login/oidc", get(Anonymous, oidc::away))
            .route("/login/oidc/callback", get(Anonymous, oidc::back))
            .route("/login/github", get(Anonymous, github::away))
            .route("/login/github/callback", get(Anonymous, github::back))
            .route("/logout", post(Anonymous, sign_in::out))
            .route(
                "/api/v1/whoami",
                get(Anonymous, api::whoami)
                    .about(operation("whoami", "Says who asks, and what they may.").answers::<WhoAnswer>()),
            )
            .route(
                "/api/v1/routes",
                get(Reader, api::routes).about(
                    operation("list_routes", "Lists all routes with their roles.").answers::<RouteList>(),
                ),
            )
            .route(
                "/api/v1/openapi.json",
                get(Anonymous, api::document).about(
                    operation("get_document", "Returns this document.")
                        .answers::<serde_json::Map<String, serde_json::Value>>(),
                ),
            )
            .route(
                "/api/v1/tokens",
                get(Admin, api::list)
                    .about(
                        operation("list_tokens", "Lists all tokens, the oldest first.")
                            .answers::<TokenList>(),
                    )
                    .post(Admin, api::create)
                    .about(
                        operation(
                            "create_token",
                            "Makes a token; this answer is the only one that shows it.",
                        )
                        .takes::<TokenRequest>()
                        .answers_with::<TokenAnswer>(201, "Made.")
                        .may_refuse(&[409]),
                    ),
            )
            .route(
                "/api/v1/tokens/{name}",
                delete(Admin, api::revoke).about(
                    operation("revoke_token", "Revokes a token.")
                        .part::<NameText>("name", "The token's name.")
                        .answers_nothing(204, "Revoked."),
                ),
            )
            .route(
                "/api/v1/login-links",
                post(Admin, api::link).about(
                    operation("create_login_link", "Makes a link by which somebody signs in once.")
                        .takes::<LinkRequest>()
                        .or_nothing()
                        .answers::<LinkAnswer>(),
                ),
            )
            .with_state(self.clone());
        let all = services.merge(own);
        let table = all.table();
        let _ = self.0.natures.set(natures(&table));
        let _ = self.0.table.set(table);
        let _ = self.0.document.set(all.document(TITLE, ABOUT).to_string());
        all
    }

    /// Puts the layer before routes.
    pub fn before(&self, routes: Routes) -> Router {
        routes
            .into_router()
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard))
            .layer(middleware::from_fn(transport::grpc::refusals))
    }

    /// Makes a link by which somebody signs in once, within ten minutes: a path.
    ///
    /// # Errors
    /// The database's; or without randomness.
    pub async fn login_link(&self, person: &str, role: Role) -> Result<String, StoreError> {
        let text = make("")?;
        let now = Micros::now();
        let link = session(&text, person, role, now, LINK);
        let mut tx = self.0.db.begin().await?;
        sessions::sweep(&mut tx, now).await?;
        sessions::insert_link(&mut tx, &link).await?;
        tx.commit().await?;
        Ok(format!("/login?token={text}"))
    }

    /// What asking for something is, by the route that answers it.
    fn nature(&self, request: &Request) -> Nature {
        let path = request.extensions().get::<MatchedPath>();
        let rows = path.and_then(|path| self.0.natures.get()?.get(path.as_str()));
        // As axum has it: GET answers HEAD, and a method that is named is not of those that all are.
        let method = match request.method() {
            method if method == Method::HEAD => "GET",
            method => method.as_str(),
        };
        let of = |wanted: &str| rows?.iter().find(|(one, _)| *one == wanted).map(|(_, nature)| *nature);
        of(method).or_else(|| of("*")).unwrap_or_default()
    }

    fn config(&self) -> Arc<buildenv::Config> {
        self.0.config.borrow().clone()
    }

    /// Whether browsers reach us by TLS only, so that a cookie can say so.
    fn secure(&self) -> bool {
        self.config().environment().url.starts_with("https://")
    }

    /// Takes a stranger's request out of the bucket of an address.
    fn take(&self, address: std::net::IpAddr) -> Result<(), Duration> {
        let config = self.config();
        let access = config.access();
        let rate = limit::Rate { per_second: access.strangers_per_second, burst: access.strangers_burst };
        self.0.buckets.lock().unwrap_or_else(PoisonError::into_inner).take(address, rate, Instant::now())
    }

    /// Writes into the audit log what somebody did; a failure is only logged.
    async fn note(&self, who: &str, action: &str, target: &str, detail: &str) {
        let noted = async {
            let mut tx = self.0.db.begin().await?;
            audit::append(&mut tx, deed(who, action, target, detail)).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::error!(%error, who, action, target, "not in the audit log");
        }
    }
}

fn natures(table: &[Entry]) -> Natures {
    let mut natures = Natures::new();
    for entry in table {
        natures.entry(entry.path.clone()).or_default().push((entry.method, entry.nature));
    }
    natures.retain(|_, rows| rows.iter().any(|(_, nature)| *nature != Nature::OfMethod));
    natures
}

fn make(kind: &str) -> Result<String, StoreError> {
    secret::make(kind).map_err(|error| StoreError::Other(error.to_string().into()))
}

fn session(text: &str, person: &str, role: Role, now: Micros, lasts: Duration) -> SessionRow {
    SessionRow {
        hash: secret::hash(text),
        person: person.to_owned(),
        role: role.to_string(),
        created: now,
        expires: Micros(now.0.saturating_add(i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX))),
    }
}

fn deed(who: &str, action: &str, target: &str, detail: &str) -> Deed {
    let (actor, action) = (who.to_owned(), action.to_owned());
    Deed { time: Micros::now(), actor, action, target: target.to_owned(), detail: detail.to_owned() }
}

/// Whether somebody is signed in by a cookie.
fn by_cookie(viewer: &Viewer) -> bool {
    viewer.csrf.is_some()
}
