use store::BuildId;

use super::*;
use crate::core::WaitingBuild;
use crate::schedule::Wait;

const HOUR: i64 = 3_600_000_000;

fn config(text: &str) -> Alarms {
    let sources = [buildenv::embedded("linux", "amd64"), buildenv::Source::server("server.toml", text)];
    let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    buildenv::load(&sources, &none, None).unwrap_or_else(|problems| panic!("{problems}")).alarms().clone()
}

fn machine(attempts: i64, lost: i64, flaked: i64) -> MachineStatistics {
    MachineStatistics {
        host: "h".into(),
        machine: "m".into(),
        attempts,
        lost,
        flaked,
        took_us: 1,
        days: vec![],
    }
}

fn builder(builds: i64, retried: i64, took_us: i64) -> BuilderStatistics {
    let (ok, failed, infra_failed, queued_us) = (builds, 0, 0, 0);
    BuilderStatistics {
        builder: "b".into(),
        builds,
        ok,
        failed,
        infra_failed,
        retried,
        queued_us,
        took_us,
        steps: vec![],
    }
}

fn row(queued: i64, state: &str) -> BuildRow {
    BuildRow {
        id: BuildId::new(Micros(queued), &mut |to| to.fill(1)),
        builder: "b".into(),
        repo: "one".into(),
        branch: "main".into(),
        toolchain_branch: None,
        revision: "one@1".into(),
        class: "post_submit".into(),
        priority: 0,
        commit_time: Micros(0),
        state: state.into(),
        outcome: None,
        cause: None,
        fence: 1,
        version: 1,
        attempts: 0,
        retried_from: 0,
        not_before: Micros(0),
        cancel: None,
        created: Micros(queued),
        queued: Micros(queued),
        started: None,
        ended: None,
        reported: false,
        untrusted: false,
        sample: String::new(),
        avoid: String::new(),
        rules: String::new(),
    }
}

fn waits(row: &BuildRow, reason: Reason) -> WaitingBuild {
    let wait = Wait { reason, since: row.queued, ahead: 0, class: None, promoted: false };
    WaitingBuild {
        build: row.id,
        builder: row.builder.clone(),
        repo: row.repo.clone(),
        revision: row.revision.clone(),
        reason: String::new(),
        wait,
        expected_start: None,
    }
}

/// What goes on of this, each with whether it begins.
fn told(config: &Alarms, seen: &Seen<'_>) -> Vec<(&'static str, bool)> {
    measures(config, seen).into_iter().map(|one| (one.kind, one.begins)).collect()
}

struct World {
    machines: Vec<MachineStatistics>,
    builders: Vec<BuilderStatistics>,
    status: Status,
    open: Vec<BuildRow>,
    busy: BTreeSet<String>,
    since: i64,
}

impl World {
    fn new() -> Self {
        let (machines, builders, status) = (vec![], vec![], Status::default());
        World { machines, builders, status, open: vec![], busy: BTreeSet::new(), since: 0 }
    }

    fn told(&self, text: &str) -> Vec<(&'static str, bool)> {
        let World { machines, builders, status, open, busy, since } = self;
        let (now, since) = (Micros(100 * HOUR), Micros(*since));
        told(&config(text), &Seen { now, since, machines, builders, status, open, busy })
    }
}

#[test]
fn a_share_begins_at_its_threshold_and_ends_at_half_of_it() {
    let mut world = World::new();
    for (attempts, lost, flaked, wanted) in [
        (8, 1, 1, Some(true)),
        (7, 1, 1, Some(false)),
        (100, 10, 14, Some(false)),
        (100, 12, 1, Some(false)),
        (100, 12, 0, None),
        (8, 0, 0, None),
        (0, 0, 0, None),
    ] {
        world.machines = vec![machine(attempts, lost, flaked)];
        let wanted: Vec<_> = wanted.map(|begins| ("machine_retries", begins)).into_iter().collect();
        assert_eq!(world.told(""), wanted, "{attempts} {lost} {flaked}");
    }
    world.machines = vec![machine(8, 8, 0)];
    assert_eq!(world.told("[alarms]\noff = \"machine_retries\"\n"), []);
    // A pattern of builders takes no machine out.
    assert_eq!(world.told("[alarms]\nbuilder = \"x\"\n").len(), 1);
    world.machines = vec![];
    world.builders = vec![builder(10, 3, 1)];
    assert_eq!(world.told(""), [("builder_retries", true)]);
    assert_eq!(world.told("[alarms]\nbuilder = \"!b\"\n"), []);
}

#[test]
fn a_budget_is_of_the_first_pattern_that_fits() {
    let mut world = World::new();
    let text = "[alarms]\nleast = 3\nbudget = { \"b*\" = \"1h\", \"*\" = \"1s\" }\n";
    for (builds, took, wanted) in [
        (3, HOUR + 1, Some(true)),
        (2, HOUR + 1, Some(false)),
        (3, HOUR, Some(false)),
        (3, HOUR / 10 * 9, None),
    ] {
        world.builders = vec![builder(builds, 0, took)];
        let wanted: Vec<_> = wanted.map(|begins| ("budget", begins)).into_iter().collect();
        assert_eq!(world.told(text), wanted, "{builds} {took}");
    }
    assert_eq!(world.told(""), [], "none is said");
}

#[test]
fn who_waits_long_for_a_machine_is_short_and_not_silent() {
    let mut world = World::new();
    let failed = || Reason::PoolFailed { host: "h".into(), message: "no".into() };
    for (queued, wanted) in [(90, Some(true)), (98, Some(false)), (99, None)] {
        let row = row(queued * HOUR, "queued");
        world.status.queued = vec![waits(&row, failed())];
        world.open = vec![row];
        world.busy = BTreeSet::from(["b".to_owned()]);
        let wanted: Vec<_> = wanted.map(|begins| ("short", begins)).into_iter().collect();
        assert_eq!(world.told(""), wanted, "{queued}");
    }
    // Nothing of it was done either.
    let old = row(90 * HOUR, "queued");
    world.status.queued = vec![waits(&old, failed())];
    world.open = vec![old.clone()];
    world.busy.clear();
    assert_eq!(world.told(""), [("short", true)]);
    // What can't run as things are configured waits for no machine.
    world.status.queued = vec![waits(&old, Reason::Blocked { message: "no".into() })];
    assert_eq!(world.told(""), [("silent", true)]);
    // No coordinator ran meanwhile: what went on goes on, and nothing begins.
    world.since = 99 * HOUR;
    assert_eq!(world.told(""), [("silent", false)]);
    world.status.queued = vec![waits(&old, failed())];
    assert_eq!(world.told(""), [("silent", false), ("short", false)]);
}

#[test]
fn a_builder_is_silent_only_with_something_to_do() {
    let mut world = World::new();
    assert_eq!(world.told(""), []);
    world.open = vec![row(90 * HOUR, "running")];
    assert_eq!(world.told(""), [("silent", true)]);
    world.busy = BTreeSet::from(["b".to_owned()]);
    assert_eq!(world.told(""), []);
    world.busy.clear();
    world.open = vec![row(90 * HOUR, "done")];
    assert_eq!(world.told(""), [], "it is done and not reported yet");
}

#[test]
fn what_goes_on_begins_once_and_what_is_not_measured_ends() {
    let measure = |begins| Measure { kind: "short", subject: "b".into(), begins, detail: "d".into() };
    let alarm = |kind: &str| AlarmRow {
        kind: kind.into(),
        subject: "b".into(),
        began: Micros(1),
        ended: None,
        detail: "d".into(),
    };
    assert_eq!(decide(&[], vec![measure(false)]), Changes::default());
    assert_eq!(decide(&[], vec![measure(true)]).begin, [measure(true)]);
    let both = [alarm("short"), alarm("silent")];
    for begins in [true, false] {
        let changes = decide(&both, vec![measure(begins)]);
        assert_eq!((changes.begin, changes.end), (vec![], vec![alarm("silent")]));
    }
}
