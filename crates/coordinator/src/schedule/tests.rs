//! The scheduler's rules one by one, and a seeded simulation of a busy day.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;

fn build(n: u64) -> BuildId {
    BuildId::new(Micros(0), &mut |to: &mut [u8]| {
        to.copy_from_slice(&[&[0, 0][..], &n.to_be_bytes()].concat())
    })
}

fn worker(n: u64) -> WorkerId {
    WorkerId::new(Micros(0), &mut |to: &mut [u8]| {
        to.copy_from_slice(&[&[1, 0][..], &n.to_be_bytes()].concat())
    })
}

fn request(n: u64) -> Request {
    Request {
        build: build(n),
        builder: "b".into(),
        hosts: vec!["h".into()],
        class: Class::PostSubmit,
        priority: 0,
        commit_time: Micros(n as i64),
        requested: Micros(n as i64),
        limits: Vec::new(),
        avoid: Vec::new(),
        not_before: None,
        need: None,
        blocked: None,
        repo: String::new(),
        user: String::new(),
        width: 1,
    }
}

struct World {
    scheduler: Scheduler,
    now: Micros,
}

impl World {
    fn new(capacity: u32) -> World {
        let mut world = World { scheduler: Scheduler::default(), now: Micros(1000) };
        world.tell(Event::Host { host: "h".into(), capacity, blocked: None, fixed: false });
        world
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        self.scheduler.step(self.now, event)
    }

    fn idle(&mut self, n: u64) -> Vec<Action> {
        self.tell(Event::MachineStarting { worker: worker(n), host: "h".into() });
        self.tell(Event::MachineIdle { worker: worker(n), host: "h".into() })
    }

    fn why(&self, n: u64) -> Reason {
        self.scheduler.why(build(n)).unwrap().reason
    }
}

fn lease(b: u64, w: u64) -> Action {
    Action::Lease { build: build(b), worker: worker(w), host: "h".into() }
}

#[test]
fn a_host_that_is_named_twice_is_one() {
    let mut world = World::new(2);
    world.tell(Event::Queued(Request { hosts: vec!["h".into(), "h".into()], ..request(1) }));
    assert_eq!(world.idle(7), [lease(1, 7)]);
    assert_eq!(world.idle(8), [], "it has a machine");
}

#[test]
fn a_queued_build_asks_for_a_machine_and_gets_it() {
    let mut world = World::new(1);
    assert_eq!(world.tell(Event::Queued(request(1))), [Action::Create { host: "h".into(), count: 1 }]);
    assert_eq!(world.tell(Event::Queued(request(2))), [], "one machine is all there may be");
    assert!(matches!(world.why(2), Reason::Pool { capacity: 1, .. }));
    assert_eq!(world.idle(7), [lease(2, 7)], "the newest commit first");
    assert_eq!(world.scheduler.why(build(1)).unwrap().ahead, 0);
    assert_eq!(world.tell(Event::Released { build: build(2) }), []);
    assert_eq!(world.tell(Event::MachineIdle { worker: worker(7), host: "h".into() }), [lease(1, 7)]);
}

#[test]
fn a_machine_that_is_away_is_passed_over_until_it_is_back() {
    let mut world = World::new(1);
    world.idle(7);
    let far = || "h".to_owned();
    // As the core tells of hosts whose machines come by themselves: none more may be asked for.
    world.tell(Event::Host { host: far(), capacity: 0, blocked: None, fixed: true });
    assert_eq!(world.tell(Event::MachineAway { worker: worker(7), host: far() }), []);
    assert_eq!(world.tell(Event::Queued(request(1))), []);
    let why = world.why(1).to_string();
    assert_eq!(why, "waits for a machine of host h: there is none now, 1 away");
    assert_eq!(world.tell(Event::MachineIdle { worker: worker(7), host: far() }), [lease(1, 7)]);
}

#[test]
fn where_machines_come_by_themselves_the_only_one_is_neither_replaced_nor_spared() {
    let mut world = World::new(2);
    let of_far = |avoid: &[u64]| Request { avoid: avoid.iter().copied().map(worker).collect(), ..request(1) };
    world.idle(1);
    world.tell(Event::Host { host: "h".into(), capacity: 1, blocked: None, fixed: true });
    assert_eq!(world.tell(Event::Queued(of_far(&[1]))), [lease(1, 1)]);
    assert_eq!(world.tell(Event::Queued(request(2))), [], "none is asked for");
    world.tell(Event::Withdrawn { build: build(2) });
    world.tell(Event::Released { build: build(1) });
    // Another one that is free comes first, and one that lost it is not retired for it.
    world.tell(Event::MachineIdle { worker: worker(1), host: "h".into() });
    world.tell(Event::Host { host: "h".into(), capacity: 2, blocked: None, fixed: true });
    world.idle(2);
    assert_eq!(world.tell(Event::Queued(of_far(&[1]))), [lease(1, 2)]);
}

#[test]
fn a_flood_of_one_repo_keeps_another_waiting_for_two_machines_at_most() {
    let mut world = World::new(1);
    let of = |repo: &str, n: u64| Request { repo: repo.into(), ..request(n) };
    for n in 0..2000 {
        world.tell(Event::Queued(of("flood", 10_000 + n)));
    }
    let mut actions = world.idle(0);
    let mut passed = None;
    for given in 0..500 {
        let Some(Action::Lease { build: got, .. }) = actions.pop() else { panic!("nothing is given") };
        if given >= 100 && given % 100 == 0 {
            // Older by far than all of the flood, and queued last.
            world.tell(Event::Queued(of("other", given)));
            passed = Some(0);
        }
        world.tell(Event::Released { build: got });
        actions = world.tell(Event::MachineIdle { worker: worker(0), host: "h".into() });
        match (actions.first(), passed) {
            (Some(Action::Lease { build: next, .. }), Some(count)) if *next < build(10_000) => {
                assert!(count <= 2, "{count} machines went to the flood first");
                passed = None;
            }
            (_, Some(count)) => {
                passed = Some(count + 1);
                assert!(count < 2, "the flood goes on");
            }
            _ => {}
        }
    }
    assert_eq!(passed, None);
}

#[test]
fn class_then_priority_then_age_decide() {
    let mut world = World::new(1);
    let order = [
        Request { class: Class::Try, requested: Micros(9), ..request(1) },
        Request { class: Class::PostSubmit, commit_time: Micros(5), ..request(2) },
        Request { class: Class::Try, requested: Micros(3), ..request(3) },
        Request { class: Class::PostSubmit, commit_time: Micros(8), ..request(4) },
        Request { class: Class::PostSubmit, priority: 1, commit_time: Micros(1), ..request(5) },
        Request { class: Class::Interactive, ..request(6) },
        Request { class: Class::Release, ..request(7) },
    ];
    for one in order {
        world.tell(Event::Queued(one));
    }
    let mut actions = world.idle(0);
    let mut got = Vec::new();
    while let Some(Action::Lease { build, .. }) = actions.pop() {
        got.push(build);
        world.tell(Event::Released { build });
        actions = world.tell(Event::MachineIdle { worker: worker(0), host: "h".into() });
    }
    assert_eq!(got, [7, 6, 3, 1, 5, 4, 2].map(build));
}

#[test]
fn a_full_limit_holds_its_builds_back_and_no_others() {
    let mut world = World::new(9);
    world.tell(Event::Limit { limit: "gpu".into(), max: 1 });
    for n in [1, 2, 3] {
        world.tell(Event::Queued(Request { limits: vec!["gpu".into()], ..request(n) }));
    }
    world.tell(Event::Queued(request(0)));
    assert_eq!(world.idle(1), [lease(3, 1)]);
    assert_eq!(world.idle(2), [lease(0, 2)]);
    assert_eq!(world.idle(3), []);
    assert_eq!(world.why(2), Reason::Limit { limit: "gpu".into(), max: 1 });
    assert_eq!(world.tell(Event::Released { build: build(3) }), [lease(2, 3)]);
    assert_eq!(
        world.tell(Event::Limit { limit: "gpu".into(), max: 2 }),
        [],
        "a fourth machine was asked for before"
    );
    assert_eq!(world.idle(4), [lease(1, 4)]);
}

#[test]
fn a_machine_that_failed_a_build_does_not_get_it_again() {
    let mut world = World::new(2);
    world.idle(1);
    let again = Request { avoid: vec![worker(1)], ..request(1) };
    assert_eq!(world.tell(Event::Queued(again)), [Action::Create { host: "h".into(), count: 1 }]);
    assert_eq!(world.tell(Event::Queued(request(0))), [lease(0, 1)], "another build may have it");
    assert_eq!(world.idle(2), [lease(1, 2)]);
}

#[test]
fn a_machine_that_all_refuse_makes_room_for_another() {
    let mut world = World::new(1);
    world.idle(1);
    let again = Request { avoid: vec![worker(1)], ..request(1) };
    let create = Action::Create { host: "h".into(), count: 1 };
    assert_eq!(world.tell(Event::Queued(again)), [Action::Retire { worker: worker(1) }, create]);
    assert_eq!(world.idle(2), [lease(1, 2)]);
}

#[test]
fn back_off_need_and_block_each_say_what_they_wait_for() {
    let mut world = World::new(1);
    world.idle(1);
    let until = Micros(5000);
    assert_eq!(world.tell(Event::Queued(Request { not_before: Some(until), ..request(1) })), []);
    assert_eq!(world.why(1), Reason::BackOff { until });
    assert_eq!(world.scheduler.next_tick(), Some(until));
    assert_eq!(world.tell(Event::Queued(Request { need: Some("go".into()), ..request(2) })), []);
    assert_eq!(world.why(2), Reason::Need { need: "go".into() });
    assert_eq!(
        world.tell(Event::Queued(Request { blocked: Some("no go on this host".into()), ..request(3) })),
        []
    );
    assert_eq!(world.why(3).to_string(), "blocked(no go on this host)");
    world.now = until;
    assert_eq!(world.tell(Event::Tick), [lease(1, 1)]);
    world.tell(Event::Released { build: build(1) });
    world.tell(Event::MachineIdle { worker: worker(1), host: "h".into() });
    assert_eq!(world.tell(Event::NeedMet { need: "go".into(), by: None }), [lease(2, 1)]);
}

#[test]
fn a_need_that_was_met_during_a_back_off_holds_nothing_back() {
    let mut world = World::new(1);
    world.idle(1);
    let until = Micros(5000);
    let one = Request { need: Some("go".into()), not_before: Some(until), ..request(1) };
    world.tell(Event::Queued(one.clone()));
    assert!(world.scheduler.is_needed("go"));
    assert_eq!(world.tell(Event::NeedMet { need: "go".into(), by: None }), []);
    world.now = until;
    assert_eq!(world.tell(Event::Tick), [lease(1, 1)]);
    // Forgotten with the last that named it.
    world.tell(Event::Released { build: build(1) });
    world.tell(Event::MachineIdle { worker: worker(1), host: "h".into() });
    assert_eq!(world.tell(Event::Queued(one)), []);
    assert_eq!(world.why(1), Reason::Need { need: "go".into() });
    world.tell(Event::Withdrawn { build: build(1) });
    assert!(!world.scheduler.is_needed("go"));
}

#[test]
fn a_pool_that_fails_is_asked_again_later() {
    let mut world = World::new(1);
    world.tell(Event::Queued(request(1)));
    world.tell(Event::MachineStarting { worker: worker(1), host: "h".into() });
    let retry = Micros(9000);
    let failed = Event::CreateFailed { worker: worker(1), host: "h".into(), reason: "quota".into(), retry };
    assert_eq!(world.tell(failed), []);
    assert_eq!(world.why(1), Reason::PoolFailed { host: "h".into(), message: "quota".into() });
    assert_eq!(world.tell(Event::Queued(request(2))), []);
    world.now = retry;
    assert_eq!(world.tell(Event::Tick), [Action::Create { host: "h".into(), count: 1 }]);
}

#[test]
fn what_was_under_way_is_resumed_with_its_machine_and_limits() {
    let mut world = World::new(2);
    world.tell(Event::Limit { limit: "l".into(), max: 1 });
    let held = Request { limits: vec!["l".into()], ..request(1) };
    world.tell(Event::Resumed { request: held.clone(), worker: worker(1), host: "h".into() });
    world.tell(Event::Queued(Request { build: build(2), ..held }));
    assert!(matches!(world.why(2), Reason::Limit { .. }));
    assert_eq!(world.scheduler.worker_of(build(1)), Some(worker(1)));
    world.tell(Event::MachineGone { worker: worker(1) });
    assert_eq!(
        world.tell(Event::Released { build: build(1) }),
        [Action::Create { host: "h".into(), count: 1 }]
    );
}

/// A day in small: random work on three hosts with limits, machines that come late, fail, vanish and are set aside.
fn simulate(seed: u64) {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut pick = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let hosts = ["a", "b", "c"];
    let mut scheduler = Scheduler::default();
    let mut now = Micros(0);
    for (n, host) in hosts.iter().enumerate() {
        scheduler.step(
            now,
            Event::Host { host: (*host).into(), capacity: n as u32 + 1, blocked: None, fixed: false },
        );
    }
    scheduler.step(now, Event::Limit { limit: "l".into(), max: 2 });
    let mut starting: Vec<(WorkerId, String)> = Vec::new();
    let mut wiping: Vec<(WorkerId, String)> = Vec::new();
    let mut running: BTreeMap<BuildId, (WorkerId, String)> = BTreeMap::new();
    let mut requests: HashMap<BuildId, Request> = HashMap::new();
    let mut waiting: BTreeSet<BuildId> = BTreeSet::new();
    let mut names = 0;
    for round in 0..400 {
        let calm = round > 300;
        now = Micros(now.0 + 1000);
        let mut actions = Vec::new();
        let event = match pick(if calm { 5 } else { 10 }) {
            0 if !starting.is_empty() => {
                let (worker, host) = starting.swap_remove(pick(starting.len() as u64) as usize);
                if !calm && pick(5) == 0 {
                    let retry = Micros(now.0 + 5000);
                    Event::CreateFailed { worker, host, reason: "quota".into(), retry }
                } else {
                    Event::MachineIdle { worker, host }
                }
            }
            1 if !wiping.is_empty() => {
                let (worker, host) = wiping.swap_remove(pick(wiping.len() as u64) as usize);
                Event::MachineIdle { worker, host }
            }
            2 | 3 if !running.is_empty() => {
                let id = *running.keys().nth(pick(running.len() as u64) as usize).unwrap();
                let (worker, host) = running.remove(&id).unwrap();
                actions.extend(scheduler.step(now, Event::Released { build: id }));
                match pick(6) {
                    0 if !calm => Event::MachineGone { worker },
                    1 if !calm => {
                        let mut again = requests[&id].clone();
                        again.avoid.push(worker);
                        again.not_before = Some(Micros(now.0 + 3000));
                        waiting.insert(id);
                        wiping.push((worker, host));
                        Event::Queued(again)
                    }
                    _ => {
                        wiping.push((worker, host));
                        Event::Tick
                    }
                }
            }
            4 => Event::Tick,
            _ if !calm => {
                names += 1;
                let mut one = request(names);
                one.hosts = hosts.iter().filter(|_| pick(2) == 0).map(|host| (*host).to_owned()).collect();
                if one.hosts.is_empty() {
                    one.hosts.push("c".into());
                }
                if pick(3) == 0 {
                    one.limits.push("l".into());
                }
                requests.insert(one.build, one.clone());
                waiting.insert(one.build);
                Event::Queued(one)
            }
            _ => Event::Tick,
        };
        actions.extend(scheduler.step(now, event));
        while let Some(action) = actions.pop() {
            match action {
                Action::Lease { build, worker, host } => {
                    assert!(waiting.remove(&build), "{build} was leased twice");
                    assert!(running.values().all(|(busy, _)| *busy != worker), "{worker} was given twice");
                    running.insert(build, (worker, host));
                }
                Action::Create { host, count } => {
                    for _ in 0..count {
                        names += 1;
                        let worker = worker(names);
                        starting.push((worker, host.clone()));
                        actions.extend(
                            scheduler.step(now, Event::MachineStarting { worker, host: host.clone() }),
                        );
                    }
                }
                Action::Retire { .. } => {}
            }
        }
        let limited = running.keys().filter(|id| !requests[*id].limits.is_empty()).count();
        assert!(limited <= 2, "seed {seed}: the limit is exceeded");
        for id in &waiting {
            let reason = scheduler.why(*id).expect("a waiting build has a reason").reason;
            if let Reason::Pool { .. } = reason {
                let request = scheduler.request(*id).unwrap();
                for host in &request.hosts {
                    let free = scheduler.idle_machines(host);
                    assert!(
                        free.iter().all(|machine| request.avoid.contains(machine)),
                        "seed {seed}, round {round}: {id} waits while {host} has free machines"
                    );
                }
            }
        }
    }
    // Whatever happened, with time everything is done.
    for _ in 0..5000 {
        if waiting.is_empty() && running.is_empty() {
            return;
        }
        now = Micros(now.0 + 5000);
        let mut actions = scheduler.step(now, Event::Tick);
        for (worker, host) in std::mem::take(&mut starting).into_iter().chain(std::mem::take(&mut wiping)) {
            actions.extend(scheduler.step(now, Event::MachineIdle { worker, host }));
        }
        for (build, (worker, host)) in std::mem::take(&mut running) {
            actions.extend(scheduler.step(now, Event::Released { build }));
            // One that is avoided by all that wait is replaced by the pool in the end.
            actions.extend(scheduler.step(now, Event::MachineGone { worker }));
            let _ = host;
        }
        while let Some(action) = actions.pop() {
            match action {
                Action::Lease { build, worker, host } => {
                    waiting.remove(&build);
                    running.insert(build, (worker, host));
                }
                Action::Create { host, count } => {
                    for _ in 0..count {
                        names += 1;
                        starting.push((worker(names), host.clone()));
                        let starting = Event::MachineStarting { worker: worker(names), host: host.clone() };
                        actions.extend(scheduler.step(now, starting));
                    }
                }
                Action::Retire { .. } => {}
            }
        }
    }
    panic!(
        "seed {seed}: {} builds never ran: {:?}",
        waiting.len(),
        waiting.iter().map(|id| scheduler.why(*id)).next()
    );
}

/// A seed that once found a build that never ran.
#[test]
fn a_machine_asked_for_as_a_build_ends_is_not_forgotten() {
    simulate(14_417_859_087_681_619_354);
}

/// As many cases as `PROPTEST_CASES` says, else `few`: `with_cases` alone would not hear of `cargo xtask test --long`.
fn cases(few: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(few),
    }
}

proptest! {
    #![proptest_config(cases(24))]
    #[test]
    fn nothing_waits_while_matching_capacity_is_free(seed in any::<u64>()) {
        simulate(seed);
    }
}
