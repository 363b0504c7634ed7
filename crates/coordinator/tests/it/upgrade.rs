//! Each version of the schema is upgraded while builds run: what runs is found again, what waits is built.

use std::collections::{BTreeMap, BTreeSet};

use dashboard::api::Outcome;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use store::{DatabaseUrl, Dialect, MIGRATIONS};

use crate::world::World;

/// The first schema that knows builds.
const FIRST: i64 = 2;

pub async fn builds_go_on_over_an_upgrade_from_each_version(world: World) {
    let dialect = world.db.dialect();
    drop(world);
    for version in FIRST..store::newest_version() {
        let mut world = World::new(dialect).await;
        let (hold, marks) = (world.dir.path().join("hold"), world.dir.path().join("marks"));
        std::fs::write(&hold, "").unwrap();
        world.configure(&format!(
            "[host.h]\npool = \"local\"\ntrust = \"trusted\"\ncapacity = 1\nenv_pass = [\"PATH\"]\n\
             [repo.one]\nurl = \"https://example.com/one\"\nhorizon = 2\n\
             [builder.b]\nhost = \"h\"\nrecipe = \"r\"\n\
             [recipe.r]\nrun = '''echo x >> {}; seq 1 20; while [ -e {} ]; do sleep 0.05; done; seq 21 40'''\n",
            marks.display(),
            hold.display()
        ));
        world.push("one", &[2, 1]).await;
        let before = world.start().await;
        let status = before
            .until(|status| status.running.len() == 1 && status.queued.len() == 1 && !read(&marks).is_empty())
            .await;
        let running = status.running[0].build.to_string();
        before.stop.cancel();
        before.stopped().await;
        world.db.close().await;

        downgrade(&world, dialect, version).await;
        world.reopen().await;
        let mut reader = world.db.read().await.unwrap();
        let newest = sqlx::query("SELECT CAST(MAX(version) AS BIGINT) FROM schema_version");
        let newest = newest.fetch_one(store::Conn::conn(&mut reader)).await.unwrap().get::<i64, _>(0);
        drop(reader);
        assert_eq!(newest, store::newest_version());
        std::fs::remove_file(&hold).unwrap();
        // The program before had none.
        world.order_key = world.order_key.clone().new_here();
        let after = world.start().await;
        after.until(|status| status.queued.is_empty() && status.running.is_empty()).await;
        let mut builds = world.builds().await;
        // What is done is reported soon after.
        for _ in 0..500 {
            if builds.iter().all(|row| row.reported) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            builds = world.builds().await;
        }
        assert_eq!(builds.len(), 2, "from version {version}: {builds:?}");
        assert!(builds.iter().any(|build| build.id.to_string() == running));
        let lines: String = (1..=40).map(|n| format!("{n}\n")).collect();
        for row in builds {
            let build = world.dashboard.build(&row.id.to_string()).await.unwrap();
            assert_eq!(build.outcome, Some(Outcome::Ok), "from version {version}: {build:?}");
            assert_eq!(build.attempts.len(), 1, "from version {version}: {build:?}");
            assert_eq!(world.log(&build.attempts[0]).await, lines, "from version {version}");
        }
        assert_eq!(read(&marks).lines().count(), 2, "each is run once");
    }
}

fn read(file: &std::path::Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// Takes away what later migrations added, so that the database is as that version of the program left it.
async fn downgrade(world: &World, dialect: Dialect, version: i64) {
    let wanted = World::new(dialect).await;
    wanted.db.close().await;
    let mut like = connect(&wanted).await;
    empty(&mut like, dialect).await;
    let blob = if dialect == Dialect::Sqlite { "BLOB" } else { "BYTEA" };
    for migration in &MIGRATIONS[..version as usize] {
        let text = migration.sql.replace("{BLOB}", blob);
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut like).await.unwrap();
    }
    let like = Shape::of(&mut like, dialect).await;
    let mut on = connect(world).await;
    let has = Shape::of(&mut on, dialect).await;
    let mut steps = Vec::new();
    for table in has.tables.keys().filter(|table| *table != "schema_version") {
        if !like.tables.contains_key(table) {
            steps.push(format!("DROP TABLE {table}"));
        }
    }
    run(&mut on, &steps).await;
    let has = Shape::of(&mut on, dialect).await;
    let mut steps: Vec<String> =
        has.indexes.difference(&like.indexes).map(|index| format!("DROP INDEX {index}")).collect();
    steps.retain(|step| !step.contains("schema_version"));
    for (table, columns) in &like.tables {
        for column in has.tables[table].difference(columns) {
            steps.push(format!("ALTER TABLE {table} DROP COLUMN {column}"));
        }
    }
    // What later ones took away is made again, by the statement that made it.
    for index in like.indexes.difference(&has.indexes) {
        let made = MIGRATIONS[..version as usize].iter().flat_map(|migration| migration.sql.split(';'));
        let by = |statement: &&str| {
            ["CREATE INDEX", "CREATE UNIQUE INDEX"]
                .iter()
                .any(|words| statement.contains(&format!("{words} {index} ")))
        };
        steps.push(made.rev().find(by).unwrap().to_owned());
    }
    steps.push(format!("DELETE FROM schema_version WHERE version > {version}"));
    run(&mut on, &steps).await;
    let has = Shape::of(&mut on, dialect).await;
    for (table, columns) in &like.tables {
        assert_eq!(&has.tables[table], columns, "{table} at version {version}");
    }
}

async fn run(on: &mut AnyConnection, steps: &[String]) {
    for step in steps {
        let done = sqlx::raw_sql(AssertSqlSafe(step.clone())).execute(&mut *on).await;
        done.unwrap_or_else(|error| panic!("{step}: {error}"));
    }
}

async fn empty(on: &mut AnyConnection, dialect: Dialect) {
    let has = Shape::of(on, dialect).await;
    let steps: Vec<String> = has.tables.keys().map(|table| format!("DROP TABLE {table}")).collect();
    run(on, &steps).await;
}

async fn connect(world: &World) -> AnyConnection {
    let url = match &world.url {
        DatabaseUrl::Sqlite(file) => format!("sqlite://{}", world.dir.path().join(file).display()),
        DatabaseUrl::Postgres(url) => url.clone(),
    };
    AnyConnection::connect(&url).await.unwrap()
}

/// Tables with their columns, and indexes that were made by name.
struct Shape {
    tables: BTreeMap<String, BTreeSet<String>>,
    indexes: BTreeSet<String>,
}

impl Shape {
    async fn of(on: &mut AnyConnection, dialect: Dialect) -> Shape {
        let (tables, columns, indexes) = match dialect {
            Dialect::Sqlite => (
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
                "SELECT name FROM pragma_table_info($1)",
                "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
            ),
            Dialect::Postgres => (
                "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = 'public'",
                "SELECT CAST(column_name AS TEXT) FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name = $1",
                "SELECT CAST(indexname AS TEXT) FROM pg_indexes WHERE schemaname = 'public'",
            ),
        };
        let names = |rows: Vec<sqlx::any::AnyRow>| -> BTreeSet<String> {
            rows.iter().map(|row| row.get::<String, _>(0)).collect()
        };
        let mut shape = Shape { tables: BTreeMap::new(), indexes: BTreeSet::new() };
        for table in names(sqlx::query(tables).fetch_all(&mut *on).await.unwrap()) {
            let found = sqlx::query(columns).bind(table.clone()).fetch_all(&mut *on).await.unwrap();
            shape.tables.insert(table, names(found));
        }
        shape.indexes = names(sqlx::query(indexes).fetch_all(&mut *on).await.unwrap());
        shape
    }
}
