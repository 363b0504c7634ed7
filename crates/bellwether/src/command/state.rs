//! A server's state, opened beside the server or without one: `backup`, `restore`, `audit`.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use buildenv::{Certificate, SecretSource};
use serde::Serialize;
use store::backup::{self, Progress};
use store::{DataDir, DatabaseUrl, Db, Objects, ObjectsUrl};

use super::client::print_json;
use crate::args::{Audit, AuditList, AuditVerify, Backup, Restore, State};
use crate::server::TOKEN_FILE;
use crate::system::composed::Composer;
use crate::system::{data, targets};
use crate::terminal::plain;

/// What the configuration says of the state.
pub(super) struct Place {
    data: PathBuf,
    environment: String,
    database: DatabaseUrl,
    settings: buildenv::Environment,
    /// All that is configured.
    pub(super) config: std::sync::Arc<buildenv::Config>,
}

impl Place {
    pub(super) fn of(args: &State) -> Result<Place> {
        let targets = targets::server_only(args.sources.config.as_deref())?;
        let config = Composer::new(targets, args.sources.environment.as_deref())?.without_projects()?.config;
        let environment = config.environment().clone();
        let data = args.data.clone().map_or_else(data::default_dir, Ok)?;
        Ok(Place {
            data: std::path::absolute(&data).with_context(|| format!("--data {}", data.display()))?,
            environment: environment.name.to_string(),
            database: environment.database.parse().context("the key `database`")?,
            settings: environment,
            config,
        })
    }

    /// Opens the database, if it and the data directory are the environment's own: as `up` does, but beside a server.
    pub(super) async fn open(&self) -> Result<Db> {
        backup::check_environment(&self.data, &self.environment).map_err(data::another)?;
        let opened = Db::open_as_is(&self.database, &self.data).await;
        let db = opened.with_context(|| format!("the database of environment {}", self.environment))?;
        // One that nobody has is left as it is, and nothing is written to one that we have.
        if backup::owner(&db).await?.is_some_and(|owner| owner != self.environment) {
            data::claim_database(&db, &self.environment).await?;
        }
        Ok(db)
    }

    /// The same with another database.
    pub(super) fn with_database(self, url: Option<&str>) -> Result<Place> {
        let database = match url {
            Some(url) => url.parse().context("--database")?,
            None => self.database,
        };
        Ok(Place { database, ..self })
    }

    pub(super) fn objects(&self) -> Result<Objects> {
        data::objects(&self.settings, &self.data)
    }

    /// What may lie in a data directory before a restore: what an earlier one wrote that failed, and the secrets that the
    /// configuration looks for there.
    fn known(&self) -> Vec<PathBuf> {
        let store = &self.settings.object_store;
        let secret = |source: &SecretSource| match source {
            SecretSource::File(file) => Some(file.clone()),
            SecretSource::Env(_) => None,
        };
        let mut files = vec![TOKEN_FILE.to_owned()];
        files.extend(self.config.secrets().iter().filter_map(|one| secret(&one.source)));
        files.extend(store.key.as_ref().and_then(|(_, source)| secret(source)));
        files.extend(store.service_account_file.clone());
        files.extend(store.authorities_file.clone());
        files.extend(self.config.dashboard().builder_key_file.clone());
        if let Some(tls) = &self.settings.tls {
            match &tls.certificate {
                Certificate::Files { cert, key } => files.extend([cert.clone(), key.clone()]),
                Certificate::Acme(acme) => files.extend(acme.ca_file.clone()),
                Certificate::SelfSigned => {}
            }
        }
        let mut known: Vec<PathBuf> = files.into_iter().map(PathBuf::from).collect();
        if let DatabaseUrl::Sqlite(file) = &self.database {
            known.push(file.clone());
        }
        if let Ok(ObjectsUrl::File(dir)) = self.settings.objects.parse() {
            known.push(dir);
        }
        known
    }

    /// Takes the data directory for a restore of this backup, if nothing of others is in it.
    fn own_empty(&self, backup: &Path) -> Result<DataDir> {
        // Where a server runs that is told first, for then it is not empty either. Nothing is put into a directory that
        // is refused.
        let used = self.data.join("lock").exists().then(|| data::own(&self.data)).transpose()?;
        backup::check_data_dir(&self.data, backup, &self.known())?;
        used.map_or_else(|| data::own(&self.data), Ok)
    }
}

/// Says on a terminal how far it is; a line for each table, rewritten for the objects.
fn progress(quiet: bool) -> impl FnMut(Progress<'_>) + Send {
    let shown = !quiet && std::io::stderr().is_terminal();
    let bar = if shown { indicatif::ProgressBar::new_spinner() } else { indicatif::ProgressBar::hidden() };
    move |Progress { what, done }| {
        bar.set_message(format!("{what}: {done}"));
        bar.tick();
    }
}

pub async fn back_up(args: &Backup) -> Result<ExitCode> {
    let place = Place::of(&args.state)?;
    let db = place.open().await?;
    let objects = place.objects()?;
    let now = jiff::Timestamp::now();
    let made = backup::write(&db, &objects, &args.dir, now, &mut progress(args.state.json)).await;
    db.close().await;
    tell(&made.context("no backup was made")?, "backed up to", args.state.json, &args.dir)
}

pub async fn restore(args: &Restore) -> Result<ExitCode> {
    let place = Place::of(&args.state)?;
    backup::check(&args.dir, &place.environment).context("nothing was restored")?;
    let owner = place.own_empty(&args.dir).context("nothing was restored")?;
    data::claim(&owner, &place.environment)?;
    let objects = place.objects()?;
    data::probe(&place.settings, &objects).await?;
    let mut progress = progress(args.state.json);
    let restored =
        backup::restore(&args.dir, &place.environment, &place.database, &place.data, &objects, &mut progress);
    let manifest = restored.await.context("nothing was restored")?;
    tell(&manifest, "restored from", args.state.json, &args.dir)
}

fn tell(manifest: &backup::Manifest, verb: &str, json: bool, dir: &std::path::Path) -> Result<ExitCode> {
    if json {
        print_json(manifest)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: u64 = manifest.tables.values().map(|part| part.rows).sum();
    println!(
        "{verb} {}: environment {} of {}, {rows} rows in {} tables, {} objects of {} bytes",
        dir.display(),
        manifest.environment,
        manifest.taken,
        manifest.tables.len(),
        manifest.objects.rows,
        manifest.object_bytes
    );
    Ok(ExitCode::SUCCESS)
}

pub async fn audit(args: &Audit) -> Result<ExitCode> {
    match args {
        Audit::Verify(args) => verify(args).await,
        Audit::List(args) => list(args).await,
    }
}

#[derive(Serialize)]
struct Verified {
    rows: i64,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

async fn verify(args: &AuditVerify) -> Result<ExitCode> {
    let place = Place::of(&args.state)?;
    let db = place.open().await?;
    let mut reader = db.read().await?;
    let checked = store::audit::verify(&mut reader, args.hash.as_deref()).await;
    let (said, code) = match checked {
        Ok(chain) => (Verified { rows: chain.rows, hash: chain.hash, problem: None }, ExitCode::SUCCESS),
        Err(store::StoreError::Corrupt(problem)) => {
            (Verified { rows: 0, hash: String::new(), problem: Some(problem) }, ExitCode::from(1))
        }
        Err(error) => return Err(error.into()),
    };
    match (&said.problem, args.state.json) {
        (_, true) => print_json(&said)?,
        (None, false) => {
            println!("{} rows, each as it was written; the last one's hash: {}", said.rows, said.hash)
        }
        (Some(problem), false) => println!("{problem}"),
    }
    Ok(code)
}

#[derive(Serialize)]
struct Row {
    seq: i64,
    time: jiff::Timestamp,
    actor: String,
    action: String,
    target: String,
    detail: serde_json::Value,
}

async fn list(args: &AuditList) -> Result<ExitCode> {
    if args.limit == 0 {
        bail!("--limit must be at least 1");
    }
    let place = Place::of(&args.state)?;
    let db = place.open().await?;
    let mut found =
        store::audit::after(&mut db.read().await?, args.after, args.limit.saturating_add(1)).await?;
    let shown = args.limit as usize;
    let more = found.len() > shown;
    found.truncate(shown);
    if let (true, Some(last)) = (more, found.last()) {
        // Beside the data, which a program reads.
        let seq = last.seq;
        eprintln!(
            "there are more rows; the next ones: bellwether audit list --after {seq} --limit {}",
            args.limit
        );
    }
    let rows: Vec<Row> = found
        .into_iter()
        .map(|row| Row {
            seq: row.seq,
            time: jiff::Timestamp::from_microsecond(row.deed.time.0).unwrap_or_default(),
            detail: serde_json::from_str(&row.deed.detail).unwrap_or_else(|_| row.deed.detail.clone().into()),
            actor: row.deed.actor,
            action: row.deed.action,
            target: row.deed.target,
        })
        .collect();
    if args.state.json {
        print_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    for row in rows {
        let detail = if row.detail == "" { String::new() } else { row.detail.to_string() };
        let text = format!("{} {} {} {} {detail}", row.time, row.actor, row.action, row.target);
        println!("{:>6} {}", row.seq, plain(text.trim_end(), 200));
    }
    Ok(ExitCode::SUCCESS)
}
