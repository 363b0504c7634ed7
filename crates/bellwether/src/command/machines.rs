//! `machines`: what each does, and who keeps it from work.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use coordinator::{MachineInfo, ResumeRequest, SetAsideRequest};
use store::Micros;

use super::client::{Remote, print_json};
use crate::args::{DrainMachine, MachineOrder, Machines, ResumeMachine, Server, SetAsideMachine};
use crate::terminal::plain;

/// Reasons and names are cut to so many characters.
const WIDTH: usize = 300;

pub async fn run(args: &Machines) -> Result<ExitCode> {
    match &args.order {
        None => list(&args.server).await,
        Some(MachineOrder::Drain(args)) => drain(args).await,
        Some(MachineOrder::SetAside(args)) => set_aside(args).await,
        Some(MachineOrder::Resume(args)) => resume(args).await,
    }
}

async fn list(args: &Server) -> Result<ExitCode> {
    let remote = Remote::new(args)?;
    let machines = remote.hint(remote.api.list_machines().await)?.machines;
    if args.json {
        print_json(&machines)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["MACHINE", "HOST", "STATE", "SINCE", "RUNS", "DETAIL", "NOTES"]);
    for machine in &machines {
        let here = machine.here.as_ref();
        table.add_row([
            plain(&machine.name, WIDTH),
            plain(&machine.host, WIDTH),
            state(machine).to_owned(),
            since(machine).map_or_else(String::new, moment),
            machine.runs.as_deref().map(|runs| plain(runs, WIDTH)).unwrap_or_default(),
            here.map(|here| plain(&here.detail, WIDTH)).unwrap_or_default(),
            notes(machine),
        ]);
    }
    println!("{}", table.trim_fmt());
    Ok(ExitCode::SUCCESS)
}

fn state(machine: &MachineInfo) -> &str {
    match (&machine.here, &machine.turned_away) {
        (Some(here), _) => &here.state,
        (None, Some(_)) => "turned away",
        (None, None) => "not here",
    }
}

/// Since when; of one that was turned away when it tried last.
fn since(machine: &MachineInfo) -> Option<Micros> {
    let tried = machine.turned_away.as_ref().map(|one| one.tried);
    machine.here.as_ref().map(|here| here.since).or(tried)
}

fn moment(time: Micros) -> String {
    let time = jiff::Timestamp::from_microsecond(time.0).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Who keeps a machine from work, and why, or why the server does; that it is to go; that another shows its identity; why it was
/// turned away.
fn notes(machine: &MachineInfo) -> String {
    let here = machine.here.as_ref();
    let by_server = here.filter(|here| here.state == "set_aside").and_then(|here| here.reason.clone());
    let aside = match &machine.set_aside {
        Some(aside) => Some(format!("set aside {aside}")),
        None => by_server.map(|reason| format!("set aside: {reason}")),
    };
    let leaves = here.and_then(|here| here.leaves.as_ref());
    let leaves = leaves.map(|reason| format!("goes once it has done what it does: {reason}"));
    let doubled = here.and_then(|here| here.doubled.clone());
    let turned_away = machine.turned_away.as_ref().map(|one| format!("turned away: {}", one.reason));
    let words: Vec<String> = [aside, leaves, doubled, turned_away].into_iter().flatten().collect();
    plain(&words.join("; "), WIDTH)
}

async fn drain(args: &DrainMachine) -> Result<ExitCode> {
    let (reason, host) = (args.reason.clone(), args.host.clone());
    let body = SetAsideRequest { reason, host, expires_in: None, now: args.now };
    order(&args.server, &args.name, &body).await
}

async fn set_aside(args: &SetAsideMachine) -> Result<ExitCode> {
    let expires_in = match &args.lasts {
        Some(text) => {
            let time = buildenv::parse_duration(text);
            Some(
                time.with_context(|| format!("--for: {text}; write it as 90m, 2h or 1d, for example"))?
                    .as_secs(),
            )
        }
        None => None,
    };
    let (reason, host) = (args.reason.clone(), args.host.clone());
    order(&args.server, &args.name, &SetAsideRequest { reason, host, expires_in, now: args.now }).await
}

async fn order(server: &Server, name: &str, body: &SetAsideRequest) -> Result<ExitCode> {
    let remote = Remote::new(server)?;
    said(server, &remote.hint(remote.api.set_machine_aside(name, body).await)?)
}

async fn resume(args: &ResumeMachine) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let body = ResumeRequest { host: args.host.clone() };
    said(&args.server, &remote.hint(remote.api.resume_machine(&args.name, Some(&body)).await)?)
}

fn said(server: &Server, machine: &MachineInfo) -> Result<ExitCode> {
    if server.json {
        print_json(machine)?;
        return Ok(ExitCode::SUCCESS);
    }
    let named = plain(&format!("{} of host {}", machine.name, machine.host), WIDTH);
    let busy = machine.here.as_ref().is_some_and(|here| here.state == "busy");
    match &machine.set_aside {
        Some(aside) => {
            let then = if busy { ", once it has done what it does" } else { "" };
            println!("{named} is set aside{then}, {}", plain(&aside.to_string(), WIDTH));
        }
        None => println!("{named} may work"),
    }
    Ok(ExitCode::SUCCESS)
}
