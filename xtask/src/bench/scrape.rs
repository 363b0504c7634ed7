//! Builds while a stranger asks for the grid and for logs, five hundred times a second.

use anyhow::Result;
use testkit::{Scraper, cpu_time, resident_bytes};

use super::Args;
use super::site::{REPO, Site, Times};
use super::table::{Budget, Table};

const PER_SECOND: u32 = 500;
const CONNECTIONS: u32 = 20;
/// Builds in a row with the scraper, and without it.
const BUILDS: usize = 15;
/// How often one follows the other.
const ROUNDS: usize = 4;
/// Finished builds before it begins.
const BEFORE: usize = 30;

pub(super) fn section(args: &Args) -> Result<String> {
    let dir = tempfile::Builder::new().prefix("bw-scrape-").tempdir()?;
    let mut text = format!(
        "A stranger asks for the grid, its JSON, a build and its log in turn, {PER_SECOND} times a second on {CONNECTIONS} connections, while \
         builds are asked for one after another ({} with the scraper, as many without it, in turns). Once with the limits on strangers as they \
         are by default, so that most is refused, and once without.\n\n",
        BUILDS * ROUNDS
    );
    let unlimited = "[access]\nstrangers_per_second = 1000000\nstrangers_burst = 1000000\n";
    for (what, name, more) in
        [("limits as by default", "limited", ""), ("limits raised", "unlimited", unlimited)]
    {
        let mut site = Site::start(args, &dir.path().join(name), (BUILDS * ROUNDS * 2) + BEFORE + 2, more)?;
        site.builds(BEFORE)?;
        let (id, _) = site.build("trivial")?;
        let paths = [
            format!("/grid?repo={REPO}"),
            format!("/grid.json?repo={REPO}"),
            format!("/builds/{id}"),
            format!("/api/v1/builds/{id}/log"),
        ];
        let (mut quiet, mut scraped) = (Times::default(), Times::default());
        let (mut answers, mut refused, mut seconds, mut cpu) = (0, 0, 0.0, 0.0);
        for _ in 0..ROUNDS {
            quiet.add(site.builds(BUILDS)?);
            let before = cpu_time(site.pid()?)?;
            let scraper = Scraper::start(site.server.address(), &paths, CONNECTIONS, PER_SECOND);
            let times = site.builds(BUILDS);
            let got = scraper.stop()?;
            scraped.add(times?);
            cpu += (cpu_time(site.pid()?)? - before).as_secs_f64();
            eprintln!("{what}: {got:?}");
            answers += got.count();
            refused += got.answers.get(&429).copied().unwrap_or_default();
            seconds += got.took.as_secs_f64();
        }
        let mut table = Table::new(what, "with the scraper");
        table.row("queued → leased, p50", "ms", quiet.dispatch(50), scraped.dispatch(50), Budget::None);
        table.row("queued → leased, p95", "ms", quiet.dispatch(95), scraped.dispatch(95), Budget::None);
        table.row("submit → done, p50", "ms", quiet.done(50), scraped.done(50), Budget::None);
        table.row("submit → done, p95", "ms", quiet.done(95), scraped.done(95), Budget::None);
        text.push_str(&table.finish());
        text.push_str(&format!(
            "\n{:.0} answers a second, {:.0} % of them 429; the server took {:.0} % of a core, and holds {:.1} MiB afterwards.\n\n",
            answers as f64 / seconds,
            100.0 * refused as f64 / answers.max(1) as f64,
            100.0 * cpu / seconds,
            resident_bytes(site.pid()?)? as f64 / (1024.0 * 1024.0),
        ));
    }
    Ok(text)
}
