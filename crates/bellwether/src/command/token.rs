//! `token` and `login`: who may speak to a server.

use std::process::ExitCode;

use access::{LinkRequest, TokenInfo, TokenRequest};
use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use coordinator::{MachineTokenInfo, MachineTokenRequest};
use store::Micros;

use super::client::{Remote, print_json};
use crate::args::{
    CreateKind, ListKind, Login, MachineCreate, MachineRevoke, RevokeKind, Server, Token, TokenCreate,
    TokenDerive, TokenList, TokenRevoke,
};
use crate::terminal::plain;

/// What a machine says of itself is cut to so many characters.
const WIDTH: usize = 60;

pub async fn run(args: &Token) -> Result<ExitCode> {
    match args {
        Token::Create(TokenCreate { kind: Some(CreateKind::Machine(args)), .. }) => {
            create_machine(args).await
        }
        Token::Create(args) => create(args).await,
        Token::List(TokenList { kind: Some(ListKind::Machine(args)), .. }) => list_machines(args).await,
        Token::List(args) => list(&args.server).await,
        Token::Revoke(TokenRevoke { kind: Some(RevokeKind::Machine(args)), .. }) => {
            revoke_machine(args).await
        }
        Token::Revoke(args) => revoke(args).await,
        Token::Derive(args) => derive(args),
    }
}

async fn list(args: &Server) -> Result<ExitCode> {
    let remote = Remote::new(args)?;
    let list = remote.hint(remote.api.list_tokens().await)?;
    if args.json {
        print_json(&list.tokens)?;
        return Ok(ExitCode::SUCCESS);
    }
    table(&list.tokens);
    let machines = remote.hint(remote.api.list_machine_tokens().await)?.machine_tokens;
    if !machines.is_empty() {
        println!();
        machine_table(&machines);
    }
    Ok(ExitCode::SUCCESS)
}

async fn list_machines(args: &Server) -> Result<ExitCode> {
    let remote = Remote::new(args)?;
    let machines = remote.hint(remote.api.list_machine_tokens().await)?.machine_tokens;
    match args.json {
        true => print_json(&machines)?,
        false => machine_table(&machines),
    }
    Ok(ExitCode::SUCCESS)
}

async fn create_machine(args: &MachineCreate) -> Result<ExitCode> {
    let expires = buildenv::parse_duration(&args.expires).context("--expires: such as 1h or 7d")?;
    let (name, host) = (args.name.clone(), args.host.clone());
    let body = MachineTokenRequest { name, host, expires_in: Some(expires.as_secs()) };
    let remote = Remote::new(&args.server)?;
    let made = remote.hint(remote.api.create_machine_token(&body).await)?;
    if args.server.json {
        print_json(&made)?;
    } else {
        let MachineTokenInfo { name, host, expires, .. } = &made.info;
        eprintln!(
            "machine {name} of host {host} has until {} to join; it is shown this once",
            time(Some(*expires))
        );
        println!("{}", made.token);
    }
    Ok(ExitCode::SUCCESS)
}

async fn revoke_machine(args: &MachineRevoke) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    remote.hint(remote.api.revoke_machine_token(&args.name).await)?;
    if args.server.json {
        print_json(&serde_json::json!({"revoked": args.name}))?;
    } else {
        println!("machine {} is revoked", args.name);
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(args: &TokenCreate) -> Result<ExitCode> {
    let expires_in = match &args.expires {
        Some(text) => {
            Some(buildenv::parse_duration(text).context("--expires: such as 12h or 90d")?.as_secs())
        }
        None => None,
    };
    let name = args.name.clone().context("a token needs a name")?;
    let (role, repos) = (args.role.clone(), args.repo.clone());
    let body = TokenRequest { name, role, repos, expires_in };
    let remote = Remote::new(&args.server)?;
    let made = remote.hint(remote.api.create_token(&body).await)?;
    if args.server.json {
        print_json(&made)?;
    } else {
        eprintln!("{}, {}: it is shown this once", made.info.name, made.info.role);
        println!("{}", made.token);
    }
    Ok(ExitCode::SUCCESS)
}

fn derive(args: &TokenDerive) -> Result<ExitCode> {
    let file = args.key_file.display();
    let master = std::fs::read_to_string(&args.key_file).with_context(|| format!("reading {file}"))?;
    let master = master.trim();
    // Everybody knows the keys of an empty one.
    anyhow::ensure!(!master.is_empty(), "{file} is empty; make a key with `openssl rand -hex 32 > {file}`");
    println!("{}", dashboard::builder_key(master, &args.host));
    Ok(ExitCode::SUCCESS)
}

async fn revoke(args: &TokenRevoke) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let name = args.name.as_deref().context("which token?")?;
    remote.hint(remote.api.revoke_token(name).await)?;
    if args.server.json {
        print_json(&serde_json::json!({"revoked": name}))?;
    } else {
        println!("{name} is revoked");
    }
    Ok(ExitCode::SUCCESS)
}

/// A time as it stands in a table.
fn time(time: Option<Micros>) -> String {
    let time = time.and_then(|time| jiff::Timestamp::from_microsecond(time.0).ok());
    time.map_or_else(|| "–".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M").to_string())
}

fn machine_table(machines: &[MachineTokenInfo]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["MACHINE", "HOST", "MADE", "JOINED", "LAST SEEN", "FROM", "VERSION"]);
    for machine in machines {
        let joined = match (machine.revoked, machine.joined) {
            (Some(_), _) => format!("revoked {}", time(machine.revoked)),
            (None, Some(_)) => time(machine.joined),
            (None, None) => format!("not yet, until {}", time(Some(machine.expires))),
        };
        let said =
            |text: &Option<String>| text.as_deref().map_or("–".to_owned(), |text| plain(text, WIDTH));
        table.add_row([
            machine.name.clone(),
            machine.host.clone(),
            time(Some(machine.created)),
            joined,
            time(machine.seen),
            said(&machine.seen_from),
            said(&machine.version),
        ]);
    }
    println!("{}", table.trim_fmt());
}

fn table(tokens: &[TokenInfo]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "ROLE", "REPOS", "MADE", "LAST USED", "ENDS"]);
    for token in tokens {
        let ends = match token.revoked {
            Some(_) => format!("revoked {}", time(token.revoked)),
            None => time(token.expires),
        };
        let repos = if token.repos.is_empty() { "all".to_owned() } else { token.repos.join(" ") };
        table.add_row([
            token.name.clone(),
            token.role.clone(),
            repos,
            time(Some(token.created)),
            time(token.used),
            ends,
        ]);
    }
    println!("{}", table.trim_fmt());
}

/// Prints a new link by which a browser signs in.
pub async fn login(args: &Login) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let body = LinkRequest { person: args.person.clone(), role: args.role.clone() };
    let link = remote.hint(remote.api.create_login_link(Some(&body)).await)?;
    let url = format!("{}{}", remote.url, link.path);
    if args.server.json {
        print_json(&serde_json::json!({"url": url, "seconds": link.seconds}))?;
    } else {
        eprintln!("it works once, within {} minutes:", link.seconds / 60);
        println!("{url}");
    }
    Ok(ExitCode::SUCCESS)
}
