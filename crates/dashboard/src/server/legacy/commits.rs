//! Commits, tags and packages.

use buildenv::Config;
use http::Method;
use serde::Serialize;
use store::legacy::commits::CommitRow;
use store::legacy::tags::TagRow;
use store::legacy::{commits, packages as numbers, tags};
use store::{Conn, Tx};

use super::answer::{Fault, NO_ENTITY, Outcome, null};
use super::call::{Call, Desk};
use super::input::{Input, NO_TIME, cut};
use super::{Dash, bench, gojson};

/// The most bytes of a message that are kept.
const LONGEST_DESC: usize = 500;
/// What a watcher must say it speaks.
const WATCHER_VERSION: i64 = 3;
/// Only a watcher that knows of measuring posts commits.
const MARK: &str = "\"NeedsBenchmarking\"";

/// A package: the main repository, or one that is built against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Package {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) next_num: i64,
}

impl Desk {
    /// The packages that the configuration names, the main one first, the others by path.
    pub(super) fn configured(&self) -> Vec<Package> {
        let main = |kind, name: &str| Package { kind, name: name.into(), path: String::new(), next_num: 1 };
        match self.dash {
            Dash::Gccgo => vec![main("gccgo", "Gccgo")],
            Dash::Go => {
                let mut all = vec![main("go", "Go")];
                all.extend(subrepos(&self.dashboard.config()));
                all
            }
        }
    }

    /// Checks that a package is one.
    pub(super) fn package(&self, path: &str) -> Result<Package, Fault> {
        let found = self.configured().into_iter().find(|package| package.path == path);
        found.ok_or_else(|| Fault(format!("package {} not found", super::keys::quoted(path))))
    }

    /// Begins a write: there is one at a time in a dashboard.
    pub(super) async fn begin(&self) -> Result<Tx, Fault> {
        let mut tx = self.dashboard.db().begin().await?;
        numbers::lock(&mut tx, self.dash.name(), "").await?;
        Ok(tx)
    }
}

fn subrepos(config: &Config) -> Vec<Package> {
    let main = config.dashboard_main();
    let others = config.repos().iter().filter(|repo| Some(&repo.name) != main);
    let mut packages: Vec<Package> = others
        .filter_map(|repo| repo.import_path.clone())
        .filter(|path| !path.is_empty())
        .map(|path| Package {
            kind: "subrepo",
            name: path.rsplit('/').next().unwrap_or(&path).to_owned(),
            path,
            next_num: 1,
        })
        .collect();
    packages.sort_by(|a, b| a.path.cmp(&b.path));
    packages.dedup_by(|a, b| a.path == b.path);
    packages
}

/// A commit as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shown {
    package_path: String,
    hash: String,
    parent_hash: String,
    num: i64,
    user: String,
    desc: String,
    time: String,
    needs_benchmarking: bool,
    try_patch: bool,
    branch: String,
    result_data: Option<Vec<String>>,
    perf_results: Option<Vec<String>>,
    fail_notification_sent: bool,
}

/// Shows a commit without its results.
pub(super) fn shown(package: &str, row: CommitRow, perf_results: Option<Vec<String>>) -> Shown {
    Shown {
        package_path: package.to_owned(),
        hash: row.hash,
        parent_hash: row.parent,
        num: row.num,
        user: row.user,
        desc: row.desc,
        time: gojson::time(row.time),
        needs_benchmarking: row.bench,
        try_patch: row.try_patch,
        branch: row.branch,
        result_data: perf_results.as_ref().map(|_| Vec::new()),
        perf_results,
        fail_notification_sent: row.notified,
    }
}

/// `/commit`
pub(super) async fn commit(mut call: Call) -> Outcome {
    match call.method {
        Method::GET => return get(&call).await,
        Method::POST => {}
        _ => return Err(call.bad_method()),
    }
    if !call.desk.dashboard.builder_keys().is_master(call.form("key")) {
        return Call::refuse("can only POST commits with master key");
    }
    let version = call.number("version");
    if call.desk.dash == Dash::Go && version != WATCHER_VERSION {
        return Err(Fault(format!(
            "rejecting POST from commit watcher; need version {WATCHER_VERSION} instead of {version}"
        )));
    }
    let body = call.body().await?;
    if !body.windows(MARK.len()).any(|part| part == MARK.as_bytes()) {
        return Err(Fault(format!("rejecting old builder request, body does not contain {MARK}")));
    }
    let (package, commit) = posted(&Input::read(&body).map_err(|fault| fault.within("decoding Body"))?)
        .map_err(|fault| fault.within("decoding Body"))?;
    if commit.hash.is_empty() {
        return Call::refuse("validating Commit: invalid Hash");
    }
    let mut tx = call.desk.begin().await?;
    if add(&call.desk, &mut tx, &package, commit).await? {
        tx.commit().await?;
    }
    null()
}

async fn get(call: &Call) -> Outcome {
    let (package, hash) = (call.form("packagePath"), call.form("hash"));
    let mut reader = call.desk.dashboard.db().read().await?;
    let row = commits::get(&mut reader, call.desk.dash.name(), package, hash).await?;
    match row {
        // The watcher looks for exactly these words.
        None => Call::refuse("Commit not found"),
        Some(row) if row.num == 0 => Call::refuse("in datastore with zero Num"),
        Some(row) if row.desc.is_empty() || row.user.is_empty() => Call::refuse("missing field"),
        Some(row) => Ok(gojson::compact(&shown(package, row, None))),
    }
}

fn posted(input: &Input) -> Result<(String, CommitRow), Fault> {
    let row = CommitRow {
        hash: input.text("Hash")?,
        parent: input.text("ParentHash")?,
        num: input.number("Num")?,
        user: input.text("User")?,
        desc: cut(input.text("Desc")?, LONGEST_DESC),
        time: input.time("Time")?,
        branch: input.text("Branch")?,
        bench: input.truth("NeedsBenchmarking")?,
        try_patch: input.truth("TryPatch")?,
        notified: false,
    };
    Ok((input.text("PackagePath")?, row))
}

/// Says whether what is posted differs from what is there. What was not said does not differ.
fn differs(new: &CommitRow, old: &CommitRow) -> bool {
    (new.num != 0 && new.num != old.num)
        || (!new.parent.is_empty() && new.parent != old.parent)
        || (!new.desc.is_empty() && new.desc != old.desc)
        || (!new.user.is_empty() && new.user != old.user)
        || (new.time != NO_TIME && new.time != old.time)
}

/// Puts into what is posted what was not said.
fn updated(new: CommitRow, old: &CommitRow) -> CommitRow {
    let or = |new: String, old: &str| if new.is_empty() { old.to_owned() } else { new };
    CommitRow {
        num: if new.num == 0 { old.num } else { new.num },
        parent: or(new.parent, &old.parent),
        desc: or(new.desc, &old.desc),
        user: or(new.user, &old.user),
        branch: or(new.branch, &old.branch),
        time: if new.time == NO_TIME { old.time } else { new.time },
        ..new
    }
}

fn has_parent(commit: &CommitRow) -> bool {
    !matches!(commit.parent.as_str(), "" | "0000" | "0000000000000000000000000000000000000000")
}

/// Adds a commit; says whether anything changed.
async fn add(desk: &Desk, tx: &mut Tx, path: &str, new: CommitRow) -> Result<bool, Fault> {
    let dash = desk.dash.name();
    let old = commits::get(tx, dash, path, &new.hash).await?;
    let (mut commit, is_new) = match &old {
        Some(old) if !differs(&new, old) => return Ok(false),
        Some(old) => (updated(new, old), false),
        None => (new, true),
    };
    desk.package(path).map_err(|fault| fault.within("GetPackage"))?;
    let next = numbers::lock(tx, dash, path).await?;
    if commit.num == 0 {
        commit.num = next;
    }
    if commit.num >= next {
        numbers::set_next_num(tx, dash, path, commit.num.saturating_add(1)).await?;
    }
    if has_parent(&commit) {
        if commits::get(tx, dash, path, &commit.parent).await?.is_none() {
            return Err(Fault::new("parent commit not found"));
        }
    } else if commit.num != 1 {
        return Err(Fault::new("this package already has a first commit; aborting"));
    }
    if is_new && path.is_empty() {
        move_tags(tx, dash, &commit).await?;
    }
    commits::put(tx, dash, path, &commit).await?;
    if is_new && commit.bench {
        bench::queue(tx, dash, commit.num).await?;
    }
    Ok(true)
}

async fn move_tags(tx: &mut Tx, dash: &str, commit: &CommitRow) -> Result<(), Fault> {
    let (kind, name) = match commit.branch.as_str() {
        "master" => ("tip", ""),
        branch if branch.starts_with("release-branch.") => ("release", branch),
        _ => return Ok(()),
    };
    let tag = TagRow { kind: kind.to_owned(), name: name.to_owned(), hash: commit.hash.clone() };
    Ok(tags::put(tx, dash, &tag).await?)
}

/// `/tag`
pub(super) async fn tag(mut call: Call) -> Outcome {
    call.post_only()?;
    let input = Input::read(&call.body().await?)?;
    let tag = TagRow { kind: input.text("Kind")?, name: input.text("Name")?, hash: input.text("Hash")? };
    match tag.kind.as_str() {
        "tip" => {}
        "release" if tag.name.is_empty() => return Call::refuse("release must have Name"),
        "release" => {}
        _ => return Call::refuse("invalid Kind"),
    }
    if tag.hash.is_empty() {
        return Call::refuse("invalid Hash");
    }
    let mut tx = call.desk.begin().await?;
    tags::put(&mut tx, call.desk.dash.name(), &tag).await?;
    tx.commit().await?;
    null()
}

/// `/packages`
pub(super) async fn packages(call: Call) -> Outcome {
    let kind = call.form("kind");
    if !matches!(kind, "subrepo" | "external") {
        return Call::refuse("kind must be one of \"external\" or \"subrepo\"");
    }
    let mut found = Vec::new();
    let mut reader = call.desk.dashboard.db().read().await?;
    for package in call.desk.configured().into_iter().filter(|package| package.kind == kind) {
        let next_num = numbers::next_num(&mut reader, call.desk.dash.name(), &package.path).await?;
        found.push(Package { next_num, ..package });
    }
    if found.is_empty() { null() } else { Ok(gojson::compact(&found)) }
}

/// The main repository's tip and its commit.
pub(super) async fn tip(on: &mut impl Conn, dash: &str) -> Result<CommitRow, Fault> {
    let missing = || Fault::new(NO_ENTITY);
    let tag = tags::tip(on, dash).await?.ok_or_else(missing)?;
    commits::get(on, dash, "", &tag.hash).await?.ok_or_else(missing)
}
