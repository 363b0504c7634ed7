//! `gomote`: machines that are held for somebody at a terminal.

mod carry;
mod desk;
mod dirs;
mod exec;
mod push;
mod several;
mod ssh;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use comfy_table::{Table, presets};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use gomote::create_instance_response::Status as Progress;
use gomote::{
    AddBootstrapRequest, CreateInstanceRequest, DestroyInstanceRequest, Instance, InstanceAliveRequest,
    ListDirectoryRequest, ListInstancesRequest, ListSwarmingBuildersRequest, RemoveFilesRequest,
};
use store::Micros;

use super::client::{Remote, print_json};
use crate::args::{Create, Gomote, Ls, Server};
use crate::terminal::plain;
use desk::Desk;

/// Names are cut to so many characters.
const WIDTH: usize = 300;

pub async fn run(command: Gomote) -> Result<ExitCode> {
    match command {
        Gomote::Create(args) => create(&args).await?,
        Gomote::Hold { server, build } => {
            let remote = Remote::new(&server)?;
            let answer = remote.hint(remote.api.hold_build(&build, None).await)?;
            match server.json {
                true => print_json(&answer)?,
                false => println!(
                    "{} is {}; if it fails, its machine is held for you: `bellwether gomote list`",
                    answer.id, answer.state
                ),
            }
        }
        Gomote::Unhold { server, builds } => {
            let remote = Remote::new(&server)?;
            let remote = &remote;
            let let_go = async |build: String| remote.hint(remote.api.unhold_build(&build).await);
            several::each_of("builds", builds, let_go).await?;
        }
        Gomote::List { server, all: false } => list(&server).await?,
        Gomote::List { server, all: true } => list_all(&server).await?,
        Gomote::Destroy { server, names } => {
            let desk = Desk::new(&server)?;
            let names = meant(&desk, &server, &names).await?;
            several::each(names, async |gomote_id| {
                let request = DestroyInstanceRequest { gomote_id };
                desk.done(|mut api| async move { api.destroy_instance(request).await }).await
            })
            .await?;
        }
        Gomote::Ping { server, names } => {
            let desk = Desk::new(&server)?;
            let names = meant(&desk, &server, &names).await?;
            several::each(names, async |gomote_id| {
                let request = InstanceAliveRequest { gomote_id: gomote_id.clone() };
                desk.done(|mut api| async move { api.instance_alive(request).await }).await?;
                println!("{gomote_id}: alive");
                Ok(())
            })
            .await?;
        }
        Gomote::Group(command) => several::run(&command).await?,
        Gomote::Run(args) => return exec::run(&args).await,
        Gomote::Ssh(args) => return ssh::run(&args).await,
        Gomote::Push(args) => push::run(&args).await?,
        Gomote::Put(args) => carry::put(&args).await?,
        Gomote::Puttar(args) => carry::puttar(&args).await?,
        Gomote::Gettar(args) => carry::gettar(&args).await?,
        Gomote::Putbootstrap { server, name } => {
            let request = AddBootstrapRequest { gomote_id: several::one(&name)? };
            let desk = Desk::new(&server)?;
            let done = desk.done(|mut api| async move { api.add_bootstrap(request).await }).await?;
            match done.bootstrap_go_url.as_str() {
                "" => eprintln!("there is nothing to put: what this builder starts from is in its recipe"),
                url => println!("{url}"),
            }
        }
        Gomote::Ls(args) => ls(args).await?,
        Gomote::Rm { server, name, paths } => {
            let desk = Desk::new(&server)?;
            let names = several::all(&desk, &server, &name).await?;
            several::each(names, async |gomote_id| {
                let request = RemoveFilesRequest { gomote_id, paths: paths.clone() };
                desk.done(|mut api| async move { api.remove_files(request).await }).await
            })
            .await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The machines that several words mean.
async fn meant(desk: &Desk, server: &Server, words: &[String]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for word in words {
        names.extend(several::all(desk, server, word).await?);
    }
    Ok(names)
}

async fn builders(desk: &Desk) -> Result<Vec<String>> {
    let request = ListSwarmingBuildersRequest {};
    Ok(desk.done(|mut api| async move { api.list_swarming_builders(request).await }).await?.builders)
}

/// The builder that is meant by its name or its beginning; of a project's builder, the project's name may be left out.
fn chosen(all: &[String], said: &str) -> Result<String> {
    let own = |name: &'_ String| name.rsplit(':').next().unwrap_or_default().to_owned();
    if all.iter().any(|one| one == said || own(one) == said) {
        return Ok(said.to_owned());
    }
    let begins = |one: &&String| one.starts_with(said) || own(one).starts_with(said);
    let mut begin: Vec<_> = all.iter().filter(begins).cloned().collect();
    match begin.len() {
        // The server says what is wrong with it.
        0 => Ok(said.to_owned()),
        1 => Ok(begin.swap_remove(0)),
        _ => bail!("{said} begins the names of several builders: {}", begin.join(", ")),
    }
}

async fn create(args: &Create) -> Result<()> {
    let (desk, json) = (Desk::new(&args.server)?, args.server.json);
    let all = builders(&desk).await?;
    let Some(builder) = args.builder.as_ref().filter(|_| !args.list) else {
        match json {
            true => print_json(&all)?,
            false => all.iter().for_each(|builder| println!("{builder}")),
        }
        return Ok(());
    };
    let builder = chosen(&all, builder)?;
    let waits = (0..args.count).map(|n| {
        let number = (args.count > 1).then_some(n + 1);
        one(desk.clone(), builder.clone(), number)
    });
    let mut waits: FuturesUnordered<_> = waits.collect();
    let mut failed = None;
    let mut instances = Vec::new();
    // Those whose names could not be said: whoever asked for them can't know them.
    let mut unsaid = Vec::new();
    // Each is told as it comes: others may be long in coming.
    while let Some(one) = waits.next().await {
        match one {
            Ok(instance) => {
                if let Some(group) = &args.group {
                    several::Groups::of(&args.server)?
                        .add(group, std::slice::from_ref(&instance.gomote_id))?;
                }
                match json {
                    true => instances.push(instance),
                    false => {
                        if let Err(error) = say(&instance.gomote_id) {
                            unsaid.push(instance.gomote_id);
                            failed = Some(error);
                            break;
                        }
                    }
                }
            }
            Err(error) => failed = Some(error),
        }
    }
    // Whoever is still waited for is not any more.
    drop(waits);
    if json {
        let all: Vec<_> = instances.iter().map(told).collect();
        if let Err(error) = say(&serde_json::to_string_pretty(&all)?) {
            unsaid.extend(instances.into_iter().map(|instance| instance.gomote_id));
            failed = Some(error);
        }
    }
    for gomote_id in unsaid {
        let request = DestroyInstanceRequest { gomote_id: gomote_id.clone() };
        let given_back = desk.done(|mut api| async move { api.destroy_instance(request).await }).await;
        match given_back {
            Ok(_) => eprintln!("{gomote_id} is given back: its name could not be said"),
            Err(error) => eprintln!("{gomote_id} is yours, and could not be given back: {error:#}"),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Prints a line that has to arrive: what it names is held until somebody who knows the name gives it back.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("stdout can't be written")
}

/// Waits for one machine.
async fn one(desk: Desk, builder_type: String, number: Option<u8>) -> Result<Instance> {
    let request = CreateInstanceRequest { builder_type, experiment_option: Vec::new() };
    let mut told = desk.done(|mut api| async move { api.create_instance(request).await }).await?;
    let mut said = String::new();
    loop {
        let Some(next) = desk.hint(told.message().await)? else {
            bail!("the server ended the wait without a word")
        };
        if let (Progress::Complete, Some(instance)) = (next.status(), &next.instance) {
            return Ok(instance.clone());
        }
        let which = number.map_or_else(String::new, |number| format!("machine {number}: "));
        let why = match next.reason.as_str() {
            "" => "waiting".to_owned(),
            reason => reason.to_owned(),
        };
        let line = format!("{which}{why}; {} ahead of you", next.waiters_ahead);
        if line != said {
            eprintln!("{line}");
            said = line;
        }
    }
}

/// An instance for programs.
fn told(instance: &Instance) -> serde_json::Value {
    serde_json::json!({
        "name": instance.gomote_id, "builder": instance.builder_type, "host": instance.host_type,
        "expires": instance.expires, "workdir": instance.working_dir,
    })
}

async fn list(server: &Server) -> Result<()> {
    let desk = Desk::new(server)?;
    let request = ListInstancesRequest {};
    let held = desk.done(|mut api| async move { api.list_instances(request).await }).await?.instances;
    if server.json {
        return print_json(&held.iter().map(told).collect::<Vec<_>>());
    }
    if held.is_empty() {
        eprintln!("you hold no machine; `bellwether gomote create BUILDER` gets one");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "BUILDER", "HOST", "ENDS IN"]);
    let now = Micros::now().0 / 1_000_000;
    for one in &held {
        let left = Duration::from_secs(u64::try_from(one.expires - now).unwrap_or(0));
        let left = crate::terminal::duration(left.as_secs_f64());
        table.add_row([one.gomote_id.clone(), one.builder_type.clone(), one.host_type.clone(), left]);
    }
    println!("{}", table.trim_fmt());
    Ok(())
}

/// What everybody holds.
async fn list_all(server: &Server) -> Result<()> {
    let remote = Remote::new(server)?;
    let held = remote.hint(remote.api.list_gomotes().await)?.gomotes;
    if server.json {
        return print_json(&held);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "OWNER", "BUILDER", "HOST", "SINCE", "ENDS IN"]);
    let now = Micros::now();
    for one in held {
        let left = Duration::from_micros(u64::try_from(one.expires.0 - now.0).unwrap_or(0));
        let since = jiff::Timestamp::from_microsecond(one.created.0).unwrap_or_default();
        table.add_row([
            plain(&one.name, WIDTH),
            plain(&one.owner, WIDTH),
            plain(&one.builder, WIDTH),
            plain(&one.host, WIDTH),
            since.strftime("%Y-%m-%d %H:%M").to_string(),
            crate::terminal::duration(left.as_secs_f64()),
        ]);
    }
    println!("{}", table.trim_fmt());
    Ok(())
}

async fn ls(args: Ls) -> Result<()> {
    let desk = Desk::new(&args.server)?;
    let request = ListDirectoryRequest {
        gomote_id: several::one(&args.name)?,
        directory: args.dir,
        recursive: args.recursive,
        skip_files: args.skip,
        digest: args.digest,
    };
    let mut told = desk.done(|mut api| async move { api.list_directory_streaming(request).await }).await?;
    while let Some(some) = desk.hint(told.message().await)? {
        some.entries.iter().for_each(|line| println!("{line}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn a_builder_is_meant_by_what_only_its_name_begins_with() {
        let all = ["app:linux", "linux-arm64", "linux-arm64-race", "windows"].map(str::to_owned);
        for (said, meant) in [
            ("linux-arm64", "linux-arm64"),
            ("w", "windows"),
            ("linux-arm64-", "linux-arm64-race"),
            ("app:l", "app:linux"),
            ("linux", "linux"),
            ("plan9", "plan9"),
        ] {
            assert_eq!(chosen(&all, said).unwrap(), meant);
        }
        let error = chosen(&all, "lin").unwrap_err().to_string();
        assert!(error.contains("app:linux, linux-arm64, linux-arm64-race"), "{error}");
    }
}
