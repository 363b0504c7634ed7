//! The table of imports (design §2): which crate of the workspace may import which.
//!
//! It is held against `cargo metadata`. A new edge is a decision about the design: change the table in the same commit
//! and say why there.

use std::collections::BTreeMap;

use crate::metadata::{self, Package};

/// What `crate` may import, besides crates from outside.
const TABLE: &[(&str, &[&str])] = &[
    (
        "bellwether",
        &[
            "access",
            "buildenv",
            "buildlet",
            "buildlet-client",
            "coordinator",
            "dashboard",
            "edge",
            "gerrit",
            "git",
            "github",
            "gitmirror",
            "godata",
            "gomote",
            // What is posted of failures is its rule.
            "gopherbot",
            "import",
            "maintner",
            "maintnerd",
            "pubsubhelper",
            "store",
            "transport",
            "webui",
        ],
    ),
    ("access", &["buildenv", "store", "transport", "webui"]),
    ("buildenv", &[]),
    // Whoever comes from elsewhere needs names, patterns and the check of what was written, and nothing of the services.
    ("import", &["buildenv"]),
    ("git", &[]),
    // It holds the locks of whoever has a directory to himself.
    ("filelock", &[]),
    ("store", &["filelock"]),
    ("transport", &[]),
    ("edge", &[]),
    // Whose fault a failure is: functions of what they are given.
    ("triage", &[]),
    // Rules and plans over failures, which it asks a dashboard for, and issues, which it reads and writes on GitHub.
    ("gopherbot", &["dashboard", "github", "transport"]),
    ("revdial", &[]),
    ("buildlet", &["filelock", "revdial"]),
    ("buildlet-client", &[]),
    ("gitmirror", &["buildenv", "git", "transport"]),
    // Text in, tests out: it knows nothing of the product.
    ("testresults", &[]),
    // It reads the tests out of the logs that it keeps.
    ("dashboard", &["buildenv", "store", "testresults", "transport", "webui"]),
    (
        "coordinator",
        &[
            "buildenv",
            "store",
            "git",
            // For posting only.
            "gerrit",
            "github",
            "buildlet-client",
            "revdial",
            "dashboard",
            "gomote",
            // The corpus, which whoever puts it together hands in: its own, or one that godata follows.
            "maintner",
            // Whose fault failures are, and which commit broke a builder.
            "triage",
            // Of files that lie on a worker, and nowhere else.
            "testresults",
            "transport",
            "webui",
        ],
    ),
    // Its events are rows, its routes have roles, and names from outside are shown on its page.
    ("pubsubhelper", &["store", "transport", "webui"]),
    // The wire of a service of the coordinator, which the command line calls.
    ("gomote", &[]),
    // The messages that it writes, and what it follows.
    ("maintner", &["filelock", "git", "github", "maintpb"]),
    // Fetches a log over HTTP, and makes a corpus of it.
    ("godata", &["filelock", "maintner", "transport"]),
    // A follower is a client of a leader; a leader has the clients that its sources ask by.
    ("maintnerd", &["git", "github", "godata", "maintner", "maintpb", "transport", "webui"]),
    // The messages of the mutation log.
    ("maintpb", &[]),
    // Connections are everybody's.
    ("gerrit", &["transport"]),
    ("github", &["transport"]),
    ("webui", &[]),
    ("testkit", &[]),
    // It makes up logs (`cargo xtask corpus`).
    ("xtask", &["maintpb", "testkit"]),
];

/// What the tests of a crate may use beyond that; `testkit` is open to all of them.
const TESTS_ONLY: &[(&str, &str)] = &[
    ("buildlet", "buildlet-client"),
    ("maintner", "transport"),
    ("maintnerd", "edge"),
    // Buckets, as the command opens them.
    ("maintnerd", "store"),
];

fn workspace() -> Vec<Package> {
    metadata::read().unwrap().packages.into_iter().filter(|package| package.source.is_none()).collect()
}

#[test]
fn imports_run_only_as_the_table_says() {
    let table: BTreeMap<&str, &[&str]> = TABLE.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in workspace() {
        let name = package.name.as_str();
        let Some(allowed) = table.get(name) else {
            wrong.push(format!("{name} is not in the table"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let to = dependency.name.as_str();
            let tests = dependency.kind.as_deref() == Some("dev");
            let open = tests && (to == "testkit" || TESTS_ONLY.contains(&(name, to)));
            if !allowed.contains(&to) && !open {
                wrong.push(format!("{name} imports {to}{}", if tests { " (tests)" } else { "" }));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_row_of_the_table_is_a_crate() {
    let names: Vec<String> = workspace().into_iter().map(|package| package.name).collect();
    for (name, allowed) in TABLE {
        for name in allowed.iter().chain([name]) {
            assert!(names.iter().any(|known| known == name), "{name} is in the table, not in the workspace");
        }
    }
}

/// The coordinator talks to the dashboard over HTTP: it may see the typed client, never the service.
#[test]
fn the_coordinator_sees_only_the_client_of_the_dashboard() {
    let packages = workspace();
    let coordinator = packages.iter().find(|package| package.name == "coordinator").unwrap();
    let edges: Vec<_> = coordinator
        .dependencies
        .iter()
        .filter(|dependency| dependency.name == "dashboard" && dependency.kind.is_none())
        .collect();
    assert!(!edges.is_empty());
    for edge in edges {
        assert!(!edge.uses_default_features && edge.features.is_empty(), "{edge:?}");
    }
}

#[test]
fn the_worker_and_its_client_stay_small() {
    let packages = workspace();
    for name in ["buildlet", "buildlet-client"] {
        let package = packages.iter().find(|package| package.name == name).unwrap();
        for heavy in ["sqlx", "askama", "object_store", "regex", "git", "store"] {
            let used = package.dependencies.iter().any(|d| d.name == heavy && d.kind.is_none());
            assert!(!used, "{name} imports {heavy}");
        }
    }
}
