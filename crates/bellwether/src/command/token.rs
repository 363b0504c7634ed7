//! `token` and `login`: who may speak to a server.

use std::process::ExitCode;

use access::{LinkRequest, TokenInfo, TokenRequest};
use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use store::Micros;

use super::client::{Remote, print_json};
use crate::args::{Login, Token, TokenCreate, TokenDerive, TokenRevoke};

pub async fn run(args: &Token) -> Result<ExitCode> {
    match args {
        Token::Create(args) => create(args).await,
        Token::List(args) => {
            let remote = Remote::new(args)?;
            let list = remote.hint(remote.api.list_tokens().await)?;
            match args.json {
                true => print_json(&list.tokens)?,
                false => table(&list.tokens),
            }
            Ok(ExitCode::SUCCESS)
        }
        Token::Revoke(args) => revoke(args).await,
        Token::Derive(args) => derive(args),
    }
}

async fn create(args: &TokenCreate) -> Result<ExitCode> {
    let expires_in = match &args.expires {
        Some(text) => {
            Some(buildenv::parse_duration(text).context("--expires: such as 12h or 90d")?.as_secs())
        }
        None => None,
    };
    let (name, role, repos) = (args.name.clone(), args.role.clone(), args.repo.clone());
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
    remote.hint(remote.api.revoke_token(&args.name).await)?;
    if args.server.json {
        print_json(&serde_json::json!({"revoked": args.name}))?;
    } else {
        println!("{} is revoked", args.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn table(tokens: &[TokenInfo]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "ROLE", "REPOS", "MADE", "LAST USED", "ENDS"]);
    for token in tokens {
        let time = |time: Option<Micros>| {
            let time = time.and_then(|time| jiff::Timestamp::from_microsecond(time.0).ok());
            time.map_or_else(|| "–".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M").to_string())
        };
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
