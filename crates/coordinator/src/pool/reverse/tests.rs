use store::{Micros, WorkerId};

use super::table::{Came, Key, Table};
use crate::identity::Identity;

fn key(name: &str, instance: u8) -> Key {
    Key { host: "far".into(), name: name.into(), instance: instance.to_string() }
}

fn worker(n: u8) -> WorkerId {
    WorkerId::new(Micros(0), &mut |buffer: &mut [u8]| buffer.fill(n))
}

fn comes(ours: bool, since: i64) -> Came {
    Came { version: 29, ours, since: Micros(since), identity: None }
}

#[test]
fn a_revoked_machine_has_no_place_and_the_others_have_theirs() {
    let mut table = Table::default();
    let of = |identity: &str| Came { identity: Some(Identity::new(identity)), ..comes(true, 0) };
    table.sit(key("a", 1), 'x', worker(1), of("one"));
    let (away, _) = table.sit(key("a", 2), 'y', worker(2), of("one"));
    table.leave(&key("a", 2), away.turn).unwrap();
    table.sit(key("b", 1), 'z', worker(3), of("two"));
    // Known from before a new start, and one of the same name by the key of another host.
    table.keep(key("a", 3), worker(4)).unwrap();
    let other = Key { host: "near".into(), ..key("a", 1) };
    table.sit(other.clone(), 'n', worker(5), comes(true, 0));
    assert!(!table.is_revoked(&Identity::new("one")));
    let gone = table.revoke(&Identity::new("one"), "far", "a");
    assert_eq!(gone, [(worker(1), Some('x')), (worker(2), None), (worker(4), None)]);
    assert!(table.is_revoked(&Identity::new("one")) && !table.is_revoked(&Identity::new("two")));
    assert!(table.knows(&key("b", 1)) && table.knows(&other) && !table.knows(&key("a", 1)));
    assert_eq!(table.revoke(&Identity::new("one"), "far", "a"), []);
}

#[test]
fn a_machine_that_was_turned_away_is_shown_for_a_while_and_not_once_it_has_a_place() {
    let mut table = Table::default();
    let shown = |table: &Table<char>, now: i64| -> Vec<String> {
        table
            .turned_away(Micros(now))
            .into_iter()
            .map(|one| format!("{}: {}", one.name, one.reason))
            .collect()
    };
    table.turn_away("far", "a", "old", Micros(0));
    table.turn_away("far", "b", "old", Micros(0));
    table.turn_away("far", "b", "still old", Micros(200_000_000));
    assert_eq!(shown(&table, 299_999_999), ["a: old", "b: still old"]);
    assert_eq!(shown(&table, 300_000_000), ["b: still old"]);
    table.sit(key("b", 1), 'x', worker(1), comes(true, 0));
    assert_eq!(shown(&table, 300_000_000), [""; 0]);
    // Whoever tries under ever new names does not fill the memory.
    for n in 0..1001 {
        table.turn_away("far", &n.to_string(), "old", Micros(0));
    }
    assert_eq!(shown(&table, 0).len(), 1000);
}

#[test]
fn a_place_is_kept_while_its_machine_is_away_and_given_up_once() {
    let mut table = Table::default();
    let (first, older) = table.sit(key("a", 1), 'x', worker(1), comes(true, 0));
    assert!(first.is_new && older.is_none());
    let away = table.leave(&key("a", 1), first.turn).unwrap();
    assert_eq!(table.link(&key("a", 1)), Some(None));
    let (again, older) = table.sit(key("a", 1), 'y', worker(2), comes(true, 0));
    assert_eq!((again.worker, again.is_new, older), (worker(1), false, None));
    assert_eq!(table.give_up(&key("a", 1), away), None, "it has come back");
    // By another connection, before the one before is known to have ended.
    let (third, older) = table.sit(key("a", 1), 'z', worker(3), comes(true, 0));
    assert_eq!((third.worker, older), (worker(1), Some('y')));
    assert_eq!(table.leave(&key("a", 1), again.turn), None);
    assert_eq!(table.link(&key("a", 1)), Some(Some('z')));
    let away = table.leave(&key("a", 1), third.turn).unwrap();
    assert_eq!(table.give_up(&key("a", 1), away), Some(worker(1)));
    assert_eq!(table.give_up(&key("a", 1), away), None);
}

#[test]
fn a_process_started_anew_takes_the_place_of_one_that_is_away_and_not_of_one_that_is_here() {
    let mut table = Table::default();
    let (first, _) = table.sit(key("a", 1), 'x', worker(1), comes(true, 0));
    let (twin, _) = table.sit(key("a", 2), 'y', worker(2), comes(true, 0));
    assert_eq!(twin.replaced, [], "two machines of one name");
    table.leave(&key("a", 1), first.turn).unwrap();
    let (anew, _) = table.sit(key("a", 3), 'z', worker(3), comes(true, 0));
    assert_eq!(anew.replaced, [worker(1)]);
    assert_eq!(table.machines().len(), 2);
    // Both were away, as over a new start of the server: the first that comes back leaves the other its place.
    table.leave(&key("a", 2), twin.turn).unwrap();
    table.leave(&key("a", 3), anew.turn).unwrap();
    let (back, _) = table.sit(key("a", 2), 'y', worker(4), comes(true, 0));
    assert_eq!((back.replaced, table.machines().len()), (Vec::new(), 2));
}

#[test]
fn after_a_new_start_a_place_is_kept_for_the_process_that_had_it_and_not_for_ever() {
    let mut table = Table::default();
    let keeps = |table: &Table<char>, name: &str, instance: Option<&str>| {
        table.keeps_for_another("far", name, instance)
    };
    assert!(!keeps(&table, "a", Some("2")), "nobody was here");
    let away = table.keep(key("a", 1), worker(1)).unwrap();
    assert!(keeps(&table, "a", Some("2")) && keeps(&table, "a", None));
    assert!(!keeps(&table, "a", Some("1")) && !keeps(&table, "b", Some("2")));
    assert!(!table.keeps_for_another("near", "a", Some("2")));
    // Nobody came back.
    table.give_up(&key("a", 1), away).unwrap();
    assert!(!keeps(&table, "a", Some("2")));
    // Somebody did, and is away again: that is looked at in another way.
    table.keep(key("a", 1), worker(1)).unwrap();
    let (back, _) = table.sit(key("a", 1), 'x', worker(2), comes(true, 0));
    assert!(!keeps(&table, "a", Some("2")));
    table.leave(&key("a", 1), back.turn).unwrap();
    assert!(!keeps(&table, "a", Some("2")));
    // Who came by the key of the host is not received by it any more once the name has a token: whoever shows that waits for nobody.
    table.keep(key("c", 1), worker(3)).unwrap();
    table.rules.give_token("near", "c");
    assert!(keeps(&table, "c", Some("2")), "another host's");
    table.rules.give_token("far", "c");
    assert!(!keeps(&table, "c", Some("2")) && !table.has_by_key(&key("c", 1)));
    let (came, _) = table.sit(key("c", 2), 'x', worker(4), comes(true, 0));
    assert_eq!(came.replaced, [worker(3)]);
}

#[test]
fn what_was_known_before_is_expected_and_what_was_deleted_is_not() {
    let mut table = Table::default();
    let away = table.keep(key("a", 1), worker(1)).unwrap();
    assert_eq!(table.keep(key("a", 1), worker(9)), None);
    assert_eq!(table.machines()[0].name, worker(1));
    assert!(table.shown().is_empty(), "it is not connected");
    let (came, _) = table.sit(key("a", 1), 'x', worker(2), comes(true, 0));
    assert_eq!((came.worker, came.is_new), (worker(1), false));
    assert_eq!(table.give_up(&key("a", 1), away), None);
    assert_eq!(table.delete(worker(1), Micros(0)), Some(Some('x')));
    assert_eq!(table.delete(worker(1), Micros(0)), None);
    assert!(table.was_deleted(&key("a", 1)) && !table.knows(&key("a", 1)));
    assert!(!table.was_deleted(&key("a", 2)));
}

#[test]
fn an_original_has_a_place_while_it_is_connected_and_no_longer() {
    let mut table = Table::default();
    let (came, _) = table.sit(key("a", 1), 'x', worker(1), comes(false, 7));
    let address = came.machine().address.unwrap();
    assert!(matches!(address, crate::pool::Address::Original { .. }));
    assert_eq!(Key::of(&address).as_ref(), Some(&key("a", 1)));
    assert!(table.machines().is_empty(), "it outlives no coordinator");
    let [shown] = &*table.shown() else { panic!() };
    assert_eq!((shown.worker, shown.since), (worker(1), Micros(7)));
    assert_eq!(table.end_original(&key("a", 1), came.turn + 1), None);
    assert_eq!(table.end_original(&key("a", 1), came.turn), Some(worker(1)));
    assert_eq!(table.end_original(&key("a", 1), came.turn), None);
    assert!(table.shown().is_empty());
    // One of ours keeps its place.
    let (ours, _) = table.sit(key("b", 1), 'y', worker(2), comes(true, 7));
    assert_eq!(table.end_original(&key("b", 1), ours.turn), None);
    // Used and deleted, it takes no room in what is remembered.
    table.sit(key("c", 1), 'z', worker(3), comes(false, 7));
    assert_eq!(table.delete(worker(3), Micros(0)), Some(Some('z')));
    assert!(!table.was_deleted(&key("c", 1)) && !table.knows(&key("c", 1)));
}

proptest::proptest! {
    /// Whatever comes and goes: no worker has two places, and one that is given up had one.
    #[test]
    fn no_worker_has_two_places(steps in proptest::collection::vec((0u8..5, 0u8..3, 0u8..3, proptest::num::u8::ANY), 0..60)) {
        let mut table = Table::default();
        let mut turns: Vec<(Key, u64)> = Vec::new();
        for (n, (step, name, instance, pick)) in steps.into_iter().enumerate() {
            let key = key(&name.to_string(), instance);
            let worker = worker(u8::try_from(n).unwrap());
            let turn = turns.get(usize::from(pick) % turns.len().max(1)).cloned();
            match (step, turn) {
                (0 | 1, _) => {
                    let (came, _) = table.sit(key.clone(), n, worker, comes(true, 0));
                    turns.push((key, came.turn));
                }
                (2, Some((key, turn))) => turns.extend(table.leave(&key, turn).map(|away| (key, away))),
                (3, Some((key, turn))) => drop(table.give_up(&key, turn)),
                _ => turns.extend(table.keep(key.clone(), worker).map(|away| (key, away))),
            }
            let mut workers: Vec<_> = table.machines().into_iter().map(|machine| machine.name).collect();
            let count = workers.len();
            workers.sort();
            workers.dedup();
            proptest::prop_assert_eq!(workers.len(), count);
            proptest::prop_assert!(table.shown().len() <= count);
        }
    }
}

fn rules(text: &str) -> buildenv::Config {
    let source = buildenv::Source::server("t.toml", text);
    buildenv::load(&[source], &|path| Err(std::io::Error::other(path)), None).unwrap()
}

#[test]
fn what_a_host_asks_may_change_while_its_machines_are_here() {
    let mut table = Table::default();
    table.rules.set(&rules("[host.far]\npool = \"reverse\"\n"));
    let own = Came { identity: Some(Identity::new("one")), ..comes(true, 0) };
    table.sit(key("own", 1), 'x', worker(1), own.clone());
    table.sit(key("key", 1), 'y', worker(2), comes(true, 0));
    table.keep(key("kept", 1), worker(3)).unwrap();
    assert_eq!(table.judge(), []);
    table.rules.set(&rules("[host.far]\npool = \"reverse\"\nkeys = false\n"));
    let judged = table.judge();
    let [(of, Some(reason))] = &*judged else { panic!("{judged:?}") };
    assert!(*of == worker(2) && reason.contains("`keys = false`"), "{judged:?}");
    assert_eq!(table.judge(), [], "it was told");
    assert!(table.judge_one(&key("key", 1)).is_some() && table.has_by_key(&key("key", 1)));
    assert!(!table.has_by_key(&key("own", 1)) && !table.has_by_key(&key("kept", 1)));
    // Over a broken connection, too.
    table.sit(key("key", 1), 'z', worker(9), comes(true, 0));
    assert!(table.judge_one(&key("key", 1)).is_some() && table.judge().is_empty());
    table.rules.set(&rules("[host.far]\npool = \"reverse\"\nmin_version = 30\n"));
    let judged = table.judge();
    assert_eq!(judged.iter().map(|(of, _)| *of).collect::<Vec<_>>(), [worker(2), worker(1)]);
    assert!(judged.iter().all(|(_, why)| why.as_ref().unwrap().contains("takes 30 and newer")), "{judged:?}");
    // One that is ended for it is shown as turned away.
    table.delete(worker(1), Micros(5));
    assert_eq!(table.turned_away(Micros(5))[0].name, "own");
    table.rules.set(&rules("[host.far]\npool = \"reverse\"\n"));
    assert_eq!(table.judge(), [(worker(2), None)], "it may stay");
    table.rules.give_token("near", "key");
    assert_eq!(table.judge(), [], "another host's");
    table.rules.give_token("far", "key");
    assert!(table.judge()[0].1.as_ref().unwrap().contains("has a token of its own"));
    assert!(table.rules.against("far", "key", &own).is_none(), "it shows its own");
}
