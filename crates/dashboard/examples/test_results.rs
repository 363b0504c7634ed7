//! Measures pages of test results with millions of them:
//! `cargo run --release -p dashboard --example test_results -- [RESULTS] [DATABASE]` (10,000,000 in SQLite if not said).
//!
//! Builds of 40 builders have 1,000 tests each, of 4,000 that there are; one in 500 fails, in one of a hundred ways. In SQLite it takes
//! about 300 bytes of disk a result, in a temporary directory; DATABASE is the address of an empty PostgreSQL. Printed are the results
//! written each second one by one and many at once, and for each page how long the median and the slowest of 20 took of 200 asked for,
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
        let failed = word % 500 == 0;
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

/// Asks for pages; the median and the slowest of 20.
async fn times(service: &Service, path: impl Fn(u64) -> String) -> Result<(Duration, Duration), Failed> {
    let mut all = Vec::new();
    for n in 0..ASKED {
        let began = Instant::now();
        let request = http::Request::get(path(n)).body(axum::body::Body::empty())?;
        let page = service.send_ok(request).await?.into_body();
        if !axum::body::to_bytes(page, 64 << 20).await?.ends_with(b"</html>\n") {
            return Err("a page without an end".into());
        }
        all.push(began.elapsed());
    }
    all.sort_unstable();
    let at = |share: usize| all.get(all.len() * share / 100).copied().unwrap_or_default();
    Ok((at(50), at(95)))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failed> {
    let wanted: u64 = std::env::args().nth(1).map_or(Ok(10_000_000), |text| text.parse())?;
    let builds = (wanted / OF_BUILD).max(100);
    let dir = tempfile::tempdir()?;
    let database = std::env::args().nth(2).unwrap_or_else(|| "sqlite:x.db".to_owned());
    let db = Db::open(&database.parse()?, dir.path()).await?;
    let objects = Objects::open(&"file:objects".parse()?, dir.path())?;
    let embedded = [buildenv::embedded("linux", "amd64")];
    let config = buildenv::load(&embedded, &|_| Err(std::io::ErrorKind::NotFound.into()), None)?;
    let (_keep, config) = tokio::sync::watch::channel(Arc::new(config));
    let parts = DashboardParts { db: db.clone(), objects, config, logs: LogLimits::default() };
    let dashboard = Dashboard::new(parts);
    let service = Service::in_process(dashboard::router(&dashboard)).with_timeout(Duration::from_secs(60));

    let per_second = |took: Duration, builds: u64| (builds * OF_BUILD) as f64 / took.as_secs_f64();
    let few = builds / 200;
    let one_by_one = per_second(fill(&db, 0..few, false).await?, few);
    let many = per_second(fill(&db, few..2 * few, true).await?, few);
    println!(
        "written each second: {one_by_one:.0} one by one, {many:.0} many at once: {:.1} times",
        many / one_by_one
    );
    let build = |n: u64, of: u64| ids(mixed(n) % of).1.to_string();
    let mut done = 2 * few;
    let mut before: Vec<Duration> = Vec::new();
    for part in [builds / 100, builds] {
        let began = Instant::now();
        fill(&db, done..part, true).await?;
        println!(
            "{} results, {} more written in {:.0?}",
            part * OF_BUILD,
            (part.max(done) - done) * OF_BUILD,
            began.elapsed()
        );
        done = part.max(done);
        let test = |n: u64| segment(&name(mixed(n) % TESTS));
        let pages: [(&str, Box<dyn Fn(u64) -> String>); 6] = [
            ("a test's history", Box::new(move |n| format!("/tests?repo=one&id={}", test(n)))),
            (
                "on one builder",
                Box::new(move |n| {
                    format!("/tests?repo=one&id={}&builder=builder-{}", test(n), mixed(n + 1) % BUILDERS)
                }),
            ),
            ("tests by words", Box::new(|n| format!("/tests/find?repo=one&q=case{}", mixed(n) % 500))),
            (
                "a builder's grid",
                Box::new(|n| format!("/tests/grid?repo=one&builder=builder-{}", mixed(n) % BUILDERS)),
            ),
            ("a build's results", Box::new(move |n| format!("/builds/{}/tests", build(n, done)))),
            (
                "failures alike",
                Box::new(move |n| format!("/tests/find?signature={:016x}", mixed(mixed(n) % 100))),
            ),
        ];
        for (at, (what, path)) in pages.iter().enumerate() {
            let (half, most) = times(&service, path).await.map_err(|error| format!("{what}: {error}"))?;
            let ratio = before.get(at).map_or(String::new(), |old| {
                format!(", 1 to {:.2} with a hundredth", most.as_secs_f64() / old.as_secs_f64())
            });
            println!("{what:<20} p50 {half:>9.2?} p95 {most:>9.2?}{ratio}");
            if before.len() < pages.len() {
                before.push(most);
            }
        }
    }
    Ok(())
}
