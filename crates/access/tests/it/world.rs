//! An access layer before a few routes, with a database of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use access::{Access, AccessParts};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use futures::StreamExt as _;
use http::{HeaderMap, Request, header};
use store::{DatabaseUrl, Db, Dialect};
use tokio::sync::watch;
use tower::ServiceExt as _;
use transport::routes::{any, get, post};
use transport::{Role, Routes, Standing, Viewer};

pub const ADMIN: &str = "the-token-in-the-data-directory-0";

pub struct World {
    pub app: Router,
    pub access: Access,
    pub db: Db,
    pub config: watch::Sender<Arc<buildenv::Config>>,
    /// How often `/made` was made.
    pub made: Arc<AtomicUsize>,
    /// Who waits at `/wait`, until the sender says that something happened.
    pub waits: Arc<AtomicUsize>,
    pub happens: watch::Sender<bool>,
    /// How long what was shown last at `/stay` counts.
    pub stays: Arc<Mutex<Standing>>,
    _dir: tempfile::TempDir,
}

/// Says something, and then that there is more to come.
async fn follow() -> Body {
    let first = futures::stream::iter([Ok::<_, std::io::Error>("first")]);
    Body::from_stream(first.chain(futures::stream::pending()))
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The cookie that it sets, as it is sent back.
    pub fn cookie(&self) -> String {
        self.header(header::SET_COOKIE).split(';').next().unwrap().to_owned()
    }

    /// The value of a hidden field of the page.
    pub fn field(&self, name: &str) -> String {
        let (_, rest) = self.text.split_once(&format!("name=\"{name}\" value=\"")).expect("the field");
        rest.split('"').next().unwrap().to_owned()
    }
}

pub fn config(text: &str) -> Arc<buildenv::Config> {
    let sources = [buildenv::embedded("linux", "amd64"), buildenv::Source::server("server.toml", text)];
    let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    Arc::new(buildenv::load(&sources, &none, None).unwrap_or_else(|problems| panic!("{problems}")))
}

impl World {
    pub async fn new(dialect: Dialect) -> World {
        let dir = tempfile::tempdir().unwrap();
        let url = match dialect {
            Dialect::Sqlite => DatabaseUrl::Sqlite("bellwether.db".into()),
            #[cfg(feature = "postgres")]
            Dialect::Postgres => DatabaseUrl::Postgres(crate::pg::database().await),
            #[cfg(not(feature = "postgres"))]
            Dialect::Postgres => unreachable!("feature postgres is off"),
        };
        let db = Db::open(&url, dir.path()).await.unwrap();
        let (config, watched) = watch::channel(config(""));
        let parts = AccessParts {
            db: db.clone(),
            config: watched,
            admin_token: ADMIN.into(),
            data: dir.path().to_owned(),
        };
        let access = Access::new(parts);
        let who = |viewer: Viewer| async move { format!("{} {}", viewer.who, viewer.role) };
        let counter = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&counter);
        let (happens, happened) = watch::channel(false);
        let waits = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::clone(&waits);
        let wait = move || {
            let (mut happened, waiting) = (happened.clone(), Arc::clone(&waiting));
            async move {
                waiting.fetch_add(1, Relaxed);
                happened.wait_for(|happened| *happened).await.map(|_| "happened").unwrap_or("never")
            }
        };
        let stays = Arc::new(Mutex::new(Standing::lasting()));
        let stay = Arc::clone(&stays);
        let stay = move |viewer: Viewer| {
            *stay.lock().unwrap() = viewer.standing;
            async {}
        };
        let services = Routes::new()
            .route("/", get(Role::Reader, who))
            .route("/crowd", get(Role::Reader, crowd))
            .route("/made", get(Role::Reader, move || made(counted.fetch_add(1, Relaxed))))
            .route("/healthz", get(Role::Anonymous, || async { "ok" }))
            .route("/assets/style.css", get(Role::Anonymous, || async { "" }))
            .route("/order", post(Role::Developer, who))
            .route("/question", post(Role::Reader, |said: String| async { said }).reads())
            .route("/wait", any(Role::Reader, wait).waits())
            .route("/stay", get(Role::Developer, stay))
            .route("/follow", get(Role::Developer, follow))
            .route("/sees/{repo}", get(Role::Reader, sees));
        let app = access.before(access.with(services));
        World { app, access, db, config, made: counter, waits, happens, stays, _dir: dir }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.app.clone().oneshot(request).await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        Answer { status, headers, text: String::from_utf8(bytes.into()).unwrap() }
    }

    /// Asks with headers, given as name and value.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "ci.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers, "").await
    }

    /// Asks from an address.
    pub async fn from(&self, address: &str, forwarded: Option<&str>) -> Answer {
        self.looks_from(address, "/", forwarded).await
    }

    /// Asks for something from an address.
    pub async fn looks_from(&self, address: &str, path: &str, forwarded: Option<&str>) -> Answer {
        let mut request = Request::get(path).header(header::HOST, "ci.example");
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let address: SocketAddr = format!("{address}:9").parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(address));
        self.send(request).await
    }

    /// Sends JSON with a token.
    pub async fn order(&self, method: &str, path: &str, token: &str, body: serde_json::Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.ask(method, path, &headers, &body.to_string()).await
    }

    /// Sends a form.
    pub async fn form(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let headers: Vec<_> = kind.iter().chain(headers).copied().collect();
        self.ask("POST", path, &headers, body).await
    }

    /// Signs somebody in by a link, and returns the cookie.
    pub async fn sign_in(&self, person: &str, role: Role) -> String {
        let path = self.access.login_link(person, role).await.unwrap();
        let page = self.get(&path, &[]).await;
        let answer = self.form("/login", &[], &format!("token={}", page.field("token"))).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        answer.cookie()
    }

    /// The audit log as `actor action target detail`.
    pub async fn audit(&self) -> Vec<String> {
        let rows = store::audit::after(&mut self.db.read().await.unwrap(), 0, 1000).await.unwrap();
        let shown = |row: store::audit::AuditRow| {
            let deed = row.deed;
            format!("{} {} {} {}", deed.actor, deed.action, deed.target, deed.detail)
        };
        rows.into_iter().map(shown).collect()
    }
}

async fn sees(viewer: Viewer, axum::extract::Path(repo): axum::extract::Path<String>) -> String {
    viewer.sees_private(&repo).to_string()
}

/// Says how many were here at once at most.
/// Takes a moment.
async fn made(nth: usize) -> ([(header::HeaderName, &'static str); 1], String) {
    tokio::task::yield_now().await;
    ([(header::ETAG, "one")], nth.to_string())
}

async fn crowd() -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static HERE: AtomicUsize = AtomicUsize::new(0);
    let mut most = 0;
    HERE.fetch_add(1, Ordering::SeqCst);
    for _ in 0..50 {
        most = most.max(HERE.load(Ordering::SeqCst));
        tokio::task::yield_now().await;
    }
    HERE.fetch_sub(1, Ordering::SeqCst);
    most.to_string()
}
