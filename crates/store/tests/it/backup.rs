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
    for (id, value) in [("0", None), ("a", Some(0.1)), ("b", Some(1e-300)), ("c", Some(f64::MAX))] {
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
            signature: None,
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

/// As `anyhow` prints it for a command: with everything that it was caused by.
fn told(error: &BackupError) -> String {
    let (mut text, mut at) = (error.to_string(), std::error::Error::source(error));
    while let Some(cause) = at {
        text = format!("{text}: {cause}");
        at = cause.source();
    }
    text
}

async fn refused(on: &Fixture, objects: &Objects, dir: &Path) -> String {
    let made = backup::write(&on.db, objects, dir, jiff::Timestamp::UNIX_EPOCH, &mut |_| ()).await;
    told(&made.map(|manifest| panic!("{} was made: {manifest:?}", dir.display())).unwrap_err())
}

async fn execute(on: &Fixture, text: &'static str) {
    let mut tx = on.db.begin().await.unwrap();
    sqlx::query(text).execute(tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
}

fn dialects() -> Vec<Dialect> {
    let postgres = cfg!(feature = "postgres").then_some(Dialect::Postgres);
    std::iter::once(Dialect::Sqlite).chain(postgres).collect()
}

/// Rows about the log of [`filled`], and about an artefact.
async fn named(on: &Fixture) {
    let attempt = store::AttemptId::new(Micros(5), &mut |to: &mut [u8]| to.fill(7));
    let build = store::BuildId::new(Micros(5), &mut |to: &mut [u8]| to.fill(8));
    let mut tx = on.db.begin().await.unwrap();
    store::logs::open(&mut tx, attempt, build, 1, Micros(5)).await.unwrap();
    let artifact = store::artifacts::ArtifactRow {
        attempt,
        name: "kept.out".into(),
        size: 17,
        sha256: "00ab".into(),
        object: "artifacts/00/00ab".into(),
        time: Micros(5),
        expired: None,
    };
    store::artifacts::put(&mut tx, build, &artifact).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_were_posted_whole_are_in_a_backup() {
    for dialect in dialects() {
        let on = Fixture::new(dialect).await;
        let kept = objects(on.dir.path());
        filled(&on, &kept).await;
        let row = "INSERT INTO legacy_logs (sha1, bytes, inline, object, time_us) \
            VALUES ('ab', 1, NULL, 'legacy/logs/ab.zst', 1)";
        execute(&on, row).await;
        let error = refused(&on, &kept, &on.dir.path().join("made")).await;
        assert!(error.contains("legacy/logs/ab.zst"), "{error}");
        kept.put_new("legacy/logs/ab.zst", "a frame").await.unwrap();
        let made = on.dir.path().join("made");
        back_up(&on, &kept, &made).await;
        let to = Fixture::empty(dialect).await;
        let restored = objects(to.dir.path());
        backup::restore(&made, "prod", &to.url, to.dir.path(), &restored, &mut |_| ()).await.unwrap();
        assert_eq!(restored.get("legacy/logs/ab.zst").await.unwrap(), "a frame");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_rows_name_must_be_there_until_they_expire() {
    for dialect in dialects() {
        let on = Fixture::new(dialect).await;
        let kept = objects(on.dir.path());
        filled(&on, &kept).await;
        named(&on).await;
        let made = |name: &str| on.dir.path().join(name);
        let elsewhere = Objects::open(&"file:elsewhere".parse().unwrap(), on.dir.path()).unwrap();
        let error = refused(&on, &elsewhere, &made("a")).await;
        for words in ["2 objects", "artifacts/00/00ab", "logs/a/1-1.zst", "--config", "`objects`"] {
            assert!(error.contains(words), "{words}: {error}");
        }
        back_up(&on, &kept, &made("a")).await;
        kept.delete("artifacts/00/00ab").await.unwrap();
        let error = refused(&on, &kept, &made("b")).await;
        assert!(error.contains("artifacts/00/00ab") && !error.contains("1-1.zst"), "{error}");
        execute(&on, "UPDATE artifacts SET expired_us = 1").await;
        assert_eq!(back_up(&on, &kept, &made("b")).await.objects.rows, 1);
        kept.delete("logs/a/1-1.zst").await.unwrap();
        assert!(refused(&on, &kept, &made("c")).await.contains("logs/a/1-1.zst"));
        execute(&on, "UPDATE logs SET expired_us = 1").await;
        assert_eq!(back_up(&on, &kept, &made("c")).await.objects.rows, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_goes_meanwhile_is_missed_only_if_its_row_still_names_it() {
    for expires in [true, false] {
        let on = Fixture::new(Dialect::Sqlite).await;
        let kept = objects(on.dir.path());
        filled(&on, &kept).await;
        named(&on).await;
        // The artefact was copied, the log is next: it was listed, and then a round of retention comes.
        let goes = |progress: backup::Progress<'_>| {
            if (progress.what, progress.done) == ("objects", 1) {
                std::fs::remove_file(on.dir.path().join("objects/logs/a/1-1.zst")).unwrap();
                if expires {
                    let round = execute(&on, "UPDATE logs SET expired_us = 1");
                    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(round));
                }
            }
        };
        let dir = on.dir.path().join("made");
        let made = backup::write(&on.db, &kept, &dir, jiff::Timestamp::UNIX_EPOCH, &mut { goes }).await;
        match made {
            Ok(manifest) => assert!(expires && manifest.objects.rows == 1, "{manifest:?}"),
            Err(error) => assert!(!expires && error.to_string().contains("logs/a/1-1.zst"), "{error}"),
        }
    }
}

#[tokio::test]
async fn of_two_backups_into_one_directory_one_is_refused_and_the_other_is_whole() {
    let on = Fixture::new(Dialect::Sqlite).await;
    let kept = objects(on.dir.path());
    filled(&on, &kept).await;
    let dir = on.dir.path().join("made");
    let (mut one, mut other) = (|_: backup::Progress<'_>| (), |_: backup::Progress<'_>| ());
    let (first, second) = tokio::join!(
        backup::write(&on.db, &kept, &dir, jiff::Timestamp::UNIX_EPOCH, &mut one),
        backup::write(&on.db, &kept, &dir, jiff::Timestamp::UNIX_EPOCH, &mut other),
    );
    let error = told(&second.unwrap_err());
    assert!(error.contains("another backup writes there"), "{error}");
    first.unwrap();
    let to = Fixture::empty(Dialect::Sqlite).await;
    let restored = objects(to.dir.path());
    backup::restore(&dir, "prod", &to.url, to.dir.path(), &restored, &mut |_| ()).await.unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["manifest.json", "objects", "objects.jsonl.zst", "tables"], "no mark is left");
}

#[tokio::test]
async fn what_others_put_where_a_backup_is_written_stays() {
    let on = Fixture::new(Dialect::Sqlite).await;
    let kept = objects(on.dir.path());
    filled(&on, &kept).await;
    let (dir, partial) = (on.dir.path().join("made"), on.dir.path().join("made.partial"));
    std::fs::create_dir(&partial).unwrap();
    std::fs::write(partial.join("thesis"), "all of it").unwrap();
    let error = refused(&on, &kept, &dir).await;
    assert!(error.contains("made.partial"), "{error}");
    assert_eq!(std::fs::read_to_string(partial.join("thesis")).unwrap(), "all of it");
    std::fs::remove_file(partial.join("thesis")).unwrap();
    back_up(&on, &kept, &dir).await;

    // What a backup left that came to no end is a backup's own.
    let elsewhere = Objects::open(&"file:elsewhere".parse().unwrap(), on.dir.path()).unwrap();
    let dir = on.dir.path().join("again");
    refused(&on, &elsewhere, &dir).await;
    assert!(on.dir.path().join("again.partial/tables").exists());
    // The slash is the shell's, which adds it where the name is completed.
    back_up(&on, &kept, &on.dir.path().join("again/")).await;
    assert!(dir.join("manifest.json").exists() && !on.dir.path().join("again.partial").exists());
}

#[tokio::test]
async fn a_place_that_can_take_no_backup_is_refused_before_the_work() {
    let on = Fixture::new(Dialect::Sqlite).await;
    let kept = objects(on.dir.path());
    filled(&on, &kept).await;
    let at = |name: &str| on.dir.path().join(name);
    std::fs::write(at("afile"), "").unwrap();
    std::os::unix::fs::symlink(at("nowhere"), at("dangling")).unwrap();
    std::fs::create_dir(at("empty")).unwrap();
    std::os::unix::fs::symlink(at("empty"), at("leads")).unwrap();
    for name in ["afile", "dangling", "leads", "leads/"] {
        let error = refused(&on, &kept, &at(name)).await;
        assert!(error.contains("name a new directory"), "{name}: {error}");
        assert!(!at(name.trim_end_matches('/')).with_extension("partial").exists(), "{name}");
    }
    assert!(refused(&on, &kept, &at("empty/..")).await.contains("is not empty"));
    back_up(&on, &kept, &at("empty")).await;
}

#[tokio::test]
async fn what_is_no_backup_is_called_that_and_no_reason_is_told_twice() {
    let on = Fixture::new(Dialect::Sqlite).await;
    let kept = objects(on.dir.path());
    filled(&on, &kept).await;
    let to = Fixture::empty(Dialect::Sqlite).await;
    let restore = async |dir: &Path| {
        let restored = backup::restore(dir, "prod", &to.url, to.dir.path(), &kept, &mut |_| ()).await;
        told(&restored.unwrap_err())
    };
    for dir in [on.dir.path().join("nosuch"), on.dir.path().to_owned()] {
        let error = restore(&dir).await;
        assert!(error.contains("no backup: it has no manifest.json"), "{error}");
    }
    let made = on.dir.path().join("made");
    back_up(&on, &kept, &made).await;
    std::fs::remove_file(made.join("tables/builds.jsonl.zst")).unwrap();
    let error = restore(&made).await;
    assert_eq!(error.matches("os error 2").count(), 1, "{error}");
}
