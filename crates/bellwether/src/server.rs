//! The one port: who may do what, and the connections.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use http::{HeaderMap, header};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use transport::{Role, Routes, Viewer};

/// The file with the command line's token, in the data directory.
pub const TOKEN_FILE: &str = "admin-token";

/// Who may do what. The default is refusal: whatever is no plain reading needs the token.
pub struct Guard {
    token: String,
    /// Whether reading needs the token too.
    pub readers_only: bool,
}

impl Guard {
    /// Reads the token, or makes one.
    pub fn open(data: &Path) -> Result<Guard> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = data.join(TOKEN_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().len() >= 32 => {
                return Ok(Guard { token: text.trim().to_owned(), readers_only: false });
            }
            Ok(_) => bail!("{} holds no token: remove it, and a new one is made", path.display()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        }
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).context("the operating system gives no randomness")?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // Under another name until it is whole: half a token, on a disk that was full for a moment, would keep every later
        // start from going on. The data directory is ours alone, so nobody else writes here.
        let partial = path.with_extension("partial");
        match std::fs::remove_file(&partial) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("removing {}", partial.display()));
            }
            _ => {}
        }
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
        file.and_then(|mut file| writeln!(file, "{token}"))
            .and_then(|()| std::fs::rename(&partial, &path))
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(Guard { token, readers_only: false })
    }

    fn holds_token(&self, headers: &HeaderMap) -> bool {
        let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        said.and_then(|said| said.strip_prefix("Bearer ")).is_some_and(|said| same(said, &self.token))
    }
}

/// Compares in a time that does not tell how much of it was right.
fn same(said: &str, token: &str) -> bool {
    let differs = said.bytes().zip(token.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    said.len() == token.len() && differs == 0
}

async fn check(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let viewer = match guard.holds_token(request.headers()) {
        true => Viewer::known("admin", Role::Admin),
        false => Viewer::stranger(!guard.readers_only),
    };
    request.extensions_mut().insert(viewer);
    next.run(request).await
}

/// Puts the guard before routes.
pub fn guarded(routes: Routes, guard: Arc<Guard>) -> Router {
    routes.into_router().layer(middleware::from_fn_with_state(guard, check))
}

/// How an address that can't be had is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is an error.
    Refuse,
    /// Any free port will do.
    Another,
}

/// Opens the port.
pub async fn listen(address: &str, taken: Taken) -> Result<(TcpListener, SocketAddr)> {
    let listener = match TcpListener::bind(address).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && taken == Taken::Another => {
            TcpListener::bind("127.0.0.1:0").await
        }
        other => other,
    };
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!(
                "{address} is taken: another server runs there; end it, or choose another with --listen 127.0.0.1:0"
            )
        }
        Err(error) => return Err(error).with_context(|| format!("listening on {address}")),
    };
    let local = listener.local_addr()?;
    if !local.ip().is_loopback() {
        tracing::warn!(address = %local, "listening beyond this machine, without TLS: tokens and logs can be read on the way");
    }
    Ok((listener, local))
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> Result<()> {
    let served = axum::serve(listener, router).with_graceful_shutdown({
        let stop = stop.clone();
        async move { stop.cancelled().await }
    });
    tokio::select! {
        served = served => served.context("serving"),
        // Live tails never end by themselves.
        () = async { stop.cancelled().await; tokio::time::sleep(std::time::Duration::from_millis(200)).await } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http::Method;
    use tower::ServiceExt as _;
    use transport::ApiError;
    use transport::routes::get;

    #[tokio::test]
    async fn all_but_reading_needs_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let guard = Guard::open(dir.path()).unwrap();
        let token = guard.token.clone();
        assert_eq!(Guard::open(dir.path()).unwrap().token, token, "it is kept");
        let app = Routes::new().route(
            "/",
            get(Role::Reader, || async { "ok" })
                .post(Role::Developer, || async { "done" })
                .delete(Role::Admin, || async { "gone" }),
        );
        let app = guarded(app, Arc::new(guard));
        let ask = |method: Method, token: Option<String>| {
            let mut request = Request::builder().method(method).uri("/");
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let app = app.clone();
            async move { app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status() }
        };
        assert_eq!(ask(Method::GET, None).await, 200);
        let request = Request::put("/").header(header::AUTHORIZATION, format!("Bearer {token}"));
        let answer = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 405);
        assert!(answer.headers()[header::ALLOW].to_str().unwrap().contains("DELETE"));
        let body = axum::body::to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        let body: ApiError = serde_json::from_slice(&body).unwrap();
        assert_eq!((body.code.as_str(), body.request_id.len()), ("method", 26));
        for method in [Method::POST, Method::DELETE] {
            assert_eq!(ask(method.clone(), None).await, 401);
            assert_eq!(ask(method.clone(), Some(format!("{token}0"))).await, 401);
            assert_eq!(ask(method.clone(), Some(String::new())).await, 401);
            assert_eq!(ask(method, Some(token.clone())).await, 200);
        }
    }

    #[test]
    fn a_token_that_was_cut_short_by_a_full_disk_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        // As a start leaves it whose disk had room for the file and not for all of its content.
        std::fs::write(dir.path().join(TOKEN_FILE).with_extension("partial"), "0123456789abcdef").unwrap();
        let token = Guard::open(dir.path()).unwrap().token;
        assert_eq!(token.len(), 64);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[tokio::test]
    async fn where_reading_needs_the_token_only_health_and_looks_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let guard = Guard { readers_only: true, ..Guard::open(dir.path()).unwrap() };
        let ok = |role| get(role, || async { "ok" });
        let app = Routes::new()
            .route("/", ok(Role::Reader))
            .route("/healthz", ok(Role::Anonymous))
            .route("/assets/style.css", ok(Role::Anonymous));
        let app = guarded(app, Arc::new(guard));
        for (path, status) in [("/", 401), ("/healthz", 200), ("/assets/style.css", 200)] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            assert_eq!(app.clone().oneshot(request).await.unwrap().status(), status, "{path}");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_with_a_remedy() {
        let (held, address) = listen("127.0.0.1:0", Taken::Refuse).await.unwrap();
        let error = listen(&address.to_string(), Taken::Refuse).await.unwrap_err().to_string();
        assert!(error.contains("is taken") && error.contains("--listen"), "{error}");
        let (_, other) = listen(&address.to_string(), Taken::Another).await.unwrap();
        assert_ne!(other, address);
        drop(held);
    }
}
