//! Makes a backup.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Row as _};

use super::objects::Copies;
use super::partial::Partial;
use super::tables::{self, Table};
use super::{BackupError, FORMAT, MANIFEST, Manifest, Part, Progress, io, named, rows, table_file};
use crate::db::Snapshot;
use crate::{Conn as _, Db, Objects, StoreError, migrate};

/// Rows between two reports of progress.
const TOLD: u64 = 10_000;
/// How often the rows are written before those of the last moment are taken though an object of theirs is gone.
const ROUNDS: u32 = 4;

/// Writes a backup into a directory that is new or empty. Until it is whole it lies beside it, with `.partial` at its
/// name's end.
///
/// # Errors
/// See [`BackupError`]; what was written so far stays beside the directory, and the next backup to it removes it.
pub async fn write(
    db: &Db,
    store: &Objects,
    dir: &Path,
    now: Timestamp,
    told: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Manifest, BackupError> {
    let partial = Partial::claim(dir)?;
    let mut copies = Copies::default();
    let mut round = 1;
    let rows = loop {
        let rows = dump_rows(db, partial.path(), told).await?;
        let whole = copies.add(db, store, partial.path(), &rows.named, told).await?;
        if whole || round == ROUNDS {
            break rows;
        }
        // What went meanwhile went rightly, but these rows still name it: those of a later moment do not.
        round += 1;
    };
    let (objects, object_bytes) = copies.finish(partial.path())?;
    let manifest = Manifest {
        format: FORMAT,
        schema_version: rows.schema_version,
        environment: rows.environment,
        taken: now,
        tables: rows.parts,
        objects,
        object_bytes,
    };
    write_manifest(partial.path(), &manifest)?;
    partial.finish()?;
    Ok(manifest)
}

/// The rows of one moment, as they were written.
struct Rows {
    schema_version: i64,
    environment: String,
    parts: BTreeMap<String, Part>,
    /// The objects that they name.
    named: HashSet<String>,
}

/// Writes all tables, in place of those of an earlier moment.
async fn dump_rows(
    db: &Db,
    dir: &Path,
    told: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Rows, BackupError> {
    let tables = dir.join("tables");
    if tables.exists() {
        std::fs::remove_dir_all(&tables).map_err(io(&tables))?;
    }
    std::fs::create_dir(&tables).map_err(io(&tables))?;
    let mut snapshot = db.snapshot().await?;
    let schema_version = migrate::version(&mut snapshot).await?;
    let environment = owner(&mut snapshot).await?.ok_or(BackupError::Empty)?;
    let mut parts = BTreeMap::new();
    for table in tables::all(&mut snapshot, db.dialect()).await? {
        let part = dump_table(&mut snapshot, &table, dir, told).await?;
        parts.insert(table.name, part);
    }
    let named = named::all(&mut snapshot).await?;
    Ok(Rows { schema_version, environment, parts, named })
}

fn write_manifest(dir: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let path = dir.join(MANIFEST);
    let text = serde_json::to_string_pretty(manifest).map_err(|error| io(&path)(error.into()))?;
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(io(&path))
}

/// Whose the database is.
pub(super) async fn owner(on: &mut impl crate::Conn) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT name FROM environment WHERE id = 1").fetch_optional(on.conn()).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

async fn dump_table(
    snapshot: &mut Snapshot,
    table: &Table,
    dir: &Path,
    told: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Part, BackupError> {
    let path = dir.join(table_file(&table.name));
    let mut lines = Lines::create(&path).map_err(io(&path))?;
    lines.write(&table.columns).map_err(io(&path))?;
    let text = format!("SELECT {} FROM {}", table.column_list(), table.quoted());
    let mut found = sqlx::query(AssertSqlSafe(text)).fetch(snapshot.conn());
    let mut count = 0;
    while let Some(row) = found.try_next().await.map_err(StoreError::from)? {
        lines.write(&rows::encode(&row, table)?).map_err(io(&path))?;
        count += 1;
        if count % TOLD == 0 {
            told(Progress { what: &table.name, done: count });
        }
    }
    told(Progress { what: &table.name, done: count });
    Ok(Part { rows: count, sha256: lines.finish().map_err(io(&path))? })
}

/// A compressed file of JSON lines that knows its digest.
pub(super) struct Lines(zstd::Encoder<'static, Hashed>);

impl Lines {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = Hashed { file: BufWriter::new(File::create_new(path)?), hash: Sha256::new() };
        Ok(Self(zstd::Encoder::new(file, 3)?))
    }

    pub(super) fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, line)?;
        self.0.write_all(b"\n")
    }

    /// Makes it durable; returns its digest in hex.
    pub(super) fn finish(self) -> io::Result<String> {
        let Hashed { file, hash } = self.0.finish()?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(hex(&hash.finalize()))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Hashed {
    file: BufWriter<File>,
    hash: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
