//! Puts a backup into an empty database and an object store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use sqlx::AssertSqlSafe;

use super::dump::{hex, owner};
use super::rows::{self, Cell};
use super::tables::{self, Column, Table};
use super::{
    BackupError, FORMAT, MANIFEST, Manifest, OBJECTS, OLDEST_SCHEMA, Part, Progress, io, objects, table_file,
};
use crate::{Conn as _, DatabaseUrl, Db, DbOptions, MIGRATIONS, Objects, Tx, migrate, newest_version};

/// Rows that go in one statement.
const BATCH: usize = 16;
/// Largest manifest, bytes.
const LARGEST_MANIFEST: u64 = 1 << 20;
/// Rows between two reports of progress.
const TOLD: u64 = 10_000;

/// Restores a backup. Everything is checked before the first row is written, and the rows are written in one transaction:
/// after an error the same call may be made again.
///
/// # Errors
/// See [`BackupError`].
pub async fn restore(
    dir: &Path,
    environment: &str,
    url: &DatabaseUrl,
    data_dir: &Path,
    store: &Objects,
    told: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Manifest, BackupError> {
    let manifest = check(dir, environment)?;
    for (table, part) in &manifest.tables {
        check_digest(dir, &table_file(table), part)?;
    }
    check_digest(dir, OBJECTS, &manifest.objects)?;

    let db = Db::connect(url, data_dir, DbOptions::default()).await?;
    let migrations = &MIGRATIONS[..usize::try_from(manifest.schema_version).unwrap_or(MIGRATIONS.len())];
    migrate::run(&db, migrations, crate::Micros::now()).await?;
    let restored = fill(&db, dir, &manifest, store, told).await;
    db.close().await;
    restored.map(|()| manifest)
}

/// Looks whether a directory holds a backup of an environment; its parts are not looked at yet.
///
/// # Errors
/// See [`BackupError`].
pub fn check(dir: &Path, environment: &str) -> Result<Manifest, BackupError> {
    let manifest = read_manifest(dir)?;
    if manifest.environment != environment {
        return Err(BackupError::Other { has: manifest.environment, asked: environment.to_owned() });
    }
    Ok(manifest)
}

async fn fill(
    db: &Db,
    dir: &Path,
    manifest: &Manifest,
    store: &Objects,
    told: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<(), BackupError> {
    let mut tx = db.begin().await?;
    if let Some(owner) = owner(&mut tx).await? {
        return Err(BackupError::NotEmpty(owner));
    }
    let known = tables::all(&mut tx, db.dialect()).await?;
    tx.rollback().await?;
    let known: BTreeMap<&str, &Table> = known.iter().map(|table| (&*table.name, table)).collect();
    if !known.keys().copied().eq(manifest.tables.keys().map(String::as_str)) {
        return Err(BackupError::damaged(MANIFEST, "its tables are not those of its schema"));
    }
    objects::copy_in(store, dir, told).await?;
    let mut tx = db.begin().await?;
    if let Some(owner) = owner(&mut tx).await? {
        return Err(BackupError::NotEmpty(owner));
    }
    for (name, table) in known {
        fill_table(&mut tx, table, dir, &manifest.tables[name], told).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn read_manifest(dir: &Path) -> Result<Manifest, BackupError> {
    let path = dir.join(MANIFEST);
    let mut text = String::new();
    let file = File::open(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => BackupError::NoBackup(dir.to_owned()),
        _ => io(&path)(error),
    })?;
    file.take(LARGEST_MANIFEST).read_to_string(&mut text).map_err(io(&path))?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| BackupError::damaged(MANIFEST, error))?;
    if manifest.format > FORMAT {
        let (has, newest) = (i64::from(manifest.format), i64::from(FORMAT));
        return Err(BackupError::Newer { what: "format", has, newest });
    }
    let newest = newest_version();
    if manifest.schema_version > newest {
        return Err(BackupError::Newer { what: "schema version", has: manifest.schema_version, newest });
    }
    if manifest.schema_version < OLDEST_SCHEMA {
        return Err(BackupError::damaged(MANIFEST, "there was no backup of its schema version"));
    }
    Ok(manifest)
}

fn check_digest(dir: &Path, name: &str, part: &Part) -> Result<(), BackupError> {
    let path = dir.join(name);
    let mut file = File::open(&path).map_err(io(&path))?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        let count = file.read(&mut piece).map_err(io(&path))?;
        if count == 0 {
            break;
        }
        hash.update(&piece[..count]);
    }
    if hex(&hash.finalize()) == part.sha256 {
        Ok(())
    } else {
        Err(BackupError::damaged(name, "its digest is not that of the manifest"))
    }
}

async fn fill_table(
    tx: &mut Tx,
    table: &Table,
    dir: &Path,
    part: &Part,
    told: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<(), BackupError> {
    let name = table_file(&table.name);
    let damaged = |why: &dyn std::fmt::Display| BackupError::damaged(name.clone(), why);
    let path = dir.join(&name);
    let file = File::open(&path).and_then(zstd::Decoder::new).map_err(io(&path))?;
    let mut lines = BufReader::new(file).lines();
    let head = lines.next().transpose().map_err(|error| damaged(&error))?.unwrap_or_default();
    let columns: Vec<Column> = serde_json::from_str(&head).map_err(|error| damaged(&error))?;
    // Columns may be in another order where one was added later; each is still the same.
    let table = Table {
        name: table.name.clone(),
        columns: same_columns(columns, table).map_err(|why| damaged(&why))?,
    };

    // Some tables begin with a row of their own: the backup has it too.
    let empty = format!("DELETE FROM {}", table.quoted());
    sqlx::query(AssertSqlSafe(empty)).execute(tx.conn()).await.map_err(crate::StoreError::from)?;
    let mut batch: Vec<Vec<Cell>> = Vec::with_capacity(BATCH);
    let mut done = 0;
    for line in lines {
        let line = line.map_err(|error| damaged(&error))?;
        batch.push(rows::decode(&line, &table).map_err(|why| damaged(&format!("line {}: {why}", done + 2)))?);
        done += 1;
        if batch.len() == BATCH {
            insert(tx, &table, &mut batch).await?;
        }
        if done % TOLD == 0 {
            told(Progress { what: &table.name, done });
        }
    }
    for row in batch {
        insert(tx, &table, &mut vec![row]).await?;
    }
    if done != part.rows {
        return Err(damaged(&format!("{done} rows, the manifest says {}", part.rows)));
    }
    told(Progress { what: &table.name, done });
    Ok(())
}

fn same_columns(found: Vec<Column>, table: &Table) -> Result<Vec<Column>, String> {
    let mut sorted = (found.clone(), table.columns.clone());
    sorted.0.sort_by(|a, b| a.name.cmp(&b.name));
    sorted.1.sort_by(|a, b| a.name.cmp(&b.name));
    if sorted.0 == sorted.1 { Ok(found) } else { Err("its columns are not those of its schema".into()) }
}

async fn insert(tx: &mut Tx, table: &Table, batch: &mut Vec<Vec<Cell>>) -> Result<(), BackupError> {
    let mut number = 0;
    let row = |_: &Vec<Cell>| {
        let places: Vec<String> = table
            .columns
            .iter()
            .map(|_| {
                number += 1;
                format!("${number}")
            })
            .collect();
        format!("({})", places.join(", "))
    };
    let values: Vec<String> = batch.iter().map(row).collect();
    let text =
        format!("INSERT INTO {} ({}) VALUES {}", table.quoted(), table.column_list(), values.join(", "));
    let mut query = sqlx::query(AssertSqlSafe(text));
    for cell in batch.drain(..).flatten() {
        query = rows::bind(query, cell);
    }
    query.execute(tx.conn()).await.map_err(crate::StoreError::from)?;
    Ok(())
}
