//! Makes a backup.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Row as _};

use super::tables::{self, Table};
use super::{BackupError, FORMAT, MANIFEST, Manifest, Part, Progress, io, objects, rows, table_file};
use crate::db::Snapshot;
use crate::{Conn as _, Db, Objects, StoreError, migrate};

/// Rows between two reports of progress.
const TOLD: u64 = 10_000;

/// Writes a backup into a directory that is new or empty. Until it is whole it lies beside it, with `.partial` at its
/// name's end.
///
/// # Errors
/// See [`BackupError`]; what was written so far stays beside the directory.
pub async fn write(
    db: &Db,
    store: &Objects,
    dir: &Path,
    now: Timestamp,
    told: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Manifest, BackupError> {
    if std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(BackupError::Occupied(dir.to_owned()));
    }
    let mut partial = dir.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(io(&partial))?;
    }
    std::fs::create_dir_all(partial.join("tables")).map_err(io(&partial))?;

    let mut snapshot = db.snapshot().await?;
    let schema_version = migrate::version(&mut snapshot).await?;
    let environment = owner(&mut snapshot).await?.ok_or(BackupError::Empty)?;
    let mut parts = std::collections::BTreeMap::new();
    for table in tables::all(&mut snapshot, db.dialect()).await? {
        let part = dump_table(&mut snapshot, &table, &partial, told).await?;
        parts.insert(table.name, part);
    }
    drop(snapshot);
    let (objects, object_bytes) = objects::copy_out(store, &partial, told).await?;

    let manifest = Manifest {
        format: FORMAT,
        schema_version,
        environment,
        taken: now,
        tables: parts,
        objects,
        object_bytes,
    };
    let path = partial.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| io(&path)(error.into()))?;
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(io(&path))?;
    std::fs::rename(&partial, dir).map_err(io(dir))?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(io(parent))?;
    Ok(manifest)
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
