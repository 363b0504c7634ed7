use std::time::Duration;

use store::branches::BranchRow;
use store::commits::CommitRow;
use store::log_chunks::ChunkRow;
use store::logs::Added;
use store::repos::RepoRow;
use store::results::{Filter, Put, ResultRow};
use store::{AttemptId, BuildId, Conn as _, Db, Micros, StoreError, Tx};

use crate::Fixture;

fn build(n: u8) -> BuildId {
    BuildId::new(Micros(i64::from(n) * 1_000_000), &mut |to| to.fill(n))
}

fn attempt(n: u8) -> AttemptId {
    AttemptId::new(Micros(i64::from(n) * 1_000_000), &mut |to| to.fill(n))
}

async fn execute(tx: &mut Tx, sql: &'static str) -> Result<u64, StoreError> {
    Ok(sqlx::query(sql).execute(tx.conn()).await?.rows_affected())
}

pub(crate) async fn every_statement_prepares(on: Fixture) {
    use sqlx::{Executor as _, SqlSafeStr as _, Statement as _};
    let mut tx = on.db.begin().await.unwrap();
    let all = store::statements();
    assert!(all.len() > 40, "the list is there");
    for statement in all {
        let prepared = tx.conn().prepare(statement.sql.into_sql_str()).await;
        let prepared = prepared.unwrap_or_else(|error| panic!("{}: {error}", statement.name));
        assert_eq!(prepared.sql().as_str(), statement.sql);
    }
}

pub(crate) async fn opening_again_changes_nothing(on: Fixture) {
    on.db.close().await;
    let again = Db::open(&on.url, on.dir.path()).await.unwrap();
    assert!(store::repos::list(&mut again.read().await.unwrap()).await.unwrap().is_empty());
}

pub(crate) async fn a_transaction_that_is_dropped_did_nothing(on: Fixture) {
    let repo = repo("a");
    let mut tx = on.db.begin().await.unwrap();
    store::repos::put(&mut tx, &repo).await.unwrap();
    drop(tx);
    let mut tx = on.db.begin().await.unwrap();
    assert_eq!(store::repos::get(&mut tx, "a").await.unwrap(), None);
    store::repos::put(&mut tx, &repo).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(store::repos::get(&mut on.db.read().await.unwrap(), "a").await.unwrap(), None);
}

pub(crate) async fn a_database_belongs_to_the_environment_that_used_it_first(on: Fixture) {
    for (asks, owner) in [("prod", "prod"), ("staging", "prod"), ("prod", "prod")] {
        let mut tx = on.db.begin().await.unwrap();
        assert_eq!(store::environment::claim(&mut tx, asks, Micros(1)).await.unwrap(), owner);
        tx.commit().await.unwrap();
    }
}

pub(crate) async fn writers_take_turns(on: Fixture) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..16 {
        let db = on.db.clone();
        writers.spawn(async move {
            for n in 0..5 {
                let mut tx = db.begin().await?;
                let detail = format!("{writer}.{n}");
                store::audit::append(&mut tx, deed(&detail)).await?;
                tx.commit().await?;
            }
            Ok::<_, StoreError>(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(store::audit::verify(&mut on.db.read().await.unwrap(), None).await.unwrap().rows, 80);
}

fn repo(name: &str) -> RepoRow {
    RepoRow {
        name: name.into(),
        state: "ok".into(),
        reason: None,
        default_branch: Some("main".into()),
        head: None,
        visibility: "public".into(),
        updated: Micros(1),
    }
}

pub(crate) async fn repos_and_branches(on: Fixture) {
    let mut tx = on.db.begin().await.unwrap();
    store::repos::put(&mut tx, &repo("b")).await.unwrap();
    store::repos::put(&mut tx, &repo("a")).await.unwrap();
    let blocked = RepoRow { state: "blocked".into(), reason: Some("no route".into()), ..repo("b") };
    store::repos::put(&mut tx, &blocked).await.unwrap();
    let fresh = store::branches::lock(&mut tx, "a", "x/y", Micros(5)).await.unwrap();
    assert!(fresh.deleted && fresh.head.is_none());
    let branch = BranchRow { head: Some("1".repeat(40)), is_default: true, deleted: false, ..fresh };
    store::branches::put(&mut tx, &branch).await.unwrap();
    assert_eq!(store::branches::lock(&mut tx, "a", "x/y", Micros(9)).await.unwrap(), branch);
    tx.commit().await.unwrap();
    let mut reader = on.db.read().await.unwrap();
    assert_eq!(store::repos::list(&mut reader).await.unwrap(), [repo("a"), blocked]);
    assert_eq!(store::branches::list(&mut reader).await.unwrap(), [branch]);
    assert_eq!(store::branches::get(&mut reader, "a", "z").await.unwrap(), None);
}

fn commit(n: u32) -> CommitRow {
    CommitRow {
        hash: format!("{n:040x}"),
        parents: n.checked_sub(1).map(|n| format!("{n:040x}")).into_iter().collect(),
        author_name: "Ada \u{1f411}".into(),
        author_email: n.is_multiple_of(2).then(|| "ada@example.com".into()),
        time: Micros(i64::from(n)),
        message: "one\n\ntwo".into(),
    }
}

pub(crate) async fn commits_once(on: Fixture) {
    let mut tx = on.db.begin().await.unwrap();
    for n in 0..70 {
        store::commits::insert(&mut tx, "a", &commit(n)).await.unwrap();
    }
    store::commits::insert(&mut tx, "a", &CommitRow { message: "forged".into(), ..commit(3) }).await.unwrap();
    let hashes: Vec<_> = (0..100).map(|n| commit(n).hash).collect();
    let hashes: Vec<_> = hashes.iter().map(String::as_str).collect();
    assert_eq!(store::commits::known(&mut tx, "a", &hashes).await.unwrap().len(), 70);
    assert_eq!(store::commits::known(&mut tx, "b", &hashes).await.unwrap().len(), 0);
    assert_eq!(store::commits::known(&mut tx, "a", &[]).await.unwrap().len(), 0);
    let mut many = store::commits::many(&mut tx, "a", &hashes[2..5]).await.unwrap();
    many.sort_by(|a, b| a.hash.cmp(&b.hash));
    assert_eq!(many, [commit(2), commit(3), commit(4)]);
    assert_eq!(
        store::commits::first_parent(&mut tx, "a", hashes[4]).await.unwrap().as_deref(),
        Some(hashes[3])
    );
    assert_eq!(store::commits::first_parent(&mut tx, "a", hashes[0]).await.unwrap(), None);
}

pub(crate) async fn a_line_after_a_force_push(on: Fixture) {
    let mut tx = on.db.begin().await.unwrap();
    assert_eq!(store::branch_commits::ends(&mut tx, "a", "m").await.unwrap(), None);
    for (position, hash) in [(0, "x"), (1, "y"), (2, "z")] {
        store::branch_commits::insert(&mut tx, "a", "m", position, hash).await.unwrap();
    }
    assert_eq!(store::branch_commits::cut(&mut tx, "a", "m", 0).await.unwrap(), 2);
    store::branch_commits::insert(&mut tx, "a", "m", 3, "w").await.unwrap();
    // `y` comes back on top, and leaves its old place.
    store::branch_commits::insert(&mut tx, "a", "m", 4, "y").await.unwrap();
    let hashes = |places: Vec<store::branch_commits::Place>| -> Vec<_> {
        places.into_iter().map(|place| (place.position, place.hash, place.reachable)).collect()
    };
    let window = store::branch_commits::window(&mut tx, "a", "m", i64::MAX, 10).await.unwrap();
    let expected = [(4, "y", true), (3, "w", true), (2, "z", false), (0, "x", true)];
    assert_eq!(hashes(window), expected.map(|(at, hash, here)| (at, hash.to_owned(), here)));
    let line = store::branch_commits::line(&mut tx, "a", "m", 2).await.unwrap();
    assert_eq!(hashes(line).len(), 2);
    assert_eq!(store::branch_commits::reachable(&mut tx, "a", "m").await.unwrap(), ["y", "w", "x"]);
    assert_eq!(store::branch_commits::ends(&mut tx, "a", "m").await.unwrap(), Some((0, 4)));
    let of = store::branch_commits::of(&mut tx, "a", "z").await.unwrap();
    assert_eq!(of, [("m".to_owned(), false)]);
    let twice = store::branch_commits::insert(&mut tx, "a", "m", 9, "y").await.unwrap_err();
    assert!(matches!(twice, StoreError::Conflict(_)), "{twice}");
}

fn result(n: u8, fence: i64, version: i64) -> ResultRow {
    ResultRow {
        build: build(n),
        builder: "linux".into(),
        repo: "a".into(),
        branch: "main".into(),
        subject: format!("{n:040x}"),
        revision: format!("a@{n:040x}"),
        class: "post_submit".into(),
        state: "done".into(),
        outcome: Some("ok".into()),
        cause: None,
        recipe: Some("r".into()),
        attempts: 1,
        fence,
        version,
        created: Micros(10),
        started: Some(Micros(20)),
        ended: Some(Micros(20 + i64::from(n))),
        expected: None,
        sample: false,
    }
}

pub(crate) async fn results_only_get_newer(on: Fixture) {
    let mut tx = on.db.begin().await.unwrap();
    assert_eq!(store::results::put(&mut tx, &result(1, 1, 5), "{1,5}").await.unwrap(), Put::Newer);
    assert_eq!(store::results::put(&mut tx, &result(1, 1, 5), "{1,5}").await.unwrap(), Put::Same);
    assert_eq!(store::results::put(&mut tx, &result(1, 2, 1), "{2,1}").await.unwrap(), Put::Newer);
    for (fence, version, doc) in [(1, 9, "{1,9}"), (2, 0, "{2,0}"), (2, 1, "other"), (1, 5, "{1,5}")] {
        let stale = store::results::put(&mut tx, &result(1, fence, version), doc).await.unwrap_err();
        assert!(matches!(stale, StoreError::Stale), "{doc}: {stale}");
    }
    assert_eq!(store::results::doc(&mut tx, build(1)).await.unwrap().as_deref(), Some("{2,1}"));
    assert_eq!(store::results::doc(&mut tx, build(2)).await.unwrap(), None);
}

pub(crate) async fn results_are_listed_by_what_is_asked(on: Fixture) {
    let mut tx = on.db.begin().await.unwrap();
    for n in 1..=40 {
        let mut row = result(n, 1, 1);
        row.builder = if n % 2 == 0 { "even" } else { "odd" }.into();
        row.outcome = (n % 4 != 0).then(|| "ok".into());
        store::results::put(&mut tx, &row, "{}").await.unwrap();
    }
    let ask = |builder: &str, subject: &str, outcome: &str| Filter {
        repo: "a".into(),
        builder: builder.into(),
        subject: subject.into(),
        outcome: outcome.into(),
        ..Filter::default()
    };
    let mut list = async |filter: Filter, before, limit| {
        let rows = store::results::list(&mut tx, &filter, before, limit).await.unwrap();
        rows.into_iter().map(|row| row.build).collect::<Vec<_>>()
    };
    assert_eq!(list(ask("", "", ""), None, 3).await, [build(40), build(39), build(38)]);
    assert_eq!(list(ask("", "", ""), Some(build(3)), 9).await, [build(2), build(1)]);
    assert_eq!(list(ask("even", "", ""), None, 2).await, [build(40), build(38)]);
    assert_eq!(list(ask("even", "", "ok"), None, 2).await, [build(38), build(34)]);
    assert_eq!(list(ask("", &format!("{:040x}", 7), ""), None, 9).await, [build(7)]);
    assert_eq!(list(ask("even", &format!("{:040x}", 7), ""), None, 9).await, []);
    let subjects: Vec<_> = (1..=40).map(|n| format!("{n:040x}")).collect();
    let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
    assert_eq!(store::results::of_subjects(&mut tx, "a", &subjects).await.unwrap().len(), 40);
    assert_eq!(store::results::of_subjects(&mut tx, "a", &subjects[..1]).await.unwrap().len(), 1);
    let durations = store::results::durations(&mut tx, "odd", "a", "r", 3).await.unwrap();
    assert_eq!(durations, [39, 37, 35]);
    assert!(store::results::durations(&mut tx, "odd", "a", "other", 3).await.unwrap().is_empty());
}

fn chunk(n: i64, first_byte: i64, first_line: i64, bytes: i64, lines: i64) -> ChunkRow {
    ChunkRow {
        n,
        fence: 1,
        first_byte,
        first_line,
        bytes,
        lines,
        raw_end: first_byte + bytes,
        crc32c: 0xffff_ffff,
        time: Micros(1),
        inline: (n % 2 == 0).then(|| vec![0, 255, 10]),
        object: (n % 2 == 1).then(|| "logs/A/1-1.zst".into()),
    }
}

pub(crate) async fn the_fence_of_a_log(on: Fixture) {
    let added = Added { bytes: 10, lines: 2, raw_end: 12 };
    let mut tx = on.db.begin().await.unwrap();
    let opened = store::logs::open(&mut tx, attempt(1), build(1), 3, Micros(1)).await.unwrap();
    assert_eq!((opened.next_n, opened.bytes, opened.fence), (0, 0, 3));
    store::logs::append(&mut tx, attempt(1), 3, 0, added, Micros(2)).await.unwrap();
    let opened = store::logs::open(&mut tx, attempt(1), build(1), 4, Micros(3)).await.unwrap();
    assert_eq!((opened.next_n, opened.bytes, opened.lines, opened.raw_end, opened.fence), (1, 10, 2, 12, 4));
    // The old owner writes nothing any more, the new one can't skip, and nobody takes it back.
    for (fence, n) in [(3, 1), (4, 2), (4, 0), (5, 1)] {
        let stale = store::logs::append(&mut tx, attempt(1), fence, n, added, Micros(4)).await.unwrap_err();
        assert!(matches!(stale, StoreError::Stale), "{fence} {n}");
    }
    assert!(store::logs::open(&mut tx, attempt(1), build(1), 3, Micros(5)).await.is_err());
    assert!(store::logs::open(&mut tx, attempt(1), build(2), 9, Micros(5)).await.is_err());
    assert!(store::logs::guard(&mut tx, attempt(1), 3).await.is_err());
    assert!(store::logs::finish(&mut tx, attempt(1), 3, Micros(6)).await.is_err());
    store::logs::guard(&mut tx, attempt(1), 4).await.unwrap();
    store::logs::finish(&mut tx, attempt(1), 4, Micros(6)).await.unwrap();
    assert!(store::logs::append(&mut tx, attempt(1), 4, 1, added, Micros(7)).await.is_err());
    let row = store::logs::get(&mut tx, attempt(1)).await.unwrap().unwrap();
    assert!(row.finished && row.gap.is_empty() && row.updated == Micros(6));
    assert_eq!(store::logs::of_build(&mut tx, build(1)).await.unwrap(), [row]);
}

pub(crate) async fn log_chunks_by_byte_and_line(on: Fixture) {
    let mut tx = on.db.begin().await.unwrap();
    // Chunk 1 holds no end of a line; chunk 2 ends the line that began in chunk 0.
    let chunks = [chunk(0, 0, 0, 10, 2), chunk(1, 10, 2, 5, 0), chunk(2, 15, 2, 5, 3)];
    for chunk in &chunks {
        store::log_chunks::insert(&mut tx, attempt(1), chunk).await.unwrap();
    }
    let all = store::log_chunks::from(&mut tx, attempt(1), 0, 9).await.unwrap();
    assert_eq!(all, chunks);
    assert_eq!(store::log_chunks::from(&mut tx, attempt(1), 1, 1).await.unwrap(), [chunks[1].clone()]);
    for (byte, n) in [(0, 0), (9, 0), (10, 1), (14, 1), (15, 2), (99, 2)] {
        assert_eq!(store::log_chunks::at_byte(&mut tx, attempt(1), byte).await.unwrap(), Some(n), "{byte}");
    }
    for (line, n) in [(1, 0), (2, 0), (3, 2), (5, 2)] {
        assert_eq!(store::log_chunks::at_line(&mut tx, attempt(1), line).await.unwrap(), Some(n), "{line}");
    }
    assert_eq!(store::log_chunks::at_byte(&mut tx, attempt(2), 0).await.unwrap(), None);
    store::log_chunks::delete(&mut tx, attempt(1), 1).await.unwrap();
    assert_eq!(store::log_chunks::get(&mut tx, attempt(1), 1).await.unwrap(), None);
    let twice = store::log_chunks::insert(&mut tx, attempt(1), &chunks[0]).await.unwrap_err();
    assert!(matches!(twice, StoreError::Conflict(_)), "{twice}");
}

pub(crate) async fn tests_and_artifacts(on: Fixture) {
    let mut tx = on.db.begin().await.unwrap();
    let test = store::test_results::TestRow {
        attempt: attempt(1),
        id: "pkg::works".into(),
        variant: String::new(),
        kind: "benchmark".into(),
        outcome: "ok".into(),
        duration: Some(5),
        first_byte: None,
        last_byte: None,
        value: Some(0.1),
        unit: Some("ns/op".into()),
        message: None,
        signature: Some("5e".into()),
    };
    // What is missing the first time that a statement is called may be there the next time.
    let none = store::test_results::TestRow { value: None, unit: None, duration: None, ..test.clone() };
    store::test_results::put(&mut tx, build(1), &none).await.unwrap();
    store::test_results::put(&mut tx, build(1), &test).await.unwrap();
    assert_eq!(
        store::test_results::of_build(&mut tx, build(1), 9).await.unwrap(),
        std::slice::from_ref(&test)
    );
    let test = store::test_results::TestRow { value: None, message: Some("m".into()), ..test };
    let other = store::test_results::TestRow { id: "a".into(), value: Some(0.1), ..test.clone() };
    store::test_results::put(&mut tx, build(1), &test).await.unwrap();
    store::test_results::put(&mut tx, build(1), &other).await.unwrap();
    assert_eq!(
        store::test_results::of_build(&mut tx, build(1), 9).await.unwrap(),
        [other.clone(), test.clone()]
    );
    // Many at once, with all that may be missing in the first and in a later one, replace those that are there; the last of the same counts.
    let mut many: Vec<_> = (0..40)
        .map(|n| store::test_results::TestRow {
            id: format!("m{n:02}"),
            duration: (n % 2 == 1).then_some(n),
            value: (n % 3 == 1).then_some(0.5),
            message: (n % 5 == 1).then(|| "m".into()),
            ..other.clone()
        })
        .collect();
    let first = store::test_results::TestRow { outcome: "failed".into(), ..many[7].clone() };
    let all: Vec<_> = [first].into_iter().chain(many.iter().cloned()).chain([test.clone()]).collect();
    store::test_results::put_all(&mut tx, build(1), &all).await.unwrap();
    store::test_results::put_all(&mut tx, build(1), &all).await.unwrap();
    many.insert(0, other);
    many.push(test);
    assert_eq!(store::test_results::of_build(&mut tx, build(1), 99).await.unwrap(), many);
    let artifact = store::artifacts::ArtifactRow {
        attempt: attempt(1),
        name: "a.log".into(),
        size: 1 << 40,
        sha256: "00".into(),
        object: "artifacts/00".into(),
        time: Micros(3),
        expired: None,
    };
    store::artifacts::put(&mut tx, build(1), &artifact).await.unwrap();
    store::artifacts::put(&mut tx, build(1), &artifact).await.unwrap();
    let found = store::artifacts::get(&mut tx, attempt(1), "a.log").await.unwrap();
    assert_eq!(found, Some(artifact.clone()));
    assert_eq!(store::artifacts::of_build(&mut tx, build(1)).await.unwrap(), [artifact]);
}

fn deed(detail: &str) -> store::audit::Deed {
    store::audit::Deed {
        time: Micros(7),
        actor: "ada".into(),
        action: "retry".into(),
        target: "build".into(),
        detail: detail.into(),
    }
}

pub(crate) async fn the_audit_chain_shows_any_change(on: Fixture) {
    let mut tx = on.db.begin().await.unwrap();
    for n in 0..5 {
        let row = store::audit::append(&mut tx, deed(&n.to_string())).await.unwrap();
        assert_eq!(row.seq, n + 1);
    }
    tx.commit().await.unwrap();
    assert_eq!(store::audit::verify(&mut on.db.read().await.unwrap(), None).await.unwrap().rows, 5);
    for (sql, seq) in [
        ("UPDATE audit SET detail = 'x' WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq = 2", 2),
        ("UPDATE audit SET hash = prev_hash WHERE seq = 5", 5),
    ] {
        let mut tx = on.db.begin().await.unwrap();
        assert_eq!(execute(&mut tx, sql).await.unwrap(), 1);
        let error = store::audit::verify(&mut tx, None).await.unwrap_err().to_string();
        assert!(error.contains(&format!("audit row {seq} ")), "{error}");
        tx.rollback().await.unwrap();
    }
}

/// What only one of the two can do, or does differently.
mod own {
    use super::*;
    use store::{DatabaseUrl, DbOptions};

    async fn sqlite(options: DbOptions) -> (tempfile::TempDir, Db) {
        let dir = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite("x.db".into());
        let db = Db::open_with(&url, dir.path(), options).await.unwrap();
        (dir, db)
    }

    #[tokio::test]
    async fn a_full_sqlite_is_full_and_goes_on_when_there_is_space() {
        let (_dir, db) = sqlite(DbOptions::default()).await;
        let mut tx = db.begin().await.unwrap();
        execute(&mut tx, "PRAGMA max_page_count = 1").await.unwrap();
        let big = RepoRow { reason: Some("x".repeat(1 << 20)), ..repo("a") };
        let full = store::repos::put(&mut tx, &big).await.unwrap_err();
        assert!(matches!(full, StoreError::Full(_)) && !full.is_transient(), "{full}");
        drop(tx);
        let mut tx = db.begin().await.unwrap();
        execute(&mut tx, "PRAGMA max_page_count = 1000000").await.unwrap();
        store::repos::put(&mut tx, &big).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store::repos::get(&mut db.read().await.unwrap(), "a").await.unwrap(), Some(big));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_that_meet_a_full_sqlite_at_once_are_all_told_that_it_is_full() {
        let (_dir, db) = sqlite(DbOptions::default()).await;
        let mut tasks = tokio::task::JoinSet::new();
        for name in ["a", "b", "c", "d", "e", "f"] {
            let db = db.clone();
            tasks.spawn(async move {
                let big = RepoRow { reason: Some("x".repeat(1 << 20)), ..repo(name) };
                for _ in 0..30 {
                    let mut tx = db.begin().await?;
                    execute(&mut tx, "PRAGMA max_page_count = 1").await?;
                    let full = store::repos::put(&mut tx, &big).await.unwrap_err();
                    assert!(matches!(full, StoreError::Full(_)), "{full}");
                }
                Ok::<_, StoreError>(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            // Whoever begins on a connection that another one's full disk has spoilt gets the next.
            done.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_writer_that_waits_too_long_is_told_that_it_is_busy() {
        let (_dir, db) = sqlite(DbOptions { acquire: Duration::from_secs(1), ..DbOptions::default() }).await;
        let _held = db.begin().await.unwrap();
        let busy = db.begin().await.unwrap_err();
        assert!(matches!(busy, StoreError::Busy(_)) && busy.is_transient(), "{busy}");
        // Readers are not held up.
        assert!(store::repos::list(&mut db.read().await.unwrap()).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_reader_of_sqlite_cannot_write() {
        let (_dir, db) = sqlite(DbOptions::default()).await;
        let mut reader = db.read().await.unwrap();
        let refused = sqlx::query("DELETE FROM repos").execute(reader.conn()).await.unwrap_err();
        assert!(refused.to_string().contains("readonly"), "{refused}");
    }

    #[cfg(feature = "postgres")]
    #[tokio::test]
    async fn a_postgres_connection_that_is_cut_is_unavailable_and_comes_back() {
        let on = Fixture::new(store::Dialect::Postgres).await;
        let mut tx = on.db.begin().await.unwrap();
        let cut = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let mut other = on.db.read().await.unwrap();
        sqlx::query(cut).execute(other.conn()).await.unwrap();
        drop(other);
        let lost = store::repos::put(&mut tx, &repo("a")).await.unwrap_err();
        assert!(lost.is_transient(), "{lost}");
        drop(tx);
        let mut tx = on.db.begin().await.unwrap();
        store::repos::put(&mut tx, &repo("a")).await.unwrap();
        tx.commit().await.unwrap();
    }
}

pub(crate) async fn old_events_go_and_the_newest_stays(on: Fixture) {
    use store::events::{self, EventRow};
    let event = |seq: i64| EventRow { seq, time: Micros(seq * 10), kind: "tick".into(), body: "{}".into() };
    let mut tx = on.db.begin().await.unwrap();
    let all: Vec<EventRow> = (1..=19).map(event).collect();
    events::insert(&mut tx, &all[..4]).await.unwrap();
    assert_eq!(events::expire(&mut tx, Micros(30)).await.unwrap(), 2);
    assert_eq!(events::after(&mut tx, 0, 9).await.unwrap(), [event(3), event(4)]);
    assert_eq!(events::expire(&mut tx, Micros(1000)).await.unwrap(), 1);
    assert_eq!(events::last(&mut tx).await.unwrap(), 4, "numbers go on from it");
    events::insert(&mut tx, &all[4..]).await.unwrap();
    assert_eq!(events::after(&mut tx, 3, 99).await.unwrap(), all[3..]);
}

pub(crate) async fn tokens_by_their_hash(on: Fixture) {
    use store::tokens::{self, TokenRow};
    let token = |hash: &str, name: &str, expires: Option<i64>| TokenRow {
        hash: hash.into(),
        name: name.into(),
        role: "developer".into(),
        scope: "a b".into(),
        maker: "ada".into(),
        created: Micros(1),
        used: None,
        expires: expires.map(Micros),
        revoked: None,
    };
    let mut tx = on.db.begin().await.unwrap();
    tokens::insert(&mut tx, &token("h1", "ci", None)).await.unwrap();
    tokens::insert(&mut tx, &token("h2", "bot", Some(50))).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = on.db.begin().await.unwrap();
    let taken = tokens::insert(&mut tx, &token("h3", "ci", None)).await.unwrap_err();
    assert!(matches!(taken, StoreError::Conflict(_)), "{taken}");
    drop(tx);
    let mut tx = on.db.begin().await.unwrap();
    assert_eq!(tokens::valid(&mut tx, "h1", Micros(99)).await.unwrap(), Some(token("h1", "ci", None)));
    assert!(tokens::valid(&mut tx, "h2", Micros(49)).await.unwrap().is_some());
    assert!(tokens::valid(&mut tx, "h2", Micros(50)).await.unwrap().is_none(), "it is over");
    assert!(tokens::valid(&mut tx, "h4", Micros(1)).await.unwrap().is_none());
    tokens::used(&mut tx, "h1", Micros(7)).await.unwrap();
    assert_eq!(tokens::revoke(&mut tx, "ci", Micros(9)).await.unwrap().as_deref(), Some("h1"));
    assert_eq!(tokens::revoke(&mut tx, "ci", Micros(10)).await.unwrap(), None);
    assert!(tokens::valid(&mut tx, "h1", Micros(9)).await.unwrap().is_none(), "it is revoked");
    tokens::insert(&mut tx, &token("h3", "ci", None)).await.unwrap();
    let list = tokens::list(&mut tx).await.unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!((list[0].used, list[0].revoked), (Some(Micros(7)), Some(Micros(9))));
}

pub(crate) async fn a_machine_s_token_is_used_once(on: Fixture) {
    use store::machine_tokens::{self as machines, MachineTokenRow};
    let token = |bootstrap: &str, name: &str| MachineTokenRow {
        bootstrap: bootstrap.into(),
        name: name.into(),
        host: "far".into(),
        maker: "ada".into(),
        created: Micros(1),
        expires: Micros(50),
        secret: None,
        joined: None,
        seen: None,
        seen_from: None,
        version: None,
        revoked: None,
    };
    let mut tx = on.db.begin().await.unwrap();
    machines::insert(&mut tx, &token("b1", "box")).await.unwrap();
    machines::insert(&mut tx, &token("b2", "chest")).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = on.db.begin().await.unwrap();
    let taken = machines::insert(&mut tx, &token("b3", "box")).await.unwrap_err();
    assert!(matches!(taken, StoreError::Conflict(_)), "{taken}");
    drop(tx);
    let mut tx = on.db.begin().await.unwrap();
    assert!(machines::join(&mut tx, "b1", "s1", Micros(49)).await.unwrap());
    assert!(!machines::join(&mut tx, "b1", "s9", Micros(49)).await.unwrap(), "it is used");
    assert!(!machines::join(&mut tx, "b2", "s2", Micros(50)).await.unwrap(), "it is over");
    machines::seen(&mut tx, "b1", Micros(60), "192.0.2.1", "29").await.unwrap();
    let row = machines::by_secret(&mut tx, "s1").await.unwrap().unwrap();
    let seen = (row.joined, row.seen, row.seen_from.as_deref(), row.version.as_deref());
    assert_eq!(seen, (Some(Micros(49)), Some(Micros(60)), Some("192.0.2.1"), Some("29")));
    assert_eq!(machines::by_bootstrap(&mut tx, "b2").await.unwrap(), Some(token("b2", "chest")));
    assert!(machines::revoke(&mut tx, "b1", Micros(70)).await.unwrap());
    assert!(!machines::revoke(&mut tx, "b1", Micros(71)).await.unwrap());
    assert_eq!(machines::by_name(&mut tx, "box").await.unwrap(), None);
    assert_eq!(machines::by_secret(&mut tx, "s1").await.unwrap().unwrap().revoked, Some(Micros(70)));
    // Its name is free, and the revoked one is still listed.
    machines::insert(&mut tx, &token("b3", "box")).await.unwrap();
    assert!(machines::revoke(&mut tx, "b3", Micros(72)).await.unwrap());
    assert!(!machines::join(&mut tx, "b3", "s3", Micros(10)).await.unwrap(), "it is revoked");
    assert_eq!(machines::list(&mut tx).await.unwrap().len(), 3);
}

pub(crate) async fn a_machine_is_set_aside_until_it_ends(on: Fixture) {
    use store::set_asides::{self, SetAsideRow};
    let row = |name: &str, reason: &str, since, until: Option<i64>| SetAsideRow {
        host: "far".into(),
        name: name.into(),
        owner: "ada".into(),
        reason: reason.into(),
        since: Micros(since),
        until: until.map(Micros),
    };
    let mut tx = on.db.begin().await.unwrap();
    set_asides::put(&mut tx, &row("box", "disk", 1, Some(50))).await.unwrap();
    set_asides::put(&mut tx, &row("box", "disk swap", 2, Some(60))).await.unwrap();
    set_asides::put(&mut tx, &row("chest", "", 3, None)).await.unwrap();
    let (swap, chest) = (row("box", "disk swap", 2, Some(60)), row("chest", "", 3, None));
    assert_eq!(set_asides::live(&mut tx, Micros(59)).await.unwrap(), [swap, chest.clone()]);
    assert_eq!(set_asides::live(&mut tx, Micros(60)).await.unwrap(), [chest]);
    assert!(set_asides::remove(&mut tx, "far", "chest").await.unwrap());
    assert!(!set_asides::remove(&mut tx, "far", "chest").await.unwrap());
    assert_eq!(set_asides::live(&mut tx, Micros(60)).await.unwrap(), []);
}

pub(crate) async fn sessions_and_links_that_work_once(on: Fixture) {
    use store::sessions::{self, SessionRow};
    let row = |hash: &str, expires| SessionRow {
        hash: hash.into(),
        person: "ada".into(),
        role: "admin".into(),
        created: Micros(1),
        expires: Micros(expires),
    };
    let mut tx = on.db.begin().await.unwrap();
    sessions::insert_link(&mut tx, &row("l1", 10)).await.unwrap();
    sessions::insert_link(&mut tx, &row("l2", 10)).await.unwrap();
    assert_eq!(sessions::use_link(&mut tx, "l1", Micros(9)).await.unwrap(), Some(row("l1", 10)));
    assert_eq!(sessions::use_link(&mut tx, "l1", Micros(9)).await.unwrap(), None, "it works once");
    assert_eq!(sessions::use_link(&mut tx, "l2", Micros(10)).await.unwrap(), None, "it is over");
    sessions::insert(&mut tx, &row("s1", 20)).await.unwrap();
    sessions::insert(&mut tx, &row("s2", 30)).await.unwrap();
    assert_eq!(sessions::valid(&mut tx, "s1", Micros(19)).await.unwrap(), Some(row("s1", 20)));
    assert_eq!(sessions::valid(&mut tx, "s1", Micros(20)).await.unwrap(), None);
    sessions::sweep(&mut tx, Micros(20)).await.unwrap();
    assert_eq!(sessions::valid(&mut tx, "s1", Micros(1)).await.unwrap(), None, "it is gone");
    sessions::end(&mut tx, "s2").await.unwrap();
    assert_eq!(sessions::valid(&mut tx, "s2", Micros(1)).await.unwrap(), None);
}

pub(crate) async fn a_feed_is_numbered_as_it_becomes_visible(on: Fixture) {
    use store::feed::{self, FeedRow};
    let event = |n: u8| FeedRow {
        seq: 0,
        time: Micros(i64::from(n)),
        kind: "queued".into(),
        repo: "a".into(),
        branch: "main".into(),
        builder: "b".into(),
        build: build(n).to_string(),
        revision: "a@1".into(),
        outcome: None,
    };
    assert_eq!(feed::ends(&mut on.db.read().await.unwrap()).await.unwrap(), (1, 0));
    // What is given up leaves no gap.
    let mut tx = on.db.begin().await.unwrap();
    assert_eq!(feed::add(&mut tx, &event(1), 100).await.unwrap(), 1);
    drop(tx);
    // Many at once: whoever has read up to a number is never told of a lower one later.
    let writers: Vec<_> = (1..=20)
        .map(|n| {
            let (db, event) = (on.db.clone(), event(n));
            tokio::spawn(async move {
                let mut tx = db.begin().await.unwrap();
                let seq = feed::add(&mut tx, &event, 100).await.unwrap();
                tx.commit().await.unwrap();
                seq
            })
        })
        .collect();
    let mut seen = Vec::new();
    let all = async {
        while seen.len() < 20 {
            let last = seen.last().copied().unwrap_or(0);
            let rows = feed::after(&mut on.db.read().await.unwrap(), last, 3).await.unwrap();
            seen.extend(rows.iter().map(|row| row.seq));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
    assert_eq!(seen, (1..=20).collect::<Vec<_>>());
    for writer in writers {
        writer.await.unwrap();
    }
    let mut tx = on.db.begin().await.unwrap();
    assert_eq!(feed::add(&mut tx, &event(21), 5).await.unwrap(), 21);
    assert_eq!(feed::ends(&mut tx).await.unwrap(), (17, 21), "the last five are kept");
    tx.commit().await.unwrap();
}

pub(crate) async fn hints_stay_until_they_are_forgotten(on: Fixture) {
    use store::pubsub_events::{self, PubsubEventRow};
    let row = |n: i64| PubsubEventRow {
        time_ns: 1_790_000_000_000_000_000 + n,
        event: format!("{{\"n\": {n}}}"),
        delivery: (n % 2 == 0).then(|| format!("id {n}")),
    };
    let mut tx = on.db.begin().await.unwrap();
    for n in [3, 1, 2, 4] {
        pubsub_events::add(&mut tx, &row(n)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = on.db.begin().await.unwrap();
    let twice = pubsub_events::add(&mut tx, &row(3)).await.unwrap_err();
    assert!(matches!(twice, StoreError::Conflict(_)), "a time is of one event: {twice}");
    drop(tx);
    let mut reader = on.db.read().await.unwrap();
    let newest = pubsub_events::newest(&mut reader, i64::MAX, 3).await.unwrap();
    assert_eq!(newest, [row(2), row(3), row(4)], "in their order");
    let before = pubsub_events::newest(&mut reader, row(3).time_ns, 3).await.unwrap();
    assert_eq!(before, [row(1), row(2)]);
    assert!(pubsub_events::has(&mut reader, row(3).time_ns).await.unwrap());
    assert!(!pubsub_events::has(&mut reader, row(5).time_ns).await.unwrap());
    drop(reader);
    let mut tx = on.db.begin().await.unwrap();
    pubsub_events::forget(&mut tx, row(3).time_ns).await.unwrap();
    tx.commit().await.unwrap();
    let left = pubsub_events::newest(&mut on.db.read().await.unwrap(), i64::MAX, 10).await.unwrap();
    assert_eq!(left, [row(3), row(4)]);
}
