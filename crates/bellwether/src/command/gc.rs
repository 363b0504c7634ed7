//! `gc`: what is kept no more goes, beside a server or without one.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use dashboard::{Dashboard, DashboardParts, Gone, LogLimits, Round};
use store::Micros;
use tokio::sync::watch;

use super::client::print_json;
use super::state::Place;
use crate::args::Gc;
use crate::system::data;
use crate::terminal::plain;

pub async fn run(args: &Gc) -> Result<ExitCode> {
    let place = Place::of(&args.state)?;
    let db = place.open().await?;
    // The command works by one reading of the configuration.
    let (_, config) = watch::channel(place.config.clone());
    let parts =
        DashboardParts { db: db.clone(), objects: place.objects()?, config, logs: LogLimits::default() };
    let round = Round { now: Micros::now(), dry_run: args.dry_run };
    let gone = Dashboard::new(parts).gc(round).await.context("gc ended early; the next one goes on")?;
    if !args.dry_run {
        data::note_gc(&db, "command line", &gone).await?;
    }
    db.close().await;
    if args.state.json {
        print_json(&gone)?;
    } else {
        tell(&gone, args.dry_run);
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(gone: &Gone, dry_run: bool) {
    let verb = if dry_run { "would go" } else { "went" };
    if gone.is_nothing() {
        println!("nothing {verb}");
    }
    for (kind, amount) in &gone.kinds {
        println!("{verb}: {} {kind}, {} bytes", amount.count, amount.bytes);
    }
    for item in &gone.first {
        println!("  {} {} ({})", item.kind, plain(&item.name, 200), item.rule);
    }
    let named = gone.first.len() as u64;
    let all: u64 = gone.kinds.values().map(|amount| amount.count).sum();
    if all > named && !gone.first.is_empty() {
        println!("  and more");
    }
    for (rule, count) in &gone.kept {
        println!("kept by {rule}: {count}");
    }
}
