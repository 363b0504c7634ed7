//! The wall clock jumps between two transitions.

use std::sync::Arc;

use dashboard::api::Outcome;
use tokio_util::sync::CancellationToken;

use crate::hooks::Turn;
use crate::world::{World, simple};

const POINTS: [&str; 7] = [
    "after_queued",
    "before_lease",
    "after_lease",
    "after_preparing",
    "after_running",
    "before_reporting",
    "before_done",
];

async fn turned(world: World, seconds: i64) {
    world.configure(&simple("echo begun; sleep 0.2; echo ended", "").replace("horizon = 1", "horizon = 20"));
    for (n, point) in POINTS.into_iter().enumerate() {
        let turn = Arc::new(Turn {
            point,
            seconds,
            clock: Arc::clone(&world.clock),
            done: CancellationToken::new(),
        });
        let running = world.start_with(world.local_pool(), Arc::clone(&turn) as _).await;
        let commits: Vec<u32> = (1..=n as u32 + 1).rev().collect();
        world.push("one", &commits).await;
        let end = std::time::Instant::now() + crate::world::PATIENCE;
        let rows = loop {
            let rows = world.builds().await;
            if rows.len() == n + 1 && rows.iter().all(|row| row.reported) {
                break rows;
            }
            assert!(std::time::Instant::now() < end, "{point}: {rows:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        assert!(turn.done.is_cancelled(), "{point} was never reached");
        for row in rows {
            let build = world.dashboard.build(&row.id.to_string()).await.unwrap();
            assert_eq!(build.outcome, Some(Outcome::Ok), "{point}: {build:?}");
            assert_eq!(build.attempts.len(), 1, "{point}: {build:?}");
            assert_eq!(world.log(&build.attempts[0]).await, "begun\nended\n", "{point}");
            for span in &build.attempts[0].spans {
                assert!(span.end.unwrap() >= span.start, "{point}: {span:?}");
            }
        }
        running.stop.cancel();
        running.stopped().await;
    }
}

pub async fn an_hour_back_between_transitions(world: World) {
    turned(world, -3600).await;
}

pub async fn a_day_forward_between_transitions(world: World) {
    turned(world, 86_400).await;
}
