//! Alarms: machines and builders of which too much is for nothing, builders that are slow, silent or short of machines.
//!
//! What is measured ([`measures`]) is held against what goes on ([`decide`]); both are plain functions. An alarm begins at
//! its threshold and ends well below it, so that one that stands at it does not come and go. [`keeper`] writes beginnings and
//! ends down, each in one transaction with what is told of it: once, however often the coordinator starts anew.

pub(crate) mod keeper;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use buildenv::Alarms;
use dashboard::api::{BuilderStatistics, MachineStatistics};
use store::Micros;
use store::alarms::AlarmRow;
use store::builds::BuildRow;

use crate::core::Status;
use crate::schedule::Reason;

/// What is looked at.
pub(crate) struct Seen<'a> {
    pub now: Micros,
    /// When this coordinator began: what waited while none ran is nobody's fault.
    pub since: Micros,
    /// What machines did in the last day.
    pub machines: &'a [MachineStatistics],
    /// What builders did in the last day.
    pub builders: &'a [BuilderStatistics],
    /// How things stand.
    pub status: &'a Status,
    /// Builds whose end the dashboard does not know.
    pub open: &'a [BuildRow],
    /// Builders of which a build ended within the time after which they are silent.
    pub busy: &'a BTreeSet<String>,
}

/// How a machine or a builder does by one measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Measure {
    /// One of [`Alarms::KINDS`].
    pub kind: &'static str,
    /// `HOST/MACHINE`, or the builder.
    pub subject: String,
    /// Whether an alarm begins if there is none.
    pub begins: bool,
    /// In words.
    pub detail: String,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Alarms that begin.
    pub begin: Vec<Measure>,
    /// Alarms that end.
    pub end: Vec<AlarmRow>,
}

/// Whether an alarm is of a machine; it is of a builder otherwise.
pub(crate) fn is_of_machine(kind: &str) -> bool {
    kind == "machine_retries"
}

/// What begins and what ends. A measure is there as long as an alarm would go on.
pub(crate) fn decide(live: &[AlarmRow], measures: Vec<Measure>) -> Changes {
    let is = |alarm: &AlarmRow, measure: &Measure| {
        (&*alarm.kind, &alarm.subject) == (measure.kind, &measure.subject)
    };
    let ends = |alarm: &&AlarmRow| !measures.iter().any(|measure| is(alarm, measure));
    let end: Vec<AlarmRow> = live.iter().filter(ends).cloned().collect();
    let begins = |measure: &Measure| measure.begins && !live.iter().any(|alarm| is(alarm, measure));
    Changes { begin: measures.into_iter().filter(begins).collect(), end }
}

/// All that is, or goes on to be, a cause for alarm.
pub(crate) fn measures(config: &Alarms, seen: &Seen<'_>) -> Vec<Measure> {
    let mut found = retries(config, seen);
    found.extend(budgets(config, seen));
    let short = short(config, seen);
    found.extend(silent(config, seen, &short));
    found.extend(short);
    found.retain(|measure| {
        let wanted = is_of_machine(measure.kind) || config.builder.matches(&measure.subject);
        wanted && !config.off.iter().any(|off| off == measure.kind)
    });
    found
}

/// A share that is too large, or was and is not yet down to half of that.
fn share(
    kind: &'static str,
    subject: String,
    part: i64,
    of: i64,
    percent: u32,
    words: &str,
    least: u32,
) -> Option<Measure> {
    let (part, of) = (part.max(0), of.max(0));
    let hundred = part.saturating_mul(100);
    let goes_on = hundred.saturating_mul(2) >= of.saturating_mul(i64::from(percent)) && part > 0;
    let begins = of >= i64::from(least) && hundred >= of.saturating_mul(i64::from(percent));
    let detail =
        format!("{part} of {of} {words} within a day ({} %, from {percent} % on)", hundred / of.max(1));
    goes_on.then_some(Measure { kind, subject, begins, detail })
}

fn retries(config: &Alarms, seen: &Seen<'_>) -> Vec<Measure> {
    let machine = |one: &MachineStatistics| {
        let words = "attempts were for nothing";
        let (subject, bad) = (format!("{}/{}", one.host, one.machine), one.lost + one.flaked);
        share("machine_retries", subject, bad, one.attempts, config.machine_retries, words, config.least)
    };
    let builder = |one: &BuilderStatistics| {
        let (words, subject) = ("builds had more than one attempt", one.builder.clone());
        share(
            "builder_retries",
            subject,
            one.retried,
            one.builds,
            config.builder_retries,
            words,
            config.least,
        )
    };
    seen.machines.iter().filter_map(machine).chain(seen.builders.iter().filter_map(builder)).collect()
}

/// Builders whose builds take longer than they may; one that is below nine tenths of it is so no more.
fn budgets(config: &Alarms, seen: &Seen<'_>) -> Vec<Measure> {
    let measure = |one: &BuilderStatistics| {
        let budget = config.budget(&one.builder)?;
        let most = i64::try_from(budget.as_micros()).unwrap_or(i64::MAX);
        let goes_on = one.took_us > most / 10 * 9;
        let begins = one.took_us > most && one.builds >= i64::from(config.least);
        let detail = format!(
            "{} builds within a day took {} on average, and may take {}",
            one.builds,
            webui::time::duration(one.took_us),
            webui::time::duration(most),
        );
        goes_on.then(|| Measure { kind: "budget", subject: one.builder.clone(), begins, detail })
    };
    seen.builders.iter().filter_map(measure).collect()
}

/// How long it is from then to then, if the clock went on.
fn between(from: Micros, to: Micros) -> Duration {
    Duration::from_micros(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
}

/// Builders of which a build waits long for a machine; one whose oldest waits half as long is so no more.
fn short(config: &Alarms, seen: &Seen<'_>) -> Vec<Measure> {
    let mut oldest: BTreeMap<&str, (Micros, usize)> = BTreeMap::new();
    for waiting in &seen.status.queued {
        if !matches!(waiting.wait.reason, Reason::Pool { .. } | Reason::PoolFailed { .. }) {
            continue;
        }
        let Some(row) = seen.open.iter().find(|row| row.id == waiting.build) else { continue };
        let (since, count) = oldest.entry(&waiting.builder).or_insert((row.queued, 0));
        *since = (*since).min(row.queued);
        *count += 1;
    }
    let measure = |(builder, (since, count)): (&str, (Micros, usize))| {
        let goes_on = between(since, seen.now) > config.short / 2;
        let begins = between(since.max(seen.since), seen.now) > config.short;
        let lasted = i64::try_from(between(since, seen.now).as_micros()).unwrap_or(i64::MAX);
        let detail =
            format!("{count} builds wait for a machine, the oldest for {}", webui::time::duration(lasted));
        goes_on.then(|| Measure { kind: "short", subject: builder.to_owned(), begins, detail })
    };
    oldest.into_iter().filter_map(measure).collect()
}

/// Builders of which nothing was done for long while there was something to do. One that is short of machines is that.
fn silent(config: &Alarms, seen: &Seen<'_>, short: &[Measure]) -> Vec<Measure> {
    let mut oldest: BTreeMap<&str, Micros> = BTreeMap::new();
    for row in seen.open.iter().filter(|row| row.state != "done") {
        let since = oldest.entry(&row.builder).or_insert(row.queued);
        *since = (*since).min(row.queued);
    }
    let is_short = |builder: &str| short.iter().any(|one| one.subject == builder && one.begins);
    let measure = |(builder, since): (&str, Micros)| {
        let quiet = !seen.busy.contains(builder) && !is_short(builder);
        let begins = between(since.max(seen.since), seen.now) > config.silent;
        let after = i64::try_from(config.silent.as_micros()).unwrap_or(i64::MAX);
        let detail = format!("no build ended for {} though one was to be done", webui::time::duration(after));
        quiet.then(|| Measure { kind: "silent", subject: builder.to_owned(), begins, detail })
    };
    oldest.into_iter().filter_map(measure).collect()
}

#[cfg(test)]
mod tests;
