//! Backups, made on each database and restored into both.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use store::backup::{self, BackupError, Manifest};
use store::{Conn as _, DatabaseUrl, Dialect, Micros, Objects};

use super::Fixture;

fn objects(dir: &Path) -> Objects {
    Objects::open(&"file:objects".parse().unwrap(), dir).unwrap()
}

/// A few rows of each kind of column, and objects.
async fn filled(on: &Fixture, objects: &Objects) {
    let mut tx = on.db.begin().await.unwrap();
    store::environment::claim(&mut tx, "prod", Micros(1)).await.unwrap();
    for n in 0..40 {
        let deed = store::audit::Deed {
            time: Micros(n),
            actor: "ada \"é\u{1f411}\"".into(),
            action: "retry".into(),
            target: "t\n\t\\".into(),
            detail: String::new(),
        };
        store::audit::append(&mut tx, deed).await.unwrap();
    }
    let chunk = store::log_chunks::ChunkRow {
        n: 0,
        fence: 1,
        first_byte: 0,
        first_line: 0,
        bytes: 3,
        lines: 1,
        raw_end: 3,
        crc32c: u32::MAX.into(),
        time: Micros(i64::MAX),
        inline: Some(vec![0, 255, 10]),
        object: None,
    };
    let attempt = store::AttemptId::new(Micros(5), &mut |to: &mut [u8]| to.fill(7));
    let build = store::BuildId::new(Micros(5), &mut |to: &mut [u8]| to.fill(8));
    store::log_chunks::insert(&mut tx, attempt, &chunk).await.unwrap();
    let stored =
        store::log_chunks::ChunkRow { n: 1, inline: None, object: Some("logs/a/1-1.zst".into()), ..chunk };
    store::log_chunks::insert(&mut tx, attempt, &stored).await.unwrap();
    for (id, value) in [("a", Some(0.1)), ("b", Some(1e-300)), ("c", Some(f64::MAX)), ("d", None)] {
        let test = store::test_results::TestRow {
            attempt,
            id: id.into(),
            variant: String::new(),
            kind: "benchmark".into(),
            outcome: "ok".into(),
            duration: None,
            first_byte: None,
            last_byte: None,
            value,
            unit: None,
            message: None,
        };
        store::test_results::put(&mut tx, build, &test).await.unwrap();
    }
    tx.commit().await.unwrap();
    for path in ["logs/a/1-1.zst", "artifacts/00/00ab", "snapshots/trusted/x", "staged/y"] {
        objects.put_new(path, path).await.unwrap();
    }
}

/// All lines of each table, sorted, without the order of columns' and rows' coming.
fn lines(dir: &Path, manifest: &Manifest) -> BTreeMap<String, Vec<String>> {
    let table = |name: &String| {
        let file = std::fs::File::open(dir.join(format!("tables/{name}.jsonl.zst"))).unwrap();
        let mut text = String::new();
        zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[1..].sort();
        (name.clone(), lines)
    };
    manifest.tables.keys().map(table).collect()
}

async fn back_up(on: &Fixture, objects: &Objects, dir: &Path) -> Manifest {
    backup::write(&on.db, objects, dir, jiff::Timestamp::UNIX_EPOCH, &mut |_| ()).await.unwrap()
}

pub(crate) async fn a_backup_is_restored_into_either_database(on: Fixture) {
    let kept = objects(on.dir.path());
    filled(&on, &kept).await;
    let first = on.dir.path().join("first");
    let manifest = back_up(&on, &kept, &first).await;
    assert_eq!((&*manifest.environment, manifest.objects.rows), ("prod", 2));
    assert_eq!(manifest.tables["audit"].rows, 41);
    assert!(manifest.tables.contains_key("tokens") && !manifest.tables.contains_key("sessions"));
    let dialects = if cfg!(feature = "postgres") {
        vec![Dialect::Sqlite, Dialect::Postgres]
    } else {
        vec![Dialect::Sqlite]
    };
    for dialect in dialects {
        let to = Fixture::empty(dialect).await;
        let restored = objects(to.dir.path());
        backup::restore(&first, "prod", &to.url, to.dir.path(), &restored, &mut |_| ()).await.unwrap();
        let to = to.opened().await;
        let second = to.dir.path().join("second");
        let again = back_up(&to, &restored, &second).await;
        assert_eq!(lines(&second, &again), lines(&first, &manifest), "{dialect:?}");
        assert_eq!(again.objects, manifest.objects);
        assert_eq!(restored.get("logs/a/1-1.zst").await.unwrap(), "logs/a/1-1.zst");
        assert!(!restored.exists("snapshots/trusted/x").await.unwrap(), "it can be made again");
        assert_eq!(store::audit::verify(&mut to.db.read().await.unwrap(), None).await.unwrap().rows, 40);
        let twice = backup::restore(&first, "prod", &to.url, to.dir.path(), &restored, &mut |_| ()).await;
        assert!(matches!(twice, Err(BackupError::NotEmpty(ref owner)) if owner == "prod"), "{twice:?}");
    }
}

pub(crate) async fn a_backup_shows_one_moment_while_others_write(on: Fixture) {
    let kept = objects(on.dir.path());
    filled(&on, &kept).await;
    let mut snapshot = on.db.snapshot().await.unwrap();
    let count = |row: sqlx::any::AnyRow| sqlx::Row::get::<i64, _>(&row, 0);
    let text = "SELECT COUNT(*) FROM audit";
    assert_eq!(count(sqlx::query(text).fetch_one(snapshot.conn()).await.unwrap()), 41);
    let mut tx = on.db.begin().await.unwrap();
    let deed = store::audit::Deed {
        time: Micros(1),
        actor: String::new(),
        action: "late".into(),
        target: String::new(),
        detail: String::new(),
    };
    store::audit::append(&mut tx, deed).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(sqlx::query(text).fetch_one(snapshot.conn()).await.unwrap()), 41);
    drop(snapshot);
    let manifest = back_up(&on, &kept, &on.dir.path().join("later")).await;
    assert_eq!(manifest.tables["audit"].rows, 42);
}

pub(crate) async fn what_is_damaged_or_not_ours_is_refused_before_anything_is_written(on: Fixture) {
    let kept = objects(on.dir.path());
    let made = on.dir.path().join("made");
    let empty = backup::write(&on.db, &kept, &made, jiff::Timestamp::UNIX_EPOCH, &mut |_| ()).await;
    assert!(matches!(empty, Err(BackupError::Empty)), "{empty:?}");
    filled(&on, &kept).await;
    back_up(&on, &kept, &made).await;
    let twice = backup::write(&on.db, &kept, &made, jiff::Timestamp::UNIX_EPOCH, &mut |_| ()).await;
    assert!(matches!(twice, Err(BackupError::Occupied(_))), "{twice:?}");

    let to = Fixture::empty(on.db.dialect()).await;
    let restored = objects(to.dir.path());
    let other = backup::restore(&made, "staging", &to.url, to.dir.path(), &restored, &mut |_| ()).await;
    assert!(matches!(other, Err(BackupError::Other { .. })), "{other:?}");
    for name in ["tables/audit.jsonl.zst", "objects.jsonl.zst", "objects/logs/a/1-1.zst", "manifest.json"] {
        let path = made.join(name);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let error = backup::restore(&made, "prod", &to.url, to.dir.path(), &restored, &mut |_| ()).await;
        assert!(error.is_err(), "{name} was changed");
        std::fs::write(&path, &good).unwrap();
    }
    std::fs::remove_file(made.join("tables/builds.jsonl.zst")).unwrap();
    let gone = backup::restore(&made, "prod", &to.url, to.dir.path(), &restored, &mut |_| ()).await;
    assert!(gone.unwrap_err().to_string().contains("builds.jsonl.zst"));
    let file = match &to.url {
        DatabaseUrl::Sqlite(file) => to.dir.path().join(file),
        DatabaseUrl::Postgres(_) => return,
    };
    // The object that was changed is met after the schema is made, and before any row is.
    let db = store::Db::open_as_is(&to.url, to.dir.path()).await.unwrap();
    let rows = sqlx::query("SELECT COUNT(*) FROM environment");
    let row = rows.fetch_one(db.read().await.unwrap().conn()).await.unwrap();
    assert_eq!(sqlx::Row::get::<i64, _>(&row, 0), 0, "{}", file.display());
}
