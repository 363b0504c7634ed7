//! The typed client of the dashboard, for the services that report to it and the command line.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use transport::{CallError, Service, segment};

use crate::api::{
    ArtifactList, BranchAnswer, BranchUpdate, BuildList, BuildQuery, BuildReport, BuilderStatistics,
    CellWindow, EmptyCells, Expected, Failure, LogInfo, LogRange, LogSearch, LogState, MachineStatistics,
    RepoInfo, RepoUpdate, TestList, TestResult, TestRun, TestSource, TestsRead,
};

/// The longest that a log is read for results of tests.
const READ_TESTS: Duration = Duration::from_secs(600);

/// What was answered about a build; nothing where it was refused for good, so that nobody waits for it: a log may be private or gone.
///
/// # Errors
/// Those that are over some time.
pub fn known<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_transient() => Err(error),
        Err(error) => {
            tracing::warn!(%error, "something about a build that failed can't be had");
            Ok(None)
        }
    }
}

/// Whose log to read.
#[derive(Debug, Clone, Copy)]
pub enum LogOf<'a> {
    /// The last attempt of a build that has one.
    Build(&'a str),
    /// One attempt.
    Attempt(&'a str),
}

impl LogOf<'_> {
    fn path(self) -> String {
        match self {
            Self::Build(id) => format!("/api/v1/builds/{}/log", segment(id)),
            Self::Attempt(id) => format!("/api/v1/attempts/{}/log", segment(id)),
        }
    }
}

/// The dashboard, wherever it runs. Cheap to clone. Its calls fail with [`CallError`]; one that is refused
/// because of a newer fence or version has the code `stale`.
#[derive(Debug, Clone)]
pub struct DashboardClient {
    service: Service,
}

type Answer<T> = Result<T, CallError>;

impl DashboardClient {
    /// Makes a client of the dashboard behind a service.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self { service }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.service.get_json(path).await
    }

    async fn put<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &str, body: &B) -> Answer<T> {
        self.service.call_json(Method::PUT, path, Some(body)).await
    }

    /// Posts a repo's state.
    pub async fn put_repo(&self, repo: &str, update: &RepoUpdate) -> Answer<()> {
        self.put(&format!("/api/v1/repos/{}", segment(repo)), update).await
    }

    /// Lists the repos with their branches.
    pub async fn repos(&self) -> Answer<Vec<RepoInfo>> {
        self.get("/api/v1/repos").await
    }

    /// Posts a branch; the answer names commits whose details are to be posted again with it.
    pub async fn put_branch(&self, repo: &str, branch: &str, update: &BranchUpdate) -> Answer<BranchAnswer> {
        self.put(&format!("/api/v1/repos/{}/branches/{}", segment(repo), segment(branch)), update).await
    }

    /// Returns up to `limit` cells that are due and have no build.
    pub async fn empty_cells(&self, limit: u32) -> Answer<EmptyCells> {
        self.get(&format!("/api/v1/cells/empty?limit={limit}")).await
    }

    /// Returns the newest `limit` commits of a branch with all their cells.
    pub async fn cells(&self, repo: &str, branch: &str, limit: u32) -> Answer<CellWindow> {
        let (repo, branch) = (segment(repo), segment(branch));
        self.get(&format!("/api/v1/cells?repo={repo}&branch={branch}&limit={limit}")).await
    }

    /// Reports a build. The same report again is fine; an older one is refused with code `stale`.
    pub async fn put_build(&self, build: &BuildReport) -> Answer<()> {
        self.put(&format!("/api/v1/builds/{}", segment(&build.id)), build).await
    }

    /// Lists builds.
    pub async fn builds(&self, query: &BuildQuery) -> Answer<BuildList> {
        self.get(&format!("/api/v1/builds{}", build_query(query))).await
    }

    /// Returns a build, with its failure if it failed.
    pub async fn build(&self, id: &str) -> Answer<BuildReport> {
        self.get(&format!("/api/v1/builds/{}", segment(id))).await
    }

    /// Says how long builds of so many days wait and take by builder, and how often they fail.
    pub async fn statistics(&self, days: u32) -> Answer<Vec<BuilderStatistics>> {
        self.get(&format!("/statistics.json?days={days}")).await
    }

    /// Says what machines did in so many days, and how much of it was for nothing.
    pub async fn machine_statistics(&self, days: u32) -> Answer<Vec<MachineStatistics>> {
        self.get(&format!("/statistics/machines.json?days={days}")).await
    }

    /// Returns where a build failed, if it did and has a log.
    pub async fn failure(&self, id: &str) -> Answer<Option<Failure>> {
        self.get(&format!("/api/v1/builds/{}/failure", segment(id))).await
    }

    /// Opens an attempt's log for a fence: chunks of lower ones are refused from then on.
    pub async fn log_open(&self, attempt: &str, build: &str, fence: u64) -> Answer<LogState> {
        let (attempt, build) = (segment(attempt), segment(build));
        let path = format!("/api/v1/attempts/{attempt}/log/open?fence={fence}&build={build}");
        self.service.call_json::<(), _>(Method::POST, &path, None).await
    }

    /// Writes chunk `n`, which begins at `first_byte`; `raw_end` is how far the worker's own output is in the
    /// log with it. At most 256 KiB. The same chunk again is fine.
    pub async fn log_put(
        &self,
        attempt: &str,
        fence: u64,
        n: u64,
        first_byte: u64,
        raw_end: u64,
        bytes: Bytes,
    ) -> Answer<LogState> {
        let attempt = segment(attempt);
        let path = format!(
            "/api/v1/attempts/{attempt}/log/{n}?fence={fence}&first_byte={first_byte}&raw_end={raw_end}"
        );
        let request = self.request(Method::PUT, &path, Body::from(bytes))?;
        self.decode(&path, self.service.send_ok(request).await?).await
    }

    /// Says that an attempt's log is whole.
    pub async fn log_finish(&self, attempt: &str, fence: u64) -> Answer<LogState> {
        let path = format!("/api/v1/attempts/{}/log/finish?fence={fence}", segment(attempt));
        self.service.call_json::<(), _>(Method::POST, &path, None).await
    }

    /// Returns what is known of a log without reading it.
    pub async fn log_info(&self, of: LogOf<'_>) -> Answer<LogInfo> {
        self.get(&format!("{}/info", of.path())).await
    }

    /// Reads a log as a stream, exactly as it was written.
    pub async fn log(&self, of: LogOf<'_>, range: LogRange) -> Answer<Body> {
        let query = match range {
            LogRange::All => String::new(),
            LogRange::Bytes(from, to) => format!("?from={from}&to={to}"),
            LogRange::Lines(line, lines) => format!("?line={line}&lines={lines}"),
            LogRange::Follow(from) => format!("?from={from}&follow=true"),
        };
        let request = self.request(Method::GET, &format!("{}{query}", of.path()), Body::empty())?;
        Ok(self.service.send_ok(request).await?.into_body())
    }

    /// Reads a log into memory, refusing one of more than `limit` bytes.
    pub async fn log_bytes(&self, of: LogOf<'_>, range: LogRange, limit: usize) -> Answer<Bytes> {
        let body = self.log(of, range).await?;
        axum::body::to_bytes(body, limit).await.map_err(|error| malformed(&of.path(), &error))
    }

    /// Finds lines of a log that hold a text, or match it as a regular expression.
    pub async fn log_search(&self, of: LogOf<'_>, text: &str, regex: bool, limit: u32) -> Answer<LogSearch> {
        self.get(&format!("{}/search?q={}&regex={regex}&limit={limit}", of.path(), segment(text))).await
    }

    /// Writes an attempt's test results, replacing those of the same id, variant and kind.
    pub async fn put_tests(&self, attempt: &str, fence: u64, tests: Vec<TestResult>) -> Answer<()> {
        let path = format!("/api/v1/attempts/{}/tests?fence={fence}", segment(attempt));
        self.put(&path, &TestList { tests }).await
    }

    /// Reads an attempt's log for results of tests and writes them, as [`DashboardClient::put_tests`] does.
    pub async fn read_tests(&self, attempt: &str, fence: u64, source: &TestSource) -> Answer<TestsRead> {
        let path = format!("/api/v1/attempts/{}/tests/read?fence={fence}", segment(attempt));
        // It reads a log of up to a gigabyte.
        let service = self.service.clone().with_timeout(READ_TESTS);
        service.call_json(Method::POST, &path, Some(source)).await
    }

    /// Lists the test results of a build.
    pub async fn tests(&self, build: &str) -> Answer<TestList> {
        self.get(&format!("/api/v1/builds/{}/tests", segment(build))).await
    }

    /// Lists what a test of a repo did on all builders, the newest first; without builds that were made to tell why others failed.
    pub async fn test_history(&self, repo: &str, id: &str) -> Answer<Vec<TestRun>> {
        self.get(&format!("/tests.json?repo={}&id={}", segment(repo), segment(id))).await
    }

    /// Returns the newest commits of a branch with their cells of builders whose names hold this one.
    pub async fn cells_of(&self, repo: &str, branch: &str, builder: &str, limit: u32) -> Answer<CellWindow> {
        let (repo, branch, builder) = (segment(repo), segment(branch), segment(builder));
        self.get(&format!("/api/v1/cells?repo={repo}&branch={branch}&builder={builder}&limit={limit}")).await
    }

    /// Sends an artefact. It is refused with code `digest` if its content has another digest.
    pub async fn put_artifact(
        &self,
        attempt: &str,
        fence: u64,
        name: &str,
        sha256: &str,
        content: Body,
    ) -> Answer<()> {
        let (attempt, name, sha256) = (segment(attempt), segment(name), segment(sha256));
        let path = format!("/api/v1/attempts/{attempt}/artifacts/{name}?fence={fence}&sha256={sha256}");
        let request = self.request(Method::PUT, &path, content)?;
        self.service.send_ok(request).await.map(drop)
    }

    /// Lists the artefacts of a build.
    pub async fn artifacts(&self, build: &str) -> Answer<ArtifactList> {
        self.get(&format!("/api/v1/builds/{}/artifacts", segment(build))).await
    }

    /// Reads an artefact.
    pub async fn artifact(&self, attempt: &str, name: &str) -> Answer<Body> {
        let path = format!("/api/v1/attempts/{}/artifacts/{}", segment(attempt), segment(name));
        let request = self.request(Method::GET, &path, Body::empty())?;
        Ok(self.service.send_ok(request).await?.into_body())
    }

    /// Returns how long a build of this builder, repo and recipe (its digest) should take.
    pub async fn expected(&self, builder: &str, repo: &str, recipe: Option<&str>) -> Answer<Expected> {
        let mut path = format!("/api/v1/expected?builder={}&repo={}", segment(builder), segment(repo));
        if let Some(recipe) = recipe {
            path.push_str(&format!("&recipe={}", segment(recipe)));
        }
        self.get(&path).await
    }

    fn request(&self, method: Method, path: &str, body: Body) -> Answer<Request<Body>> {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(body)
            .map_err(|error| CallError::BadRequest(error.to_string()))
    }

    async fn decode<T: DeserializeOwned>(&self, path: &str, response: Response<Body>) -> Answer<T> {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .map_err(|error| malformed(path, &error))?;
        serde_json::from_slice(&bytes).map_err(|error| malformed(path, &error))
    }
}

fn malformed(path: &str, error: &dyn std::fmt::Display) -> CallError {
    CallError::Malformed { target: path.to_owned(), message: error.to_string() }
}

fn build_query(query: &BuildQuery) -> String {
    let limit = query.limit.map(|limit| limit.to_string());
    let pairs = [
        ("repo", query.repo.as_deref()),
        ("builder", query.builder.as_deref()),
        ("branch", query.branch.as_deref()),
        ("commit", query.commit.as_deref()),
        ("state", query.state.map(|state| state.as_str())),
        ("outcome", query.outcome.map(|outcome| outcome.as_str())),
        ("limit", limit.as_deref()),
        ("cursor", query.cursor.as_deref()),
    ];
    let mut text = String::new();
    for (name, value) in pairs {
        if let Some(value) = value {
            text.push(if text.is_empty() { '?' } else { '&' });
            text.push_str(&format!("{name}={}", segment(value)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_hold_anything() {
        assert_eq!(segment("release-branch.r1/x y"), "release-branch.r1%2Fx%20y");
        assert_eq!(segment("--upload-pack=x&é"), "--upload-pack%3Dx%26%C3%A9");
    }

    #[test]
    fn queries_name_what_is_given() {
        assert_eq!(build_query(&BuildQuery::default()), "");
        let query = BuildQuery { repo: Some("a".into()), limit: Some(3), ..BuildQuery::default() };
        assert_eq!(build_query(&query), "?repo=a&limit=3");
    }
}
