//! What a coordinator records, replayed; and quotas and widths, which are seen there.

use std::time::Duration;

use coordinator::replay::{self, Doubts};
use dashboard::api::Outcome;
use store::Micros;

use crate::world::{PATIENCE, World, config, simple};

pub async fn what_was_recorded_comes_out_as_it_was(world: World) {
    let meet = world.dir.path().join("meet");
    std::fs::create_dir(&meet).unwrap();
    // Each marks itself while it runs; two marks at once would be printed.
    let run = format!("cd {}; touch m.$$; ls | grep -c '^m'; sleep 0.2; rm m.$$", meet.display());
    let more = "[builder.c]\nhost = \"h\"\nrecipe = \"r\"\nlimit = \"l\"\nwidth = 2\n[limit.l]\nmax = 3\n[quotas]\nrepo = 2\nown = [{ repo = \"one\", max = 1 }]\n";
    let text =
        simple(&run, more).replace("horizon = 1", "horizon = 2").replace("capacity = 2", "capacity = 3");
    world.configure(&text);
    world.push("one", &[2, 1]).await;
    let _running = world.start().await;
    let end = std::time::Instant::now() + PATIENCE;
    // The journal is a moment behind.
    let trace = loop {
        let trace = replay::read(&world.db, Micros(0)).await.unwrap();
        let leases = &trace.course.leases;
        if leases.len() == 4 && leases.iter().all(|one| one.ended.is_some()) {
            break trace;
        }
        assert!(std::time::Instant::now() < end, "{trace:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(trace.doubts, Doubts::default());
    for one in &trace.course.leases {
        let build = world.dashboard.build(&one.build.to_string()).await.unwrap();
        assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
        let attempt = build.attempts.last().unwrap();
        assert_eq!(world.log(attempt).await, "1\n", "the quota of the repo lets one run at a time");
        let started = attempt.started.unwrap().as_microsecond();
        assert!((started - one.leased).abs() < 1_000_000, "{attempt:?} and {one:?}");
    }
    let wide =
        |(_, request): &(i64, &coordinator::schedule::Request)| request.width == 2 && request.builder == "c";
    assert!(trace.arrivals().any(|one| wide(&one)));
    let (course, not_built) = replay::replay(&trace, None);
    let compared = replay::compare(&trace.course, &course, 0);
    assert!(compared.is_near() && compared.both == trace.course.leases.len(), "{compared:?}");
    assert!(not_built.is_empty());
    // And as another configuration would have it: builder b is gone, and c has no host that is there.
    let rows = replay::rows(&world.db, &trace).await.unwrap();
    let config = config(&text.replace("[builder.b]", "[builder.d]"));
    let setting = replay::Configured::new(&config, &rows, &trace);
    let new = setting.more(&trace, 0);
    assert!(new.iter().all(|(cell, ..)| cell.builder == "d") && !new.is_empty(), "{new:?}");
    let (course, not_built) = replay::replay(&trace, Some(&setting));
    assert!(!not_built.is_empty() && course.leases.iter().all(|one| one.builder == "c"), "{course:?}");
    let caught = setting.caught(&not_built, Vec::new());
    assert_eq!((caught.dropped, caught.dropped_failed.len()), (not_built.len(), 0));
}
