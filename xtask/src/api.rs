//! `cargo xtask api`: our API held against its document, by schemathesis on a real server with builds in it; and the
//! command line's client, which is made from the same document.

mod client;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use testkit::{File, GitRepo, Server, wait_for};

use crate::process::{self, End, Line};
use crate::{server_binary, setup};

/// The time that one run of schemathesis may take.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// The time until the server has built what there is.
const BUILT: Duration = Duration::from_secs(120);
/// The same data each time.
const SEED: &str = "8119";

/// What is built.
const PROJECT: &str = r#"
[builder.test]
host = "local"
recipe = "test"

[recipe.test]
run = "cat result.txt; grep -q ok result.txt"
"#;

/// Arguments of `cargo xtask api`.
#[derive(clap::Args)]
pub struct Args {
    /// The server to start, if not the one of this tree
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Only operations whose id matches a regular expression
    #[arg(long, value_name = "REGEX")]
    only: Option<String>,
    /// Random cases for each operation, beside those that follow from the document
    #[arg(long, default_value_t = 10)]
    examples: u32,
    /// Where schemathesis leaves what it did
    #[arg(long, value_name = "DIR", default_value = "target/api")]
    out: PathBuf,
    /// Only write the command line's client anew from docs/openapi.json
    #[arg(long)]
    client: bool,
}

/// What no schema can say of data that is right: these operations may refuse what follows the document, and nothing else of
/// them is passed over.
const NOT_BY_SCHEMA: [(&str, &str); 4] = [
    ("put_bundle", "The bytes are a git bundle with the commit of the query."),
    ("put_artifact", "The bytes have the digest of the query."),
    ("put_build", "The body has the id of the path, and its revision is of its repo."),
    ("put_branch", "The list of commits begins with the head, which is among those that are sent or known."),
];

/// What a run counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    operations: u64,
    cases: u64,
    findings: u64,
}

/// Asks everything, and ends with `N operations, M cases, F findings`.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.client {
        client::write()?;
        return Ok(ExitCode::SUCCESS);
    }
    setup::ensure("api")?;
    let program = match &args.program {
        Some(program) => program.clone(),
        None => server_binary::tested()?,
    };
    std::fs::create_dir_all(&args.out)?;
    let out = std::path::absolute(&args.out)?;
    let dir = tempfile::tempdir().context("a folder for the server")?;
    let began = Instant::now();
    let mut server = started(&program, dir.path())?;
    let admin = server.token()?;
    let known = known(&server)?;
    let mut all = Counted::default();
    for role in ["admin", "service"] {
        // Made when it is needed: an admin revokes all tokens that there are.
        let token = if role == "admin" { admin.clone() } else { token(&server, &admin, role)? };
        let found = asked(args, &server, role, &token, &known, &out)?;
        println!(
            "as {role}: {} operations, {} cases, {} findings",
            found.operations, found.cases, found.findings
        );
        all.operations = all.operations.max(found.operations);
        all.cases += found.cases;
        all.findings += found.findings;
    }
    let printed = server.printed();
    let panics = printed.lines().filter(|line| line.contains("panicked at")).count() as u64;
    if panics > 0 {
        println!(
            "the server panicked {panics} times; what it printed is in {}",
            out.join("server.log").display()
        );
    }
    std::fs::write(out.join("server.log"), printed)?;
    server.interrupt()?;
    println!(
        "{} operations, {} cases, {} findings, {} s",
        all.operations,
        all.cases,
        all.findings + panics,
        began.elapsed().as_secs()
    );
    Ok(if all.findings + panics == 0 && all.cases > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts a server and waits until it has built a commit that is good and one that is not.
fn started(program: &Path, dir: &Path) -> Result<Server> {
    let mut repo = GitRepo::create(&dir.join("app"))?;
    repo.commit(
        "first",
        &[("bellwether.toml", File::Text(PROJECT)), ("result.txt", File::Text("all ok\n"))],
    )?;
    repo.commit("second", &[("result.txt", File::Text("error: it is broken\n"))])?;
    // Who asks without a token is counted as one stranger, however fast.
    let url = repo.dir().display();
    let text = format!(
        "[access]\nstrangers_per_second = 1000000\nstrangers_burst = 1000000\n\n[repo.app]\nurl = \"{url}\"\nhorizon = 2\n"
    );
    let server = Server::configured(program.to_owned(), dir, &text)?;
    wait_for("two builds", BUILT, || {
        let done = read(&server, "/api/v1/builds?state=done")?;
        Ok(done["builds"].as_array().is_some_and(|builds| builds.len() >= 2).then_some(()))
    })?;
    Ok(server)
}

/// Names and ids that are there, by parameter.
fn known(server: &Server) -> Result<Vec<(&'static str, Vec<String>)>> {
    let builds = read(server, "/api/v1/builds?state=done")?;
    let builds = builds["builds"].as_array().context("a list of builds")?;
    let (mut ids, mut attempts, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for build in builds {
        let id = build["id"].as_str().context("a build without an id")?;
        let whole = read(server, &format!("/api/v1/builds/{id}"))?;
        ids.push(id.to_owned());
        attempts.extend(whole["attempts"][0]["id"].as_str().map(str::to_owned));
        hashes.extend(build["revision"].as_str().and_then(|text| Some(text.split_once('@')?.1.to_owned())));
    }
    Ok(vec![
        ("path.id", ids),
        ("path.attempt", attempts),
        ("path.repo", vec!["app".to_owned()]),
        ("path.hash", hashes),
    ])
}

/// Makes a token of a role.
fn token(server: &Server, admin: &str, role: &str) -> Result<String> {
    let body = serde_json::json!({ "name": format!("xtask-{role}"), "role": role });
    let made = server.request("POST", "/api/v1/tokens", Some(admin), Some(&body))?.json()?;
    made["token"].as_str().map(str::to_owned).with_context(|| format!("no token for {role}: {made}"))
}

/// What anybody may read.
fn read(server: &Server, path: &str) -> Result<Value> {
    server.request("GET", path, None, None)?.json()
}

/// Runs schemathesis once with a token: an admin asks everything, a service what only services may.
fn asked(
    args: &Args,
    server: &Server,
    role: &str,
    token: &str,
    known: &[(&str, Vec<String>)],
    out: &Path,
) -> Result<Counted> {
    let config = out.join(format!("{role}.toml"));
    std::fs::write(&config, configured(known))?;
    let report = out.join(format!("{role}.json"));
    let mut command = Command::new(setup::path("schemathesis")?.join("bin/schemathesis"));
    let url = format!("http://{}/api/v1/openapi.json", server.address());
    command
        .arg("--config-file")
        .arg(&config)
        .args(["run", &url, "--checks", "all", "--mode", "all", "--workers", "1", "--seed", SEED])
        .args(["--max-examples", &args.examples.to_string(), "--continue-on-failure", "--no-color"])
        .args(["--generation-database", "none", "--request-timeout", "30"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--report", "json", "--report-json-path"])
        .arg(&report)
        .current_dir(out);
    if role == "service" {
        for id in of_services(server)? {
            command.args(["--include-operation-id", &id]);
        }
    }
    if let Some(only) = &args.only {
        command.args(["--include-operation-id-regex", only]);
    }
    let end = process::stream(&mut command, LIMIT, |line| match line {
        Line::Out(text) => println!("{text}"),
        Line::Err(text) => eprintln!("{text}"),
    })?;
    match end {
        // 1 is that something was found.
        End::Exited(status) if matches!(status.code(), Some(0 | 1)) => {}
        End::Exited(status) => bail!("schemathesis: {status}"),
        End::TimedOut => bail!("schemathesis took more than {} min", LIMIT.as_secs() / 60),
    }
    let said = std::fs::read_to_string(&report).context("what schemathesis reports")?;
    counted(&serde_json::from_str(&said)?)
}

/// The operations that only services may use.
fn of_services(server: &Server) -> Result<Vec<String>> {
    let document = read(server, "/api/v1/openapi.json")?;
    let paths = document["paths"].as_object().context("paths")?;
    let all = paths.values().filter_map(Value::as_object).flat_map(|methods| methods.values());
    let of_services = all.filter(|one| one["x-roles"] == serde_json::json!(["service"]));
    Ok(of_services.filter_map(|one| one["operationId"].as_str().map(str::to_owned)).collect())
}

/// The configuration of a run. Most ids and names are those of things that are there, so that more is asked than whether
/// something exists; of a stream of events, which does not end, the first few are read.
fn configured(known: &[(&str, Vec<String>)]) -> String {
    let mut text = "max-stream-events = 3\n\n".to_owned();
    for (n, (_, values)) in known.iter().enumerate() {
        text.push_str(&format!("[dictionaries.known{n}]\nvalues = {values:?}\n\n"));
    }
    for (operation, why) in NOT_BY_SCHEMA {
        text.push_str(&format!(
            "# {why}\n[[operations]]\ninclude-operation-id = {operation:?}\n\
             checks.positive_data_acceptance.expected-statuses = [\"2xx\", 400, 401, 403, 404, 409, 422]\n\n"
        ));
    }
    text.push_str("[parameters]\n");
    for (n, (name, _)) in known.iter().enumerate() {
        text.push_str(&format!("{name:?} = {{ dictionary = \"known{n}\", probability = 0.8 }}\n"));
    }
    text
}

/// Reads what schemathesis counted; an error of its own is a finding too, for something was not asked.
fn counted(report: &Value) -> Result<Counted> {
    let number =
        |value: &Value| value.as_u64().with_context(|| format!("no number in the report: {report:.200}"));
    let (operations, cases) = (&report["operations"], &report["test_cases"]);
    let errors = report["errors"].as_array().context("no errors in the report")?.len() as u64;
    let unfinished = u64::from(report["complete"] != true);
    Ok(Counted {
        operations: number(&operations["tested"])?,
        cases: number(&cases["generated"])?,
        findings: number(&cases["unique_failures"])? + errors + unfinished,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_not_asked_is_a_finding() {
        let report = |complete: bool, errors: Value| {
            json!({"complete": complete, "errors": errors, "operations": {"tested": 3},
                "test_cases": {"generated": 40, "unique_failures": 2}})
        };
        let found = |findings| Counted { operations: 3, cases: 40, findings };
        assert_eq!(counted(&report(true, json!([]))).unwrap(), found(2));
        assert_eq!(counted(&report(false, json!([{}]))).unwrap(), found(4));
        assert!(counted(&json!({})).is_err());
    }

    #[test]
    fn names_that_are_there_are_given_by_their_parameter() {
        let text = configured(&[("path.id", vec!["A".to_owned(), "B".to_owned()])]);
        let config: toml::Table = text.parse().unwrap();
        assert_eq!(config["parameters"]["path.id"]["dictionary"].as_str(), Some("known0"));
        assert_eq!(config["dictionaries"]["known0"]["values"].as_array().unwrap().len(), 2);
    }
}
