//! Files on their way to and from machines: uploaded by a form, fetched by an address, each with a signature that ends.
//!
//! The form is that of the cloud storage which the original's clients post to: fields as they were given (here none), the file
//! last, and 204 for an answer. An address by which something is fetched is good for as long.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest as _, Multipart, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use sha2::Sha256;
use store::{Micros, ObjectError, Objects};
use transport::Role;
use transport::routes::{Routes, get, post, refusal};

use crate::clock::SharedClock;

/// How long an upload may begin, or an address be fetched.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// The largest file.
const LARGEST: u64 = 4 << 30;
/// Where the files are asked for.
pub(super) const PATH: &str = "/gomote/objects/";
/// Where they lie in the object store.
const FOLDER: &str = "gomote";

/// Files on their way.
#[derive(Clone)]
pub(crate) struct Files {
    objects: Objects,
    clock: SharedClock,
    /// Signs; new with every start.
    key: Arc<[u8; 32]>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

/// What may be done with a file for a while.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Permit {
    /// The file's name.
    #[serde(default)]
    pub name: String,
    /// Seconds since 1970.
    pub until: i64,
    /// Over both and the deed, in hexadecimal digits.
    pub signature: String,
}

impl Files {
    pub fn new(objects: Objects, clock: SharedClock) -> Files {
        let mut key = [0; 32];
        clock.random(&mut key);
        Files { objects, clock, key: Arc::new(key) }
    }

    /// A name that nobody can guess.
    pub(super) fn new_name(&self) -> String {
        let mut random = [0; 16];
        self.clock.random(&mut random);
        hex::encode(random)
    }

    pub(super) fn permit(&self, deed: &str, name: &str) -> Permit {
        let until = (self.clock.now() + GOOD_FOR).0 / 1_000_000;
        let signature = hex::encode(self.mac(deed, name, until).finalize().into_bytes());
        Permit { name: name.to_owned(), until, signature }
    }

    fn mac(&self, deed: &str, name: &str, until: i64) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&*self.key).expect("invariant: a key of HMAC may have any length");
        mac.update(format!("{deed}\n{name}\n{until}").as_bytes());
        mac
    }

    fn is_good(&self, deed: &str, permit: &Permit) -> bool {
        let Ok(signature) = hex::decode(&permit.signature) else { return false };
        let signed = self.mac(deed, &permit.name, permit.until).verify_slice(&signature).is_ok();
        signed && permit.until >= self.clock.now().0 / 1_000_000
    }

    /// Keeps a file under a name.
    pub(super) async fn keep(
        &self,
        name: &str,
        bytes: BoxStream<'_, io::Result<Bytes>>,
    ) -> Result<u64, ObjectError> {
        let mut kept = 0;
        let bounded = bytes.map(move |chunk| {
            let chunk = chunk?;
            kept += chunk.len() as u64;
            if kept > LARGEST {
                return Err(io::Error::other(format!("it is larger than {} GiB", LARGEST >> 30)));
            }
            Ok(chunk)
        });
        self.objects.put_stream(&format!("{FOLDER}/{name}"), bounded).await
    }

    /// Reads a file.
    pub(super) async fn read(
        &self,
        name: &str,
    ) -> Result<(u64, BoxStream<'static, io::Result<Bytes>>), ObjectError> {
        let plain = name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !plain {
            return Err(ObjectError::NotFound(name.to_owned()));
        }
        let (size, bytes) = self.objects.get_stream(&format!("{FOLDER}/{name}")).await?;
        Ok((size, bytes.map_err(io::Error::other).boxed()))
    }

    /// Takes away what came before that moment. Returns how many there were.
    pub async fn sweep(&self, before: Micros) -> u64 {
        let mut removed = 0;
        for object in self.objects.list(FOLDER).await.unwrap_or_default() {
            if object.made < before && self.objects.delete(&object.path).await.is_ok() {
                removed += 1;
            }
        }
        removed
    }
}

pub(super) fn routes(files: Files) -> Routes {
    // Whoever has a signature of ours may, and nobody else: programs that fetch or post a file show no token.
    Routes::new()
        .route(
            "/gomote/objects/{name}/{until}/{signature}/",
            post(Role::Anonymous, upload).streams_its_body(),
        )
        .route("/gomote/objects/{name}", get(Role::Anonymous, fetch))
        .with_state(files)
}

fn refused(message: &str) -> Response {
    refusal(StatusCode::FORBIDDEN, "forbidden", message)
}

async fn upload(
    State(files): State<Files>,
    Path(permit): Path<Permit>,
    request: axum::extract::Request,
) -> Response {
    if !files.is_good("put", &permit) {
        return refused("this address was not given out here, or its time is over; ask for another");
    }
    let mut form = match Multipart::from_request(request, &()).await {
        Ok(form) => form,
        Err(error) => return bad(&error.body_text()),
    };
    loop {
        let field = match form.next_field().await {
            Ok(Some(field)) => field,
            Ok(None) => return bad("the form has no file"),
            Err(error) => return bad(&format!("the form can't be read: {error}")),
        };
        if field.file_name().is_none() {
            continue;
        }
        let chunks = stream::try_unfold(field, async |mut field| {
            let chunk = field.chunk().await.map_err(io::Error::other)?;
            Ok(chunk.map(|chunk| (chunk, field)))
        });
        return match files.keep(&permit.name, chunks.boxed()).await {
            Ok(_) => StatusCode::NO_CONTENT.into_response(),
            Err(error @ ObjectError::Source { .. }) => bad(&error.to_string()),
            Err(error) => {
                tracing::warn!(%error, "an uploaded file can't be kept");
                refusal(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the file can't be kept now")
            }
        };
    }
}

fn bad(message: &str) -> Response {
    refusal(StatusCode::BAD_REQUEST, "bad_request", message)
}

async fn fetch(
    State(files): State<Files>,
    Path(name): Path<String>,
    Query(permit): Query<Permit>,
) -> Response {
    if !files.is_good("get", &Permit { name: name.clone(), ..permit }) {
        return refused("this address was not given out here, or its time is over; ask for another");
    }
    match files.read(&name).await {
        Ok((size, bytes)) => {
            let mut response = Response::new(Body::from_stream(bytes));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(header::CONTENT_LENGTH, size.into());
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(ObjectError::NotFound(_)) => {
            refusal(StatusCode::NOT_FOUND, "not_found", "there is no such file any more")
        }
        Err(error) => {
            tracing::warn!(%error, "a file can't be read");
            refusal(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the file can't be read now")
        }
    }
}
