//! The overview: JSON for programs, failures as lines of text.

use std::collections::{BTreeSet, HashMap};

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{Method, StatusCode, header};
use serde::Serialize;
use store::legacy::commits::CommitRow;
use store::legacy::{commits, results, tags};
use store::{Micros, Reader};

use super::answer::Fault;
use super::call::{Call, Desk};
use super::{Dash, gojson, own};

/// Commits of a page.
pub(super) const PAGE: u32 = 30;
/// Pages further back, 10,000 commits, show nothing.
const LAST_PAGE: i64 = 333;

/// What became of a commit on a builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Ok,
    /// Failed, with what its log is called, or nothing.
    Failed(String),
}

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) repo: String,
    pub(super) hash: String,
    pub(super) parent: String,
    /// The main repository's commit, where it is a row of another.
    pub(super) go_hash: Option<String>,
    pub(super) time: Micros,
    pub(super) branch: String,
    pub(super) user: String,
    pub(super) desc: String,
    /// Cells by builder.
    pub(super) cells: HashMap<String, Cell>,
    /// Builders that have any result here, whatever it is of.
    pub(super) seen: BTreeSet<String>,
}

/// What is asked for.
pub(super) struct Wanted<'a> {
    /// A package, empty for the main one.
    pub(super) package: &'a str,
    /// A branch, empty for all.
    pub(super) branch: &'a str,
    /// Rows before these are left out.
    pub(super) skip: u32,
    /// Only these commits, if there are any.
    pub(super) hashes: Vec<&'a str>,
}

/// `/`
pub(super) async fn overview(State(desk): State<Desk>, request: Request) -> Response {
    let call = Call::new(desk, request);
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return failed(StatusCode::BAD_REQUEST, &format!("bad method: {}", call.method));
    }
    let answer = match call.form("mode") {
        "json" => json(&call).await,
        "failures" => failures(&call).await,
        // People have a better page than that.
        _ => return Redirect::temporary("/").into_response(),
    };
    answer.unwrap_or_else(|fault| failed(StatusCode::INTERNAL_SERVER_ERROR, &format!("Error: {}", fault.0)))
}

fn failed(status: StatusCode, text: &str) -> Response {
    let head =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, head, text.to_owned()).into_response()
}

#[derive(Serialize)]
struct Status<'a> {
    builders: Option<&'a [String]>,
    revisions: Option<Vec<Revision>>,
}

#[derive(Serialize)]
struct Revision {
    repo: String,
    revision: String,
    #[serde(rename = "parentRevisions")]
    parents: [String; 1],
    #[serde(rename = "goRevision", skip_serializing_if = "Option::is_none")]
    go_hash: Option<String>,
    date: String,
    branch: String,
    author: String,
    desc: String,
    results: Vec<String>,
}

async fn json(call: &Call) -> Result<Response, Fault> {
    let page = call.number("page").max(0);
    let wanted = wanted(call, page, "");
    let main = rows(&call.desk, &wanted).await?;
    let mut sections = Vec::new();
    // Programs ask for no branch.
    let branch = matches!(call.form("branch"), "" | "master" | "all" | "mixed");
    if page == 0 && wanted.package.is_empty() && wanted.hashes.is_empty() && branch {
        sections = sections_of(&call.desk).await?;
    }
    let builders = builders(&main);
    let link = link(call);
    let revisions: Vec<Revision> =
        main.into_iter().chain(sections).map(|row| revision(row, &builders, &link)).collect();
    let status = Status {
        builders: (!builders.is_empty()).then_some(&builders),
        revisions: (!revisions.is_empty()).then_some(revisions),
    };
    let head = [(header::CONTENT_TYPE, "text/json; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Ok((head, gojson::indented(&status)).into_response())
}

fn revision(row: Row, builders: &[String], link: &str) -> Revision {
    let cell = |builder: &String| match row.cells.get(builder) {
        None => String::new(),
        Some(Cell::Ok) => "ok".to_owned(),
        Some(Cell::Failed(log)) => format!("{link}{log}"),
    };
    Revision {
        results: builders.iter().map(cell).collect(),
        repo: row.repo,
        revision: row.hash,
        parents: [row.parent],
        go_hash: row.go_hash,
        date: gojson::second(row.time),
        branch: row.branch,
        author: row.user,
        desc: row.desc,
    }
}

async fn failures(call: &Call) -> Result<Response, Fault> {
    let branch = match call.form("branch") {
        "" => "master",
        "all" => "",
        branch => branch,
    };
    let branch = if call.form("repo").is_empty() { branch } else { "" };
    let main = rows(&call.desk, &wanted(call, call.number("page").max(0), branch)).await?;
    let (builders, link) = (builders(&main), link(call));
    let mut text = String::new();
    for row in &main {
        for builder in &builders {
            if let Some(Cell::Failed(log)) = row.cells.get(builder)
                && !log.is_empty()
            {
                text.push_str(&format!("{} {builder} {link}{log}\n", row.hash));
            }
        }
    }
    let head = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Ok((head, text).into_response())
}

fn wanted<'a>(call: &'a Call, page: i64, branch: &'a str) -> Wanted<'a> {
    let skip = u32::try_from(page).unwrap_or(u32::MAX).saturating_mul(PAGE);
    let hashes = call.all("hash").take(PAGE as usize).collect();
    Wanted { package: call.form("repo"), branch, skip, hashes }
}

/// What stands before the name of a log.
fn link(call: &Call) -> String {
    let config = call.desk.dashboard.config();
    let secure = config.environment().url.starts_with("https:");
    let scheme = if secure { "https" } else { "http" };
    format!("{scheme}://{}{}/log/", call.host(), call.desk.dash.prefix())
}

/// Builders with any result, in the original's order.
fn builders(rows: &[Row]) -> Vec<String> {
    let all: BTreeSet<&String> = rows.iter().flat_map(|row| &row.seen).collect();
    let mut all: Vec<String> = all.into_iter().cloned().collect();
    all.sort_by_key(|name| priority(name));
    all
}

fn priority(name: &str) -> u32 {
    let os = name.split('-').next().unwrap_or_default();
    let by_os = match os {
        "all" => 0,
        _ if name.contains("-race") => 2,
        "darwin" | "freebsd" | "linux" | "windows" => 1,
        "android" => 3,
        "openbsd" => 4,
        "netbsd" => 5,
        "dragonfly" => 6,
        _ => 10,
    };
    by_os + if name.ends_with("-temp") { 20 } else { 0 }
}

/// A page of rows: what was posted and what was built here, the newest first.
async fn rows(desk: &Desk, wanted: &Wanted<'_>) -> Result<Vec<Row>, Fault> {
    if i64::from(wanted.skip / PAGE) > LAST_PAGE {
        return Ok(Vec::new());
    }
    let own = own::rows(desk, wanted).await?;
    let mut reader = desk.dashboard.db().read().await?;
    if own.is_empty() {
        return posted(desk, &mut reader, wanted, PAGE, wanted.skip).await;
    }
    let posted = posted(desk, &mut reader, wanted, wanted.skip + PAGE, 0).await?;
    drop(reader);
    let page = merged(posted, own).into_iter().skip(wanted.skip as usize).take(PAGE as usize);
    let mut page: Vec<Row> = page.collect();
    own::complete(desk, wanted.package, &mut page).await?;
    Ok(page)
}

/// Two lists into one. Each keeps its order; of two heads the newer comes first. A commit of both is one row, as it was posted.
fn merged(posted: Vec<Row>, own: Vec<Row>) -> Vec<Row> {
    let both: BTreeSet<String> = posted.iter().map(|row| row.hash.clone()).collect();
    let mut out = Vec::with_capacity(posted.len() + own.len());
    let mut own = own.into_iter().filter(|row| !both.contains(&row.hash)).peekable();
    for row in posted {
        while let Some(newer) = own.next_if(|other| other.time > row.time) {
            out.push(newer);
        }
        out.push(row);
    }
    out.extend(own);
    out
}

async fn posted(
    desk: &Desk,
    reader: &mut Reader,
    wanted: &Wanted<'_>,
    limit: u32,
    offset: u32,
) -> Result<Vec<Row>, Fault> {
    let (dash, package) = (desk.dash.name(), wanted.package);
    let mut found = Vec::new();
    if wanted.hashes.is_empty() {
        // Another package has no branches here.
        let branch = if package.is_empty() { wanted.branch } else { "" };
        found = commits::newest(reader, dash, package, branch, limit, offset).await?;
    } else {
        for hash in &wanted.hashes {
            found.extend(commits::get(reader, dash, package, hash).await?);
        }
    }
    with_results(desk, reader, package, found, "go", None).await
}

async fn with_results(
    desk: &Desk,
    reader: &mut Reader,
    package: &str,
    found: Vec<CommitRow>,
    repo: &str,
    go_hash: Option<&str>,
) -> Result<Vec<Row>, Fault> {
    let hashes: Vec<&str> = found.iter().map(|commit| commit.hash.as_str()).collect();
    let all = results::of(reader, desk.dash.name(), package, &hashes).await?;
    let mut rows: Vec<Row> = found.into_iter().map(|commit| row(commit, repo, go_hash)).collect();
    let mut at: HashMap<String, usize> = HashMap::new();
    for (n, row) in rows.iter().enumerate() {
        at.insert(row.hash.clone(), n);
    }
    for result in all {
        let Some(row) = at.get(&result.hash).and_then(|at| rows.get_mut(*at)) else { continue };
        row.seen.insert(result.builder.clone());
        if result.go_hash == go_hash.unwrap_or_default() {
            let cell = if result.ok { Cell::Ok } else { Cell::Failed(result.log_hash) };
            row.cells.insert(result.builder, cell);
        }
    }
    Ok(rows)
}

fn row(commit: CommitRow, repo: &str, go_hash: Option<&str>) -> Row {
    Row {
        repo: repo.to_owned(),
        hash: commit.hash,
        parent: commit.parent,
        go_hash: go_hash.map(str::to_owned),
        time: commit.time,
        branch: commit.branch,
        user: commit.user,
        desc: commit.desc,
        cells: HashMap::new(),
        seen: BTreeSet::new(),
    }
}

/// The latest commit of each other package against the main one's tip, then against each release.
async fn sections_of(desk: &Desk) -> Result<Vec<Row>, Fault> {
    if desk.dash != Dash::Go {
        return Ok(Vec::new());
    }
    let dash = desk.dash.name();
    let config = desk.dashboard.config();
    let mut own = own::sections(desk).await?;
    let mut reader = desk.dashboard.db().read().await?;
    let mut all = tags::list(&mut reader, dash).await?;
    all.retain(|tag| tag.kind == "tip" || own::is_release(&config, &tag.name));
    all.sort_by_key(|tag| (tag.kind != "tip", tag.name.clone()));
    let mut sections: Vec<(String, Vec<Row>)> = Vec::new();
    for tag in all {
        let mut rows = Vec::new();
        for package in desk.configured().into_iter().filter(|package| package.kind == "subrepo") {
            let latest = commits::latest(&mut reader, dash, &package.path).await?;
            let latest = latest.into_iter().collect();
            rows.extend(
                with_results(desk, &mut reader, &package.path, latest, &package.name, Some(&tag.hash))
                    .await?,
            );
        }
        sections.push((tag.name, rows));
    }
    for (name, rows) in &mut sections {
        if let Some(at) = own.iter().position(|(other, _)| other == name) {
            let (_, mine) = own.remove(at);
            *rows = with_own(std::mem::take(rows), mine);
        }
    }
    sections.extend(own);
    sections.sort_by_key(|(name, _)| name.clone());
    Ok(sections.into_iter().flat_map(|(_, rows)| rows).collect())
}

/// Adds what was built here to a section; equal rows become one.
fn with_own(mut rows: Vec<Row>, own: Vec<Row>) -> Vec<Row> {
    for mine in own {
        let same =
            |row: &&mut Row| (&row.repo, &row.hash, &row.go_hash) == (&mine.repo, &mine.hash, &mine.go_hash);
        match rows.iter_mut().find(same) {
            Some(row) => {
                for (builder, cell) in mine.cells {
                    row.cells.entry(builder).or_insert(cell);
                }
            }
            None => rows.push(mine),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders_are_in_the_original_s_order() {
        let mut names = vec![
            "plan9-386",
            "linux-amd64-race",
            "all-compile",
            "windows-amd64",
            "linux-amd64-temp",
            "linux-386",
            "dragonfly-amd64",
            "netbsd-386",
            "openbsd-386",
            "android-arm",
            "darwin-amd64",
        ];
        names.sort_by_key(|name| (priority(name), *name));
        let expected = [
            "all-compile",
            "darwin-amd64",
            "linux-386",
            "windows-amd64",
            "linux-amd64-race",
            "android-arm",
            "openbsd-386",
            "netbsd-386",
            "dragonfly-amd64",
            "plan9-386",
            "linux-amd64-temp",
        ];
        assert_eq!(names, expected);
    }

    fn at(hash: &str, seconds: i64, builder: &str, cell: Cell) -> Row {
        Row {
            repo: "go".into(),
            hash: hash.into(),
            parent: String::new(),
            go_hash: None,
            time: Micros(seconds * 1_000_000),
            branch: "master".into(),
            user: String::new(),
            desc: String::new(),
            cells: HashMap::from([(builder.to_owned(), cell)]),
            seen: BTreeSet::from([builder.to_owned()]),
        }
    }

    #[test]
    fn what_was_posted_and_what_was_built_here_is_one_list() {
        let posted = vec![at("c", 3, "x", Cell::Ok), at("a", 9, "x", Cell::Failed("1".into()))];
        let own = vec![at("d", 5, "y", Cell::Ok), at("a", 9, "y", Cell::Ok), at("b", 2, "y", Cell::Ok)];
        let rows = merged(posted, own);
        let hashes: Vec<_> = rows.iter().map(|row| row.hash.as_str()).collect();
        assert_eq!(hashes, ["d", "c", "a", "b"], "what was posted keeps its own order");
        assert_eq!(rows[2].cells["x"], Cell::Failed("1".into()));
        assert_eq!(builders(&rows), ["x", "y"]);
    }
}
