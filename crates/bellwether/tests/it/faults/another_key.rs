//! The server's key for orders is changed, and lost, under a machine that obeys the one of before.

use testkit::wait_for;

use super::joined::Joined;
use super::world::LIMIT;

/// Ends the server, has the files of keys changed, and starts it again.
fn meanwhile(joined: &mut Joined, change: impl FnOnce(&dyn Fn(&str) -> std::path::PathBuf)) {
    joined.world.server().crash().unwrap();
    let data = joined.world.data();
    change(&|name| data.join(name));
    joined.world.launch(&[]);
    joined.world.await_done();
}

fn workers_of(joined: &Joined, host: &str) -> Vec<String> {
    let status = joined.world.status().unwrap();
    let workers = status["workers"].as_array().cloned().unwrap_or_default();
    let of_host = workers.iter().filter(|one| one["host"] == host);
    of_host.map(|one| one["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_key_is_changed_without_a_hand_on_any_machine_and_a_lost_one_is_told_of() {
    // Nothing is let work again here: it lives.
    let mut joined = Joined::new("before_resume:1");
    let (made, token) = joined.make_token();
    assert!(made);
    joined.start_machine(&token);
    joined.is_idle();
    let kept = joined.world.path("far-state").join("order-key");
    let first = std::fs::read_to_string(&kept).unwrap();
    let local = workers_of(&joined, "local");
    assert!(!local.is_empty(), "{}", joined.world.printed());

    meanwhile(&mut joined, |file| std::fs::rename(file("order-key"), file("order-key-before")).unwrap());
    joined.is_idle();
    let second = std::fs::read_to_string(&kept).unwrap();
    assert_ne!(first, second);
    // The server's own workers have the key from their command line: none of before is given work, to refuse it.
    let of_before = wait_for("the workers of before to be gone", LIMIT, || {
        let now = workers_of(&joined, "local");
        Ok((!now.iter().any(|name| local.contains(name))).then_some(()))
    });
    of_before.unwrap_or_else(|error| panic!("{error:#}\n{}", joined.world.printed()));
    // The key of before is needed no longer.
    meanwhile(&mut joined, |file| std::fs::remove_file(file("order-key-before")).unwrap());
    joined.is_idle();

    meanwhile(&mut joined, |file| std::fs::remove_file(file("order-key")).unwrap());
    let told = wait_for("word of the machine", LIMIT, || {
        let Ok(status) = joined.world.status() else { return Ok(None) };
        let away = status["turned_away"][0].clone();
        Ok(away["reason"].as_str().map(|reason| (away["name"].clone(), reason.to_owned())))
    });
    let (name, reason) = told.unwrap_or_else(|error| panic!("{error:#}\n{}", joined.world.printed()));
    assert_eq!(name, "box");
    assert!(reason.contains(&format!("obeys the orders of key {}", &second[..8])), "{reason}");
    joined.logged("remove order-key in the machine's state directory");
    let (_, listed) = joined.command(&["machines"]);
    let away = listed.lines().find(|line| line.trim_start().starts_with("box "));
    assert!(
        away.is_some_and(|line| line.contains("turned away: ") && line.contains(&second[..8])),
        "{listed}"
    );
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), second);
    std::fs::remove_file(&kept).unwrap();
    joined.is_idle();
}
