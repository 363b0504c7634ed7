//! Measures pages of test results with millions of them:
//! `cargo run --release -p dashboard --example test_results -- [--json] [RESULTS] [DATABASE]` (10,000,000 in SQLite if not said).
//!
//! Builds of 40 builders have 1,000 tests each, of 4,000 that there are; one in 500 fails, in one of a hundred ways. In SQLite it takes
//! about 300 bytes of disk a result, in a temporary directory; DATABASE is the address of an empty PostgreSQL. Printed are the results
//! written each second one by one and many at once, and for each page the median and the 95th of a hundred of 200 that are asked for,
//! with a hundredth of the results and with all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dashboard::{Dashboard, DashboardParts, LogLimits};
use store::results::ResultRow;
use store::test_results::TestRow;
use store::{AttemptId, BuildId, Db, Micros, Objects};
use transport::{Service, segment};

type Failed = Box<dyn std::error::Error>;

/// Tests of one build.
const OF_BUILD: u64 = 1000;
/// Tests that there are.
const TESTS: u64 = 4000;
const BUILDERS: u64 = 40;
/// How often each page is asked for.
const ASKED: u64 = 200;

/// A number by a number, always the same.
fn mixed(n: u64) -> u64 {
    let mut n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn name(test: u64) -> String {
    format!("example.com/project/part{}.TestCase{}/of_{test}", test % 97, test / 7)
}

fn ids(n: u64) -> (Micros, BuildId, AttemptId) {
    let at = Micros(1_700_000_000_000_000 + n as i64 * 60_000_000);
    let mut random =
        |to: &mut [u8]| to.iter_mut().zip(mixed(n).to_le_bytes()).for_each(|(to, byte)| *to = byte);
    (at, BuildId::new(at, &mut random), AttemptId::new(at, &mut random))
}

/// The results of a build.
fn tests(n: u64, attempt: AttemptId) -> Vec<TestRow> {
    let first = mixed(n) % TESTS;
    let one = |k: u64| {
        let test = (first + k) % TESTS;
        let word = mixed(n * OF_BUILD + k);
        let failed = word.is_multiple_of(500);
        TestRow {
            attempt,
            id: name(test),
            variant: String::new(),
            kind: "test".into(),
            outcome: if failed { "failed" } else { "ok" }.into(),
            duration: Some((word % 900_000) as i64),
            first_byte: Some(k as i64 * 80),
            last_byte: Some(k as i64 * 80 + 79),
            value: None,
            unit: None,
            message: failed.then(|| format!("case.go:{}: got {}, want 7", word % 300, word % 11)),
            signature: failed.then(|| format!("{:016x}", mixed(word % 100))),
        }
    };
    (0..OF_BUILD).map(one).collect()
}

/// Writes builds with their results; how long the results alone took.
async fn fill(db: &Db, builds: std::ops::Range<u64>, many: bool) -> Result<Duration, Failed> {
    let mut took = Duration::ZERO;
    for n in builds {
        let (at, build, attempt) = ids(n);
        let commit = format!("{n:040x}");
        let row = ResultRow {
            build,
            builder: format!("builder-{}", n % BUILDERS),
            repo: "one".into(),
            branch: "main".into(),
            revision: format!("one@{commit}"),
            subject: commit,
            class: "post_submit".into(),
            state: "done".into(),
            outcome: Some("ok".into()),
            cause: None,
            recipe: None,
            attempts: 1,
            fence: 1,
            version: 1,
            created: at,
            started: Some(at),
            ended: Some(at),
            expected: None,
            sample: false,
        };
        let rows = tests(n, attempt);
        let mut tx = db.begin().await?;
        store::results::put(&mut tx, &row, "{}").await?;
        let began = Instant::now();
        if many {
            store::test_results::put_all(&mut tx, build, &rows).await?;
        } else {
            for row in &rows {
                store::test_results::put(&mut tx, build, row).await?;
            }
        }
        took += began.elapsed();
        store::test_results::name(&mut tx, build, attempt).await?;
        tx.commit().await?;
    }
    Ok(took)
}

/// Asks for pages; the median and the 95th of a hundred.
async fn times(service: &Service, path: impl Fn(u64) -> String) -> Result<(Duration, Duration), Failed> {
    let mut all = Vec::new();
    for n in 0..ASKED {
        let began = Instant::now();
        let request = http::Request::get(path(n)).body(axum::body::Body::empty())?;
        let page = service.send_ok(request).await?.into_body();
        if !axum::body::to_bytes(page, 64 << 20).await?.trim_ascii_end().ends_with(b"</html>") {
            return Err("a page without an end".into());
        }
        all.push(began.elapsed());
    }
    all.sort_unstable();
    let at = |share: usize| all.get(all.len() * share / 100).copied().unwrap_or_default();
    Ok((at(50), at(95)))
}

/// A page: its name, and its address by a number.
type Asked = (&'static str, fn(u64, u64) -> String);

/// The address of a page by a number and by how many builds there are.
const PAGES: [Asked; 6] = [
    ("a test's history", |n, _| format!("/tests?repo=one&id={}", test(n))),
    ("… on one builder", |n, _| {
        format!("/tests?repo=one&id={}&builder=builder-{}", test(n), mixed(n + 1) % BUILDERS)
    }),
    ("tests by words", |n, _| format!("/tests/find?repo=one&q=case{}", mixed(n) % 500)),
    ("a builder's grid", |n, _| format!("/tests/grid?repo=one&builder=builder-{}", mixed(n) % BUILDERS)),
    ("a build's results", |n, builds| format!("/builds/{}/tests", ids(mixed(n) % builds).1)),
    ("failures alike", |n, _| format!("/tests/find?signature={:016x}", mixed(mixed(n) % 100))),
];

fn test(n: u64) -> String {
    segment(&name(mixed(n) % TESTS))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failed> {
    let (flags, words): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word == "--json");
    let wanted: u64 = words.first().map_or(Ok(10_000_000), |text| text.parse())?;
    let builds = (wanted / OF_BUILD).max(200);
    let dir = tempfile::tempdir()?;
    let db = Db::open(&words.get(1).map_or("sqlite:x.db", String::as_str).parse()?, dir.path()).await?;
    let objects = Objects::open(&"file:objects".parse()?, dir.path())?;
    let embedded = [buildenv::embedded("linux", "amd64")];
    let config = buildenv::load(&embedded, &|_| Err(std::io::ErrorKind::NotFound.into()), None)?;
    let (_keep, config) = tokio::sync::watch::channel(Arc::new(config));
    let parts = DashboardParts { db: db.clone(), objects, config, logs: LogLimits::default() };
    let dashboard = Dashboard::new(parts);
    let service = Service::in_process(dashboard::router(&dashboard)).with_timeout(Duration::from_secs(60));

    let per_second = |took: Duration, builds: u64| (builds * OF_BUILD) as f64 / took.as_secs_f64();
    let few = builds / 200;
    // In turns, as whatever else the machine does hinders both alike.
    let (mut one_by_one, mut many) = (Duration::ZERO, Duration::ZERO);
    for n in 0..few {
        one_by_one += fill(&db, 2 * n..2 * n + 1, false).await?;
        many += fill(&db, 2 * n + 1..2 * n + 2, true).await?;
    }
    let (one_by_one, many) = (per_second(one_by_one, few), per_second(many, few));
    let mut done = 2 * few;
    let mut worlds = Vec::new();
    for part in [builds / 100, builds] {
        fill(&db, done..part, true).await?;
        done = part;
        let mut all = Vec::new();
        for (what, path) in PAGES {
            let took =
                times(&service, |n| path(n, done)).await.map_err(|error| format!("{what}: {error}"))?;
            all.push(took);
        }
        worlds.push(all);
    }
    let ms = |took: Duration| took.as_secs_f64() * 1e3;
    if flags.is_empty() {
        println!(
            "written each second: {one_by_one:.0} one by one, {many:.0} many at once: {:.1} ×",
            many / one_by_one
        );
    }
    let mut pages = Vec::new();
    for (n, (what, _)) in PAGES.iter().enumerate() {
        let [(few50, few95), (all50, all95)] = [worlds[0][n], worlds[1][n]];
        if flags.is_empty() {
            println!(
                "{what:<18} p50 {:>7.2} ms of {} results, {:>7.2} ms of {}; p95 {:>7.2} ms, {:>7.2} ms: {:.2} ×",
                ms(few50),
                builds / 100 * OF_BUILD,
                ms(all50),
                builds * OF_BUILD,
                ms(few95),
                ms(all95),
                ms(all95) / ms(few95)
            );
        }
        pages.push(serde_json::json!({
            "what": what, "p50_ms": [ms(few50), ms(all50)], "p95_ms": [ms(few95), ms(all95)],
        }));
    }
    if !flags.is_empty() {
        let results = [builds / 100 * OF_BUILD, builds * OF_BUILD];
        println!(
            "{}",
            serde_json::json!({
                "results": results, "one_by_one": one_by_one, "many": many, "pages": pages,
            })
        );
    }
    Ok(())
}
