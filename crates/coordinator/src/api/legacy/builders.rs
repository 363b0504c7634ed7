//! Builders and hosts by the original's names for their settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use buildenv::{Builder, Config, Host, Pool};
use serde::{Deserialize, Serialize};
use store::Micros;

use super::super::{Api, Failure, ask};
use super::{indented, is_public, is_public_revision};
use crate::core::Message;
use crate::pool::{Reception, Shown};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct All {
    builders: BTreeMap<String, BuildConfig>,
    hosts: BTreeMap<String, HostConfig>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BuildConfig {
    name: String,
    host_type: String,
    known_issues: Option<Vec<u32>>,
    notes: String,
    compile_only: bool,
    flaky_net: bool,
    run_bench: bool,
    minimum_go_version: GoVersion,
    skip_snapshot: bool,
    stop_after_make: bool,
    install_race_packages: Option<Vec<String>>,
    go_deps: Option<Vec<String>>,
    #[serde(rename = "TestHostConf")]
    test_host_conf: Option<()>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct GoVersion {
    major: u32,
    minor: u32,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Person {
    name: String,
    #[serde(rename = "GitHub")]
    git_hub: String,
    gerrit: String,
    emails: Option<Vec<String>>,
    googler: bool,
    bot: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    host_type: String,
    host_arch: String,
    go_bootstrap: String,
    #[serde(rename = "VMImage")]
    vm_image: String,
    container_image: String,
    is_reverse: bool,
    regular_disk: bool,
    #[serde(rename = "MinCPUPlatform")]
    min_cpu_platform: String,
    #[serde(rename = "IsEC2")]
    is_ec2: bool,
    custom_delete_timeout: u64,
    expect_num: u32,
    hermetic_reverse: bool,
    google_reverse: bool,
    nested_virt: bool,
    #[serde(rename = "KonletVMImage")]
    konlet_vm_image: Option<String>,
    owners: Option<Vec<Person>>,
    notes: String,
    #[serde(rename = "SSHUsername")]
    ssh_username: String,
    #[serde(rename = "RootDriveSizeGB")]
    root_drive_size_gb: u64,
}

fn person(text: &str) -> Person {
    match text {
        login if login.starts_with('@') => Person { git_hub: login[1..].to_owned(), ..Person::default() },
        email if email.contains('@') => {
            Person { gerrit: email.to_owned(), emails: Some(vec![email.to_owned()]), ..Person::default() }
        }
        name => Person { name: name.to_owned(), ..Person::default() },
    }
}

fn listed<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn builder(builder: &Builder) -> BuildConfig {
    let version = builder.minimum_version.as_ref().map(|version| &version.0[..]).unwrap_or_default();
    let number = |at: usize| version.get(at).copied().unwrap_or(0);
    let host = builder.host.as_ref().or(builder.hosts.first());
    BuildConfig {
        name: builder.full_name(),
        host_type: host.map(ToString::to_string).unwrap_or_default(),
        known_issues: listed(builder.known_issues.clone()),
        notes: builder.notes.clone(),
        compile_only: builder.compile_only,
        flaky_net: builder.flaky_net,
        run_bench: builder.bench,
        minimum_go_version: GoVersion { major: number(0), minor: number(1) },
        skip_snapshot: builder.skip_snapshot,
        stop_after_make: builder.stop_after_build,
        install_race_packages: None,
        go_deps: listed(builder.required_ancestors.iter().map(|one| one.commit.to_string()).collect()),
        test_host_conf: None,
    }
}

fn host(host: &Host) -> HostConfig {
    let label = |name: &str| host.labels.get(name).cloned().unwrap_or_default();
    let arch = match (label("os"), label("arch")) {
        (os, arch) if !os.is_empty() && !arch.is_empty() => format!("{os}-{arch}"),
        _ => String::new(),
    };
    let delete_after = host.delete_after.map_or(0, |after| after.as_nanos());
    HostConfig {
        host_type: host.name.to_string(),
        host_arch: arch,
        go_bootstrap: host.bootstrap.clone().unwrap_or_default(),
        vm_image: host.image.clone().unwrap_or_default(),
        container_image: host.container.clone().unwrap_or_default(),
        is_reverse: host.pool == Pool::Reverse,
        regular_disk: false,
        min_cpu_platform: String::new(),
        is_ec2: host.pool == Pool::Ec2,
        custom_delete_timeout: u64::try_from(delete_after).unwrap_or(u64::MAX),
        expect_num: host.expected,
        hermetic_reverse: host.pool == Pool::Reverse && host.hermetic,
        google_reverse: false,
        nested_virt: false,
        konlet_vm_image: None,
        owners: listed(host.owners.iter().map(|owner| person(owner)).collect()),
        notes: host.notes.clone(),
        ssh_username: host.ssh_user.clone().unwrap_or_default(),
        root_drive_size_gb: 0,
    }
}

fn all(config: &Config) -> All {
    let open = config
        .builders()
        .iter()
        .filter(|builder| builder.scope.as_ref().is_none_or(|repo| is_public(config, repo.as_str())));
    let builders = open.map(|one| (one.full_name(), builder(one))).collect();
    All { builders, hosts: config.hosts().iter().map(|one| (one.name.to_string(), host(one))).collect() }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    mode: String,
}

/// `/builders`
pub(super) async fn builders(
    State(api): State<Arc<Api>>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let config = Arc::clone(&api.finder.config.borrow());
    let all = all(&config);
    if asked.mode == "json" {
        return indented(&all);
    }
    super::super::pages::shown(&BuildersPage { config: &config, all: &all })
}

/// A builder's name without that of the repo whose project file has it: so its page knows it.
fn own_name(full: &str) -> &str {
    full.rsplit(':').next().unwrap_or(full)
}

/// The page of them.
#[derive(askama::Template)]
#[template(path = "builders.html")]
struct BuildersPage<'a> {
    config: &'a Config,
    all: &'a All,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reverse {
    host_types: BTreeMap<String, ReverseHost>,
}

/// Machines of a host that dial in.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReverseHost {
    host_type: String,
    connected: u32,
    expect: u32,
    idle: u32,
    busy: u32,
    waiters: usize,
    machines: Option<BTreeMap<String, ReverseMachine>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReverseMachine {
    name: String,
    host_type: String,
    connected_sec: f64,
    #[serde(skip_serializing_if = "is_zero")]
    idle_sec: f64,
    #[serde(skip_serializing_if = "is_zero")]
    busy_sec: f64,
    version: String,
    busy: bool,
}

fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

impl ReverseHost {
    fn add(&mut self, machine: &Shown, now: Micros, since_busy: Option<Micros>) {
        let seconds = |since: Micros| (now.0 - since.0).max(0) as f64 / 1e6;
        let busy = since_busy.is_some();
        self.connected += 1;
        self.busy += u32::from(busy);
        self.idle += u32::from(!busy);
        let one = ReverseMachine {
            name: machine.name.clone(),
            host_type: machine.host.clone(),
            connected_sec: seconds(machine.since),
            // When a machine became idle is not kept; it was no sooner than it came.
            idle_sec: if busy { 0.0 } else { seconds(machine.since) },
            busy_sec: since_busy.map_or(0.0, seconds),
            version: machine.version.to_string(),
            busy,
        };
        self.machines.get_or_insert_default().insert(machine.name.clone(), one);
    }
}

/// `/status/reverse.json`: hosts whose machines are expected to dial in, or have, by host and name.
pub(super) async fn reverse(State(api): State<Arc<Api>>) -> Result<Response, Failure> {
    let config = Arc::clone(&api.finder.config.borrow());
    let status = ask(&api, Message::Status).await?;
    let host_of = |repo: &str, builder: &str| {
        let builder = config.builder(&repo.parse().ok()?, &builder.parse().ok()?)?;
        builder.host.clone()
    };
    let connected = api.reception.as_ref().map(Reception::connected).unwrap_or_default();
    let has = |host: &Host| connected.iter().any(|machine| machine.host == host.name.as_str());
    let shown =
        config.hosts().iter().filter(|host| host.pool == Pool::Reverse && (host.expected > 0 || has(host)));
    let now = api.shared.ledger.clock().now();
    let one = |host: &Host| {
        let queued = status.queued.iter().filter(|one| is_public_revision(&config, &one.revision));
        let waits = queued.filter(|one| host_of(&one.repo, &one.builder).as_ref() == Some(&host.name));
        let host_type = host.name.to_string();
        let mut one = ReverseHost {
            host_type: host_type.clone(),
            connected: 0,
            expect: host.expected,
            idle: 0,
            busy: 0,
            waiters: waits.count(),
            machines: None,
        };
        for machine in connected.iter().filter(|machine| machine.host == host_type) {
            let running = status.running.iter().find(|running| running.worker == machine.worker);
            one.add(machine, now, running.map(|running| running.started));
        }
        (host_type, one)
    };
    indented(&Reverse { host_types: shown.map(one).collect() })
}

#[cfg(test)]
mod tests {
    use askama::Template as _;

    use super::*;

    #[test]
    fn a_builder_of_a_project_file_leads_to_its_page() {
        let server =
            buildenv::Source::server("server.toml", "[repo.app]\nurl = \"https://example.com/app\"\n");
        let project =
            "[builder.slow]\nrecipe = \"r\"\n[recipe.r]\n[[recipe.r.step]]\nname = \"s\"\nrun = \"true\"\n";
        let name: buildenv::RepoName = "app".parse().unwrap();
        let sources = [
            buildenv::embedded("linux", "amd64"),
            server,
            buildenv::Source::project(name, "app:bellwether.toml", project),
        ];
        let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let config = buildenv::load(&sources, &none, None).unwrap_or_else(|problems| panic!("{problems}"));
        let page = BuildersPage { config: &config, all: &all(&config) }.render().unwrap();
        assert!(page.contains("<a href=\"/builders/slow\">app:slow</a>"), "{page}");
    }
}
