//! The pages and the API.

mod api;
mod archive;
mod merge;
mod pages;

pub use api::{Ancestor, Landed, Parents, Refs, Resolved};
use axum::Router;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
pub use merge::Merged;
use transport::operation::{NameText, operation};
use transport::routes::{any, get, post, refusal};
use transport::{Role, Routes, Viewer};

use crate::demand::DemandError;
use crate::repo::SharedRepo;
use crate::{Mirror, RepoState};

/// Gives all pages and the API of a mirror that is a service of its own.
pub fn router(mirror: &Mirror) -> Router {
    routes(mirror).into_router()
}

/// The same, each route with its role.
pub fn routes(mirror: &Mirror) -> Routes {
    let health = Routes::new().route("/healthz", get(Role::Anonymous, pages::healthz));
    routes_within(mirror).merge(health.with_state(mirror.clone()))
}

/// Gives the pages and the API of a mirror within a larger service, which has its own `/healthz`.
pub fn routes_within(mirror: &Mirror) -> Routes {
    use Role::{Anonymous, Developer, Reader};
    let of = |id, summary| operation(id, summary).part::<NameText>("repo", "The repository.");
    // Whatever looks up a revision may have to fetch it.
    let looks = |id, summary| of(id, summary).may_refuse(&[502, 504, 507]);
    Routes::new()
        .route("/{file}", any(Reader, archive::archive))
        .route("/debug/watcher/", get(Reader, pages::watcher))
        .route("/debug/watcher/{repo}", get(Reader, pages::watcher_repo))
        .route("/mirror", get(Reader, pages::list))
        .route("/mirror/", get(Reader, pages::list))
        .route("/mirror/healthz", get(Anonymous, pages::healthz))
        .route(
            "/mirror/status.json",
            get(Reader, api::states).about(
                operation("list_mirrors", "Lists the mirrors and their states.").answers::<Vec<RepoState>>(),
            ),
        )
        .route(
            "/mirror/{repo}/status.json",
            get(Reader, api::state)
                .about(of("get_mirror", "Returns the state of a mirror.").answers::<RepoState>()),
        )
        .route(
            "/mirror/{repo}/hint",
            post(Developer, api::hint).about(
                of("hint_mirror", "Says that the source may have news; it is looked at now.")
                    .query::<api::HintQuery>()
                    .answers::<RepoState>()
                    .answers_with::<RepoState>(202, "It will be looked at.")
                    .may_refuse(&[504]),
            ),
        )
        .route(
            "/mirror/{repo}/resolve",
            get(Reader, api::resolve).about(
                looks("resolve_revision", "Finds the commit of a branch, a tag or a short name of a commit.")
                    .query::<api::RevQuery>()
                    .answers::<api::Resolved>(),
            ),
        )
        .route(
            "/mirror/{repo}/parents",
            get(Reader, api::parents).about(
                looks("get_parents", "Returns the parents of a commit.")
                    .query::<api::RevQuery>()
                    .answers::<api::Parents>(),
            ),
        )
        .route(
            "/mirror/{repo}/file",
            get(Reader, api::file).about(
                looks("get_file", "Reads a file of at most 1 MiB as it is at a revision.")
                    .query::<api::FileQuery>()
                    .answers_bytes(200, "application/octet-stream", "The file.")
                    .may_refuse(&[413]),
            ),
        )
        .route(
            "/mirror/{repo}/tree",
            get(Reader, api::tree).about(
                looks("list_tree", "Lists the files of a revision, three folders deep, at most 5000.")
                    .query::<api::RevQuery>()
                    .answers::<Vec<String>>(),
            ),
        )
        .route(
            "/mirror/{repo}/submodules",
            get(Reader, api::submodules).about(
                looks("list_submodules", "Lists the paths of the submodules of a revision.")
                    .query::<api::RevQuery>()
                    .answers::<Vec<String>>(),
            ),
        )
        .route(
            "/mirror/{repo}/refs",
            get(Reader, api::refs).about(of("list_refs", "Lists branches and tags.").answers::<api::Refs>()),
        )
        .route(
            "/mirror/{repo}/ancestor",
            get(Reader, api::ancestor).about(
                looks("is_ancestor", "Says whether a commit is in the history of another.")
                    .query::<api::AncestorQuery>()
                    .answers::<api::Ancestor>(),
            ),
        )
        .route(
            "/mirror/{repo}/landed",
            get(Reader, api::landed).about(
                looks("is_landed", "Says whether a branch or a tag has a commit in its history.")
                    .query::<api::LandedQuery>()
                    .answers::<api::Landed>(),
            ),
        )
        .route(
            "/mirror/{repo}/merge",
            post(Developer, merge::merge).about(
                looks(
                    "merge_commits",
                    "Says what a commit is with another one merged onto it, or where the two conflict.",
                )
                .query::<merge::MergeQuery>()
                .answers::<merge::Merged>(),
            ),
        )
        .route(
            "/mirror/{repo}/bundle",
            get(Reader, api::bundle)
                .about(
                    looks("get_bundle", "Returns the history of a revision as a git bundle.")
                        .query::<api::BundleQuery>()
                        .answers_bytes(200, "application/x-git-bundle", "The bundle.")
                        .may_refuse(&[413]),
                )
                .put(Developer, api::import)
                .about(
                    of(
                        "put_bundle",
                        "Takes a git bundle with a commit that no branch has, so that it can be built.",
                    )
                    .query::<api::ImportQuery>()
                    .takes_bytes()
                    .answers::<api::Resolved>()
                    .may_refuse(&[413, 422, 507]),
                )
                .streams_its_body(),
        )
        .with_state(mirror.clone())
}

/// A refusal of the API, in its one shape.
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Refusal { status, code, message: message.into() }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Refusal::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// The same as plain text, as the original answers.
    pub(crate) fn plain(self) -> Response {
        (self.status, format!("{}\n", self.message)).into_response()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        refusal(self.status, self.code, self.message)
    }
}

impl From<git::Error> for Refusal {
    fn from(error: git::Error) -> Self {
        use git::Error::*;
        let (status, code) = match &error {
            NotFound { .. }
            | NeedsCredentials { .. }
            | Unreachable { .. }
            | Corrupt { .. }
            | Empty { .. } => (StatusCode::BAD_GATEWAY, "source"),
            NoSuchRevision { .. } => (StatusCode::NOT_FOUND, "not_found"),
            TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            NoSpace { .. } => (StatusCode::INSUFFICIENT_STORAGE, "no_space"),
            Timeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "git"),
        };
        Refusal::new(status, code, error.to_string())
    }
}

/// Whether a repository exists for somebody.
pub(crate) fn seen(repo: &SharedRepo, viewer: &Viewer) -> bool {
    !repo.settings().private || viewer.sees_private(&repo.name)
}

/// Finds a repository by its name, if it exists for the viewer.
pub(crate) fn repo(mirror: &Mirror, viewer: &Viewer, name: &str) -> Result<SharedRepo, Refusal> {
    let found = mirror.repo(name).filter(|repo| seen(repo, viewer));
    found.ok_or_else(|| Refusal::not_found(format!("unknown repository {name:?}")))
}

/// The same, for an order.
pub(crate) fn repo_to_order(mirror: &Mirror, viewer: &Viewer, name: &str) -> Result<SharedRepo, Refusal> {
    let found = repo(mirror, viewer, name)?;
    if viewer.may_order(name) {
        return Ok(found);
    }
    Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", format!("{} is not for {name}", viewer.who)))
}

/// Finds a commit by its revision, here or at the source.
pub(crate) async fn commit(repo: &SharedRepo, rev: Option<&String>) -> Result<git::ObjectId, Refusal> {
    let rev = rev.map(String::as_str).filter(|rev| !rev.is_empty());
    let rev = rev.ok_or_else(|| Refusal::bad("the parameter rev is missing or empty"))?;
    repo.commit(rev).await.map_err(|error| match error {
        DemandError::BadRevision(error) => Refusal::bad(error.to_string()),
        DemandError::Unknown(rev) => {
            Refusal::not_found(format!("unknown revision {rev:?} in repository {}", repo.name))
        }
        DemandError::Source(error) => {
            let refusal = Refusal::new(StatusCode::BAD_GATEWAY, "source", error.to_string());
            match &*error {
                git::Error::Timeout { .. } => Refusal { status: StatusCode::GATEWAY_TIMEOUT, ..refusal },
                git::Error::NoSpace { .. } => Refusal { status: StatusCode::INSUFFICIENT_STORAGE, ..refusal },
                _ => refusal,
            }
        }
    })
}
