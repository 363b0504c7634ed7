//! `cargo xtask legacy`: the original dashboard's own sequence of requests, over HTTP, on each database; then its own
//! programs.

mod clients;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use testkit::legacy::{CONFIG, sequence};
use testkit::{Postgres, Server};

use crate::server_binary;

/// The key of servers that are started here.
const KEY: &str = "gophers rule";

/// Arguments of `cargo xtask legacy`.
#[derive(clap::Args)]
pub struct Args {
    /// A server's dashboard, such as http://127.0.0.1:8119/dash; it must be empty, and know the package golang.org/x/test.
    /// Without it, servers are started here: on SQLite, on PostgreSQL, and one for the original's own programs
    #[arg(long, value_name = "URL", requires = "key_file")]
    base: Option<String>,
    /// The file with that server's master key
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The server to start, if not the one of this tree
    #[arg(long, value_name = "FILE", conflicts_with = "base")]
    program: Option<PathBuf>,
}

/// Prints each request with what came of it, and at the end `N requests, N differences`.
pub fn run(args: &Args) -> Result<ExitCode> {
    let differences = match (&args.base, &args.key_file) {
        (Some(base), Some(file)) => {
            let key = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
            let (address, prefix) = address(base)?;
            walk(address, &prefix, key.trim())?
        }
        _ => own_servers(args.program.clone())?,
    };
    Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn own_servers(program: Option<PathBuf>) -> Result<usize> {
    let program = match program {
        Some(program) => program,
        None => server_binary::tested()?,
    };
    let dir = tempfile::tempdir().context("a folder for the servers")?;
    println!("SQLite");
    let mut differences = on_a_server(&program, &dir.path().join("sqlite"), "sqlite:bellwether.db")?;
    println!("PostgreSQL");
    let postgres = Postgres::start()?;
    differences += on_a_server(&program, &dir.path().join("postgres"), &postgres.url())?;
    println!("the original's own programs");
    clients::run(&program, &dir.path().join("clients"))?;
    Ok(differences)
}

fn on_a_server(program: &Path, dir: &Path, database: &str) -> Result<usize> {
    let data = dir.join("data");
    std::fs::create_dir_all(&data)?;
    std::fs::write(data.join("builder.key"), format!("{KEY}\n"))?;
    let config = format!("[environment.dev]\ndatabase = \"{database}\"\n{CONFIG}");
    let mut server = Server::configured(program.to_owned(), dir, &config)?;
    let differences = walk(server.address(), "/dash", KEY)?;
    server.interrupt()?;
    Ok(differences)
}

/// Sends the sequence; returns how often something else came than must.
fn walk(address: SocketAddr, prefix: &str, key: &str) -> Result<usize> {
    let steps = sequence(key);
    let mut differences = 0;
    for step in &steps {
        let answer = testkit::request(
            address,
            step.method,
            &format!("{prefix}{}", step.path),
            None,
            step.body.as_ref(),
        )?;
        let came = step.came(answer.status, &answer.body);
        println!("{:<4} {} -> {came}", step.method, without_key(&step.path));
        if came != step.expected {
            differences += 1;
            println!("     DIFFERS: expected {}", step.expected);
        }
    }
    println!("{} requests, {differences} differences", steps.len());
    Ok(differences)
}

/// A path without the key, which nobody who reads this should see.
fn without_key(path: &str) -> String {
    let words = path.split('&').map(|word| if word.starts_with("key=") { "key=…" } else { word });
    words.collect::<Vec<_>>().join("&")
}

fn address(base: &str) -> Result<(SocketAddr, String)> {
    let rest = base.strip_prefix("http://").context("--base is an address that begins with http://")?;
    let (host, path) =
        rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let address = host.to_socket_addrs().with_context(|| host.clone())?.next();
    Ok((address.with_context(|| format!("{host} has no address"))?, path.trim_end_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_a_key_not_shown() {
        let (at, path) = address("http://127.0.0.1:8119/dash/").unwrap();
        assert_eq!((at.to_string().as_str(), path.as_str()), ("127.0.0.1:8119", "/dash"));
        assert_eq!(address("http://127.0.0.1").unwrap().0.port(), 80);
        assert!(address("127.0.0.1:1").is_err());
        assert_eq!(without_key("/result?version=1&key=secret"), "/result?version=1&key=…");
    }
}
