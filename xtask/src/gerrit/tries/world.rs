//! A Gerrit with people, labels and projects, the server that follows it, and what people do there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use testkit::gerrit::{Gerrit, User};
use testkit::{Counter, File, GitRepo, Server, ServerOptions};

use super::stories::flaky;

/// The longest wait for anything: some seconds on an idle machine, but a Gerrit that starts beside it takes a core for a minute.
const LIMIT: Duration = Duration::from_secs(240);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// Who asks for try runs, and may.
const ADA: (&str, &str) = ("ada", "ada-of-loopback");
/// Who may not.
const BELA: (&str, &str) = ("bela", "bela-of-loopback");
/// Who answers: the server.
const BOT: (&str, &str) = ("bot", "bot-of-loopback");
/// By what host the server's log names Gerrit's projects.
const HOST: &str = "gerrit.test";
/// How the server names itself in what it says.
pub(super) const SERVER: &str = "http://ci.test";

/// The branch of a release.
pub(super) const RELEASE: &str = "release-1.1";
/// Projects with their branches. `go` is the toolchain of `x/text`; `site` has builders of its own.
const PROJECTS: [(&str, &[&str]); 3] =
    [("go", &["main", RELEASE]), ("x/text", &["main"]), ("site", &["main"])];
const OF_SITE: &str = "[builder.tests]\nrecipe = \"check\"\ntry = true\n\n\
    [recipe.check]\nrun = \"sh ./check.sh\"\nresults = \"tap\"\n";

/// A change, and where it goes.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// Its story, with a number behind it where a story has several.
    pub(super) name: String,
    pub(super) project: &'static str,
    pub(super) branch: &'static str,
    /// Its number in Gerrit.
    pub(super) number: u64,
    /// The newest patch set's commit.
    pub(super) commit: String,
}

impl Change {
    /// Its path in Gerrit's REST API.
    pub(super) fn path(&self) -> String {
        format!("/changes/{}~{}", self.project.replace('/', "%2F"), self.number)
    }

    /// As the server names it.
    pub(super) fn review(&self) -> String {
        format!("{HOST}/{}~{}", self.project, self.number)
    }
}

/// All of it.
pub(super) struct World {
    pub(super) gerrit: Gerrit,
    pub(super) server: Server,
    /// Counts how often a test ran.
    pub(super) counter: Counter,
    dir: PathBuf,
    ada: User,
    bela: User,
    clones: BTreeMap<&'static str, GitRepo>,
    /// The first commit of each branch of each project.
    bases: BTreeMap<(&'static str, &'static str), String>,
}

impl World {
    /// Starts both in a folder.
    pub(super) fn start(dir: &Path, program: PathBuf, seed: u64) -> Result<World> {
        let gerrit = Gerrit::start(&dir.join("site"))?;
        let user = |(name, password): (&str, &str)| User::new(gerrit.address(), name, password);
        let (ada, bela, admin) = (user(ADA), user(BELA), gerrit.admin());
        people(&admin).context("people and rights")?;
        let counter = Counter::start()?;
        let (mut clones, mut bases) = (BTreeMap::new(), BTreeMap::new());
        for (name, branches) in PROJECTS {
            let (clone, heads) = project(&dir.join("clones").join(name), &admin, name, branches, &counter)
                .with_context(|| format!("project {name}"))?;
            clones.insert(name, clone);
            bases.extend(branches.iter().zip(heads).map(|(branch, head)| ((name, *branch), head)));
        }
        let gates = dir.join("gates");
        std::fs::create_dir_all(&gates)?;
        let data = dir.join("data");
        std::fs::create_dir_all(&data)?;
        std::fs::write(data.join("gerrit-password"), format!("{}\n", BOT.1))?;
        let file = dir.join("server.toml");
        std::fs::write(&file, server_file(&gerrit.url(), &gates, seed)?)?;
        let arguments = vec!["--config".to_owned(), file.to_string_lossy().into_owned()];
        let options = ServerOptions { program, data, arguments, environment: Vec::new() };
        let server = Server::start(options).context("the server")?;
        Ok(World { gerrit, server, counter, dir: dir.to_owned(), ada, bela, clones, bases })
    }

    /// Uploads a change with this script as its check, on the head of its branch, or on another commit.
    pub(super) fn upload(
        &mut self,
        name: &str,
        (project, branch): (&'static str, &'static str),
        on: Option<&str>,
        check: &str,
    ) -> Result<Change> {
        let mut change = Change { name: name.to_owned(), project, branch, number: 0, commit: String::new() };
        self.patch_set(&mut change, on, check)?;
        Ok(change)
    }

    /// Uploads a change's next patch set.
    pub(super) fn patch_set(&mut self, change: &mut Change, on: Option<&str>, check: &str) -> Result<()> {
        let Change { name, project, branch, .. } = &*change;
        let id = format!("I{:0<40}", hex::encode(name));
        let base = on.unwrap_or_else(|| &self.bases[&(*project, *branch)]).to_owned();
        let clone = self.clones.get_mut(project).context("a project has a clone")?;
        clone.git(&["checkout", "--quiet", "--force", "--detach", &base])?;
        let message = format!("Change {name}\n\nChange-Id: {id}\n");
        let commit = clone.commit(&message, &[("check.sh", File::Text(check))])?;
        push(clone, &self.ada, project, &format!("{commit}:refs/for/{branch}"))
            .with_context(|| format!("uploading {name}"))?;
        let path = format!("/changes/{}~{branch}~{id}", project.replace('/', "%2F"));
        let number = self.ada.get(&path)?["_number"].as_u64().context("a change has a number")?;
        (change.number, change.commit) = (number, commit);
        Ok(())
    }

    /// Ada votes for a change, and says something with it.
    pub(super) fn vote(&self, change: &Change, words: Option<&str>) -> Result<()> {
        review(&self.ada, change, Some(1), words)
    }

    /// Bela votes, as far as they may.
    pub(super) fn vote_without_right(&self, change: &Change) -> Result<()> {
        review(&self.bela, change, Some(1), None)
    }

    /// Bela says something.
    pub(super) fn comment(&self, change: &Change, words: &str) -> Result<()> {
        review(&self.bela, change, None, Some(words))
    }

    /// Lets builds that wait for this go on.
    pub(super) fn open(&self, gate: &str) -> Result<()> {
        let gate = self.dir.join("gates").join(gate);
        std::fs::write(&gate, "").with_context(|| format!("writing {}", gate.display()))
    }

    /// The kinds of what the server has said of a change, such as `beginning`, in their order.
    pub(super) fn kinds(&self, change: &Change) -> Result<Vec<String>> {
        let shown = self.gerrit.admin().get(&format!("{}?o=MESSAGES", change.path()))?;
        let messages = shown["messages"].as_array().into_iter().flatten();
        let kind =
            |one: &Value| one["tag"].as_str()?.strip_prefix("autogenerated:trybots~").map(str::to_owned);
        Ok(messages.filter_map(kind).collect())
    }

    /// Waits until the server has said this of a change, and nothing else.
    pub(super) fn until_said(&self, change: &Change, kinds: &[&str]) -> Result<()> {
        let mut seen = Vec::new();
        until(&format!("{kinds:?} to be said of {}", change.name), || {
            seen = self.kinds(change)?;
            Ok((seen == kinds).then_some(()))
        })
        .with_context(|| format!("said was {seen:?}"))
    }

    /// Waits until the server has said that it tries a change.
    pub(super) fn until_begun(&self, change: &Change) -> Result<()> {
        until(&format!("{} to be tried", change.name), || {
            Ok(self.kinds(change)?.first().is_some_and(|kind| kind == "beginning").then_some(()))
        })
    }

    /// The runs of a change, the oldest first; an error while the server is away.
    fn runs(&self, change: &Change) -> Result<Vec<Value>> {
        let path = format!("/api/v1/tries?review={}", change.review());
        let list = self.server.request("GET", &path, None, None)?.json()?;
        let mut runs = list["tries"].as_array().cloned().unwrap_or_default();
        runs.reverse();
        Ok(runs)
    }

    /// Waits until the last run of a change is in a state.
    pub(super) fn until_run(&self, change: &Change, state: &str) -> Result<()> {
        let mut seen = Vec::new();
        until(&format!("the run of {} to be {state}", change.name), || {
            seen = self.runs(change).unwrap_or_default();
            Ok(seen.last().is_some_and(|run| run["state"] == state).then_some(()))
        })
        .with_context(|| format!("the runs were {seen:#?}"))
    }

    /// Waits until a build of a change's last run runs on a builder.
    pub(super) fn until_runs(&self, change: &Change, builder: &str) -> Result<()> {
        until(&format!("{} to run on {builder}", change.name), || {
            let runs = self.runs(change).unwrap_or_default();
            let Some(id) = runs.last().and_then(|run| run["id"].as_str()) else { return Ok(None) };
            let answer = self.server.request("GET", &format!("/api/v1/tries/{id}"), None, None)?;
            let run = answer.json()?;
            let mut builds = run["builds"].as_array().into_iter().flatten();
            Ok(builds.any(|one| one["builder"] == builder && one["state"] == "running").then_some(()))
        })
    }

    /// Waits until the server has seen each answer to a change.
    pub(super) fn until_settled(&self, change: &Change) -> Result<()> {
        until(&format!("the answer to {} to be seen", change.name), || {
            Ok(self.runs(change)?.iter().all(|run| run["settled"] == true).then_some(()))
        })
    }

    /// Waits until each answer was seen, and nothing is left to be said.
    pub(super) fn until_quiet(&self, changes: &[Change]) -> Result<()> {
        for change in changes {
            self.until_settled(change)?;
        }
        until("nothing to be left in the outbox", || {
            Ok(none(&self.metrics()?, &["waiting", "failing"]).then_some(()))
        })
    }

    /// Whether there is something to be said that could not be.
    pub(super) fn fails_to_post(&self) -> Result<bool> {
        Ok(!none(&self.metrics()?, &["failing"]))
    }

    fn metrics(&self) -> Result<String> {
        let metrics = self.server.request("GET", "/metrics", None, None)?;
        Ok(String::from_utf8_lossy(&metrics.body).into_owned())
    }

    /// What the server printed last.
    pub(super) fn last_words(&self) -> String {
        let printed = self.server.printed();
        let lines: Vec<&str> = printed.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// Whether no message of the outbox is in one of these states. Where none was ever put, there is no such line.
fn none(metrics: &str, states: &[&str]) -> bool {
    let of = |line: &&str| states.iter().any(|state| line.contains(&format!("state=\"{state}\"")));
    let mut lines = metrics.lines().filter(|line| line.starts_with("bellwether_outbox_messages{")).filter(of);
    lines.all(|line| line.rsplit(' ').next().is_some_and(|value| value.parse() == Ok(0.0)))
}

/// Looks again and again, for a while.
pub(super) fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        // Whoever is asked may be away, or busy: the last look's error counts.
        match (look(), began.elapsed() >= LIMIT) {
            (Ok(Some(found)), _) => return Ok(found),
            (Ok(None), true) => bail!("waiting for {what}: not after {} s", LIMIT.as_secs()),
            (Err(error), true) => return Err(error.context(format!("waiting for {what}"))),
            _ => std::thread::park_timeout(PAUSE),
        }
    }
}

/// Votes and speaks on the newest patch set.
fn review(user: &User, change: &Change, vote: Option<i32>, words: Option<&str>) -> Result<()> {
    let mut body = json!({});
    if let Some(vote) = vote {
        body["labels"] = json!({ "Run-TryBot": vote });
    }
    if let Some(words) = words {
        body["comments"] = json!({ "/PATCHSET_LEVEL": [{ "message": words, "unresolved": false }] });
    }
    let path = format!("{}/revisions/{}/review", change.path(), change.commit);
    user.post(&path, &body).with_context(|| format!("on {}", change.name)).map(|_| ())
}

/// Accounts, groups, and the labels as docs/tries.md has them.
fn people(admin: &User) -> Result<()> {
    for group in ["Committers", "Bots"] {
        admin.put(&format!("/groups/{group}"), &json!({}))?;
    }
    // Ada's address is the one that commits are made under, so that Gerrit takes them.
    for ((name, password), full_name, email, groups) in [
        (ADA, "Ada", "committer@example.org", &["Committers"][..]),
        (BELA, "Bela", "bela@example.org", &[]),
        (BOT, "Bot", "bot@example.org", &["Bots"]),
    ] {
        let account =
            json!({ "name": full_name, "email": email, "http_password": password, "groups": groups });
        admin.put(&format!("/accounts/{name}"), &account)?;
    }
    let asks = json!({ "values": { " 0": "No", "+1": "Build it" }, "function": "NoBlock" });
    let answers =
        json!({ "values": { "-1": "Broken", " 0": "Not known", "+1": "Good" }, "function": "NoBlock" });
    let mut permissions = json!({});
    for (label, values, group, least) in
        [("Run-TryBot", asks, "Committers", 0), ("TryBot-Result", answers, "Bots", -1)]
    {
        admin.put(&format!("/projects/All-Projects/labels/{label}"), &values)?;
        let group = admin.get(&format!("/groups/{group}"))?;
        let id = group["id"].as_str().context("a group has an id")?;
        let rule = json!({ id: { "action": "ALLOW", "min": least, "max": 1 } });
        permissions[format!("label-{label}")] = json!({ "label": label, "rules": rule });
    }
    let add = json!({ "add": { "refs/heads/*": { "permissions": permissions } } });
    admin.post("/projects/All-Projects/access", &add).map(|_| ())
}

/// A project with a first commit on each branch; its clone, and these commits.
fn project(
    dir: &Path,
    admin: &User,
    name: &str,
    branches: &[&str],
    counter: &Counter,
) -> Result<(GitRepo, Vec<String>)> {
    admin.put(&format!("/projects/{}", name.replace('/', "%2F")), &json!({ "branches": ["main"] }))?;
    let mut clone = GitRepo::create(dir)?;
    let mut heads = Vec::new();
    for branch in branches {
        let version = branch.strip_prefix("release-").unwrap_or("2.0");
        // What is there is flaky already.
        let check = if name == "site" { flaky(&counter.line("base")) } else { "true\n".to_owned() };
        let mut files = vec![("check.sh", File::Text(&check)), ("VERSION", File::Text(version))];
        if name == "site" {
            files.push(("bellwether.toml", File::Text(OF_SITE)));
        }
        let commit = clone.commit(&format!("Begin {branch}"), &files)?;
        push(&clone, admin, name, &format!("{commit}:refs/heads/{branch}"))?;
        heads.push(commit);
    }
    Ok((clone, heads))
}

fn push(clone: &GitRepo, user: &User, project: &str, what: &str) -> Result<()> {
    let mut arguments = user.git_options();
    arguments.extend(["push".into(), "--quiet".into(), user.repository(project), what.into()]);
    clone.git(&arguments).map(|_| ())
}

/// The server file, as docs/tries.md says.
fn server_file(gerrit: &str, gates: &Path, seed: u64) -> Result<String> {
    let gates = toml::Value::from(gates.to_str().context("the folder's name is not UTF-8")?);
    let gerrit = gerrit.trim_end_matches('/');
    let watched: Vec<String> = PROJECTS
        .iter()
        .map(|(name, _)| {
            format!(
                "{{ project = \"{HOST}/{name}\", url = \"{gerrit}/{name}\", changes = true, every = \"1s\" }}"
            )
        })
        .collect();
    Ok(format!(
        r#"[environment.dev]
url = "{SERVER}"

[host.local]
capacity = 6
trust = "untrusted-ok"
isolation = "namespaces"
visible = [{gates}]
env = {{ GATES = {gates}, SEED = "{seed}" }}

[tries]
reruns = 24

[builder.linux]
recipe = "go"
repos = ["go", "text"]
try = true

[builder.race]
recipe = "go"
repos = ["go"]
try = [{{ branch = "main" }}]

[builder.slow]
recipe = "go"
repos = ["go"]
aliases = ["longtest"]

[recipe.go]
toolchain = "go"
build = "sh ./check.sh"
snapshot = true

[recipe.go.dependents]
run = "sh ./check.sh"

[repo.go]
url = "{gerrit}/go"
changes = "{HOST}/go"
branches = ["main", "release-*"]
horizon = 1

[repo.text]
url = "{gerrit}/x/text"
changes = "{HOST}/x/text"
needs = ["go"]
pairs = [{{ branch = "main", with = ["main", "release-*"], newest = 1 }}]
horizon = 1

[repo.site]
url = "{gerrit}/site"
changes = "{HOST}/site"
horizon = 1

[maintnerd]
git = [{}]

[gerrit.main]
url = "{gerrit}"
host = "{HOST}"
user = "{}"
password_file = "gerrit-password"
"#,
        watched.join(", "),
        BOT.0
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_file_is_toml() {
        let text = server_file("http://127.0.0.1:1/", Path::new("/a \"b\""), 7).unwrap();
        let read: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(read["repo"]["text"]["url"].as_str(), Some("http://127.0.0.1:1/x/text"));
        assert_eq!(read["maintnerd"]["git"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn the_outbox_is_empty_when_nothing_waits_in_it() {
        let line = |state: &str, count: &str| {
            format!("bellwether_outbox_messages{{channel=\"gerrit\",state=\"{state}\"}} {count}\n")
        };
        let waits = ["waiting", "failing"];
        assert!(none("", &waits));
        assert!(none(&(line("waiting", "0") + &line("failing", "0") + &line("given_up", "2")), &waits));
        assert!(!none(&line("failing", "1"), &waits) && none(&line("failing", "1"), &waits[..1]));
    }
}
