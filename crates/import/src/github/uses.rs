//! Actions that are known: what they do is done by the server, by the machine, or by a key.

use super::expression::{constant, pieces};
use super::steps::{Job, known, with};
use crate::draft::Step;
use crate::ledger::Ledger;
use crate::shell::{Piece, assemble};
use crate::yaml::{Entry, Node};

/// Actions that put tools on the machine, and what of.
const TOOLS: &[(&str, &str, &[&str])] = &[
    ("actions/setup-go", "Go", &["go-version", "go-version-file"]),
    ("actions/setup-node", "Node.js", &["node-version", "node-version-file"]),
    ("actions/setup-python", "Python", &["python-version", "python-version-file"]),
    ("actions/setup-java", "a JDK", &["java-version", "distribution"]),
    ("actions/setup-dotnet", ".NET", &["dotnet-version"]),
    ("ruby/setup-ruby", "Ruby", &["ruby-version"]),
    ("shivammathur/setup-php", "PHP", &["php-version"]),
    ("erlef/setup-beam", "Erlang and Elixir", &["otp-version", "elixir-version"]),
    ("dtolnay/rust-toolchain", "Rust", &["toolchain", "components", "targets", "target"]),
    ("actions-rs/toolchain", "Rust", &["toolchain", "components", "target"]),
    ("actions-rust-lang/setup-rust-toolchain", "Rust", &["toolchain", "components"]),
    ("astral-sh/setup-uv", "uv", &["version"]),
    ("pnpm/action-setup", "pnpm", &["version"]),
    ("docker/setup-buildx-action", "Docker's buildx", &["version"]),
    ("docker/setup-qemu-action", "QEMU", &["platforms"]),
    ("taiki-e/install-action", "tools", &["tool"]),
    ("golangci/golangci-lint-action", "golangci-lint", &["version"]),
];

/// Whether a step calls an action of which no command remains.
pub fn no_command(node: &Node) -> bool {
    let action = node.get("uses").and_then(|entry| entry.node.text());
    action.is_some_and(|action| !action.starts_with("actions-rs/cargo"))
}

/// Says what an action is here; gives the command of one that only calls one.
pub fn translate(
    entry: &Entry,
    node: &Node,
    job: &mut Job<'_>,
    step: &mut Step,
    ledger: &mut Ledger,
) -> Option<String> {
    let text = entry.node.text().unwrap_or_default();
    let (action, version) = text.split_once('@').unwrap_or((text, ""));
    if let Some(given) = node.get("with") {
        ledger.enter(given);
    }
    if let Some((_, tool, keys)) = TOOLS.iter().find(|(name, ..)| *name == action) {
        tools(entry, node, tool, keys, version, job, step, ledger);
        return None;
    }
    match action {
        "actions/checkout" => checkout(entry, node, ledger),
        "actions/cache" | "actions/cache/restore" | "actions/cache/save" | "Swatinem/rust-cache" => {
            ledger.meaningless(
                entry,
                "no cache is kept between builds but what the host lets through (env_pass), and `snapshot = true` of a recipe",
            );
            rest(node, "part of the cache", ledger);
        }
        "actions-rs/cargo" => return cargo(entry, node, job, step, ledger),
        "actions/upload-artifact" => upload(entry, node, job, ledger),
        "actions/download-artifact" => open(
            entry,
            node,
            step,
            ledger,
            "builders hand no files to one another",
            "make the steps of both jobs one recipe, or fetch the artefact from the build's page by its address",
        ),
        "codecov/codecov-action" | "coverallsapp/github-action" => open(
            entry,
            node,
            step,
            ledger,
            "reports to a service of coverage",
            "call that service's program in a step",
        ),
        _ if text.starts_with("./") => open(
            entry,
            node,
            step,
            ledger,
            "an action of the repository itself",
            "write the commands of its action.yml as steps",
        ),
        _ if text.starts_with("docker://") => open(
            entry,
            node,
            step,
            ledger,
            "a container as a step",
            "call `docker run` in the step, where the host has Docker",
        ),
        _ => open(
            entry,
            node,
            step,
            ledger,
            &format!("the action {text} is not known to this import"),
            "write in its place the commands that it runs",
        ),
    }
    None
}

fn open(entry: &Entry, node: &Node, step: &mut Step, ledger: &mut Ledger, message: &str, remedy: &str) {
    ledger.open(entry, message, remedy);
    step.comments.push(format!("uses: {}", entry.node.text().unwrap_or_default()));
    if let Some(given) = node.get("with") {
        for key in given.node.entries() {
            step.comments.push(format!("with {}: {}", key.key, key.node.text().unwrap_or_default()));
        }
        ledger.open(given, "goes with the action", "see the line above");
    }
}

/// What is left of `with` belongs to what was said of the action.
fn rest(node: &Node, message: &str, ledger: &mut Ledger) {
    for key in node.get("with").map_or(&[][..], |given| given.node.entries()) {
        ledger.meaningless(key, message);
    }
}

#[expect(clippy::too_many_arguments, reason = "one call")]
fn tools(
    entry: &Entry,
    node: &Node,
    tool: &str,
    keys: &[&str],
    version: &str,
    job: &mut Job<'_>,
    step: &mut Step,
    ledger: &mut Ledger,
) {
    let mut wanted: Vec<String> = Vec::new();
    for key in node.get("with").map_or(&[][..], |given| given.node.entries()) {
        if keys.contains(&key.key.as_str()) {
            let value =
                known(key, &mut job.scope).unwrap_or_else(|_| key.node.text().unwrap_or_default().to_owned());
            wanted.push(format!("{} {}", key.key, value.replace('\n', " ")));
            ledger.carried(key, "named in the comment of what the machine has to have");
        } else if key.key.contains("cache") {
            ledger.meaningless(
                key,
                "no cache is kept between builds but what the host lets through (env_pass)",
            );
        } else {
            ledger.open(
                key,
                format!("a setting of how {tool} is installed"),
                "see to it when you install it",
            );
        }
    }
    if wanted.is_empty() && !version.is_empty() && tool == "Rust" {
        wanted.push(version.to_owned());
    }
    let what = if wanted.is_empty() { String::new() } else { format!(" ({})", wanted.join(", ")) };
    ledger.open(
        entry,
        format!("jobs find the tools of the machine, nothing is installed for them: {tool}{what}"),
        format!("install {tool} on the host, in its PATH; a label such as {{ tools = \"…\" }} of host and builder's needs tells such hosts apart"),
    );
    step.comments.push(format!("The machine has to have {tool}{what}."));
}

/// The action that only calls cargo.
fn cargo(
    entry: &Entry,
    node: &Node,
    job: &mut Job<'_>,
    step: &mut Step,
    ledger: &mut Ledger,
) -> Option<String> {
    let mut words = vec![vec![Piece::Text("cargo".into())]];
    for name in ["toolchain", "command", "args"] {
        let Some(key) = with(node, name) else { continue };
        match pieces(key.node.text().unwrap_or_default(), &mut job.scope) {
            Ok(mut parts) => {
                if name == "toolchain" {
                    parts.insert(0, Piece::Text("+".into()));
                }
                ledger.carried(key, "part of the command");
                words.push(parts);
            }
            Err(what) => {
                let remedy = "write in its place the cargo command";
                open(entry, node, step, ledger, &format!("{what} has no value here"), remedy);
                return None;
            }
        }
    }
    if let Some(key) = with(node, "use-cross").filter(|key| key.node.flag() != Some(false)) {
        ledger.open(key, "cargo is called, not cross", "install cross on the host, and write it in the step");
    } else if let Some(key) = with(node, "use-cross") {
        ledger.carried(key, "cargo is called");
    }
    let words: Vec<String> = words.iter().map(|parts| assemble(parts)).collect();
    ledger.carried(entry, "run of a step");
    Some(words.join(" "))
}

fn checkout(entry: &Entry, node: &Node, ledger: &mut Ledger) {
    ledger.carried(entry, "the tree of the commit is there before the first step");
    for key in node.get("with").map_or(&[][..], |given| given.node.entries()) {
        match key.key.as_str() {
            "fetch-depth" | "fetch-tags" | "filter" => match key.node.text() {
                Some("1") => ledger.carried(key, "the bare tree"),
                _ => ledger.open(
                    key,
                    "the tree comes without its history",
                    "source = \"git\" of [repo.NAME] in the server file gives builds a shallow git repository",
                ),
            },
            "submodules" if key.node.text() != Some("false") => {
                ledger.open(key, "submodules are not fetched", "fetch them in a first step");
            }
            "repository" | "ref" | "path" | "sparse-checkout" => ledger.open(
                key,
                "another tree than that of the commit",
                "fetch it in a first step; or `needs` of the repository, where it is built against another",
            ),
            "lfs" if key.node.flag() != Some(false) => {
                ledger.open(key, "files of Git LFS are not fetched", "fetch them in a first step");
            }
            "persist-credentials" | "clean" | "token" | "submodules" | "lfs" | "ssh-key" | "show-progress" => {
                ledger.meaningless(key, "the server fetches, jobs get no credentials");
            }
            _ => {}
        }
    }
}

fn upload(entry: &Entry, node: &Node, job: &mut Job<'_>, ledger: &mut Ledger) {
    let Some(paths) = with(node, "path") else {
        return ledger.open(entry, "no path", "artifacts = [\"…\"] in the recipe");
    };
    for line in
        paths.node.texts().iter().flat_map(|text| text.lines()).map(str::trim).filter(|line| !line.is_empty())
    {
        let text = constant(line, &mut job.scope);
        let text = text.map(|text| text.trim_start_matches("./").to_owned());
        match text {
            Ok(text) if artifact(&text, &mut job.recipe.artifacts) => {
                ledger.carried(
                    paths,
                    format!("{text:?} in artifacts of the recipe, whatever came of the steps"),
                );
            }
            Ok(text) => ledger.open(
                paths,
                format!("{text:?} is no pattern of files below the tree"),
                "copy the files below the tree in a last step, and name them in artifacts",
            ),
            Err(what) => ledger.open(
                paths,
                format!("{what} has no value when artefacts are gathered"),
                "artifacts = [\"…\"] in the recipe, with * for it",
            ),
        }
    }
    ledger.carried(entry, "artifacts of the recipe");
    for key in node.get("with").map_or(&[][..], |given| given.node.entries()) {
        match key.key.as_str() {
            "path" => {}
            "if-no-files-found" if key.node.text() == Some("error") => {
                ledger.open(key, "files that are not there are no failure", "let the last step look for them")
            }
            _ => ledger.meaningless(key, "artefacts are named by their path, and kept as long as the build"),
        }
    }
}

/// Adds a path pattern; says whether it is one below the tree.
pub fn artifact(text: &str, artifacts: &mut Vec<String>) -> bool {
    let folder = text.ends_with('/');
    let text = text.trim_end_matches('/');
    let outside =
        text.is_empty() || text.starts_with(['/', '~', '!', '$']) || text.split('/').any(|part| part == "..");
    if outside || text.parse::<buildenv::Pattern>().is_err() {
        return false;
    }
    // A path without an ending may be a file or a folder.
    let name = text.rsplit('/').next().unwrap_or(text);
    let mut add = |text: String| {
        if !artifacts.contains(&text) {
            artifacts.push(text);
        }
    };
    if !folder {
        add(text.to_owned());
    }
    if folder || !(name.contains('.') || name.contains('*')) {
        add(format!("{text}/**"));
    }
    true
}
