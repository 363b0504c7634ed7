//! Following from nothing, through restarts, and while everything goes wrong.

use std::sync::Arc;
use std::time::Duration;

use maintner::live::Sink as _;
use testkit::github::{Faults, GitHub, Gone, Options};

use super::world::{Paused, agree, by, client, fresh, lines, poller, settle};
use crate::logs::dumped;
use crate::sink::Folder;

/// All seeds of a test.
const SEEDS: u64 = 50;

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// A server after some operations, all of them long ago.
async fn grown(steps: usize, seed: u64, options: Options, clock: Paused) -> GitHub {
    let github = GitHub::new(seed, options, clock.server());
    for _ in 0..steps {
        github.step();
        sleep(7).await;
    }
    sleep(3600).await;
    github
}

/// Seeds of a test: a few, all of them in a long run, or as many as the environment says.
fn seeds(few: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let said = std::env::var("BELLWETHER_SEEDS").ok().and_then(|text| text.parse().ok());
    let long = std::env::var_os("BELLWETHER_TEST_LONG").map(|_| SEEDS.max(few.end));
    said.or(long).map_or(few, |most| 0..most)
}

#[tokio::test(start_paused = true)]
async fn all_is_read_once() {
    let clock = Paused::new();
    let github = grown(300, 1, Options { page: 10, ..Options::default() }, clock).await;
    let sink = Arc::new(Folder::new());
    let mut poller = poller(&github, clock, &sink);
    settle(&mut poller).await;
    let world = github.world();
    let corpus = sink.corpus();
    let there = corpus.github.issues().iter().filter(|issue| !issue.not_exist.is()).count();
    assert_eq!(there, world.numbers().len());
    let known = (corpus.github.comments().len(), corpus.github.events().len());
    assert_eq!(known, world.sizes());
    assert!(known.0 > 30 && known.1 > 50 && there > 20, "{known:?} {there}");
    // Nothing has changed: what is asked is answered with that, and nothing is written.
    let before = github.counts();
    assert_eq!(poller.round().await.unwrap().mutations, 0);
    let after = github.counts();
    assert_eq!(after.requests - before.requests, after.unchanged - before.unchanged);
    assert!(after.requests - before.requests < 20);
    assert_eq!(dumped(&corpus).1, dumped(&sink.replayed()).1);
    assert_eq!(poller.status().borrow().behind, 0);
    assert_eq!(after.disobeyed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_was() {
    let clock = Paused::new();
    let github = grown(250, 2, Options { page: 10, ..Options::default() }, clock).await;
    let whole = {
        fresh(&github, clock).await;
        github.counts().requests
    };
    let sink = Arc::new(Folder::new());
    let (mut restarts, mut known) = (0, 0);
    loop {
        let mut poller = poller(&github, clock, &sink);
        let cut = tokio::time::timeout(Duration::from_millis(2300), settle(&mut poller)).await;
        let corpus = sink.corpus();
        let size =
            corpus.github.issues().len() + corpus.github.comments().len() + corpus.github.events().len();
        assert!(size >= known, "nothing is lost");
        known = size;
        if cut.is_ok() {
            break;
        }
        restarts += 1;
        assert!(restarts < 40, "it does not get on");
    }
    assert!(restarts > 2, "{restarts}");
    agree(&sink.corpus(), &fresh(&github, clock).await);
    // A restart costs a look through the list and what was under way, not all of it again.
    let asked = github.counts().requests - 2 * whole;
    assert!(asked < whole + restarts * 30, "{asked} requests with {restarts} restarts, {whole} without");
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_kept() {
    let clock = Paused::new();
    let faults = Faults { secondary: 3, abuse: 2, error: 3, ..Faults::default() };
    let github = grown(200, 3, Options { limit: 40, page: 10, faults, ..Options::default() }, clock).await;
    let sink = Arc::new(Folder::new());
    settle(&mut poller(&github, clock, &sink)).await;
    let counts = github.counts();
    assert!(counts.refusals > 3 && counts.faults > 1 && counts.requests > 80, "{counts:?}");
    assert_eq!(counts.disobeyed, 0, "{counts:?}");
    agree(&sink.corpus(), &fresh(&github, clock).await);
}

/// Each issue of a repo that is renamed in the middle of a round seems to be elsewhere.
#[tokio::test(start_paused = true)]
async fn a_repo_that_is_renamed_keeps_its_issues() {
    let clock = Paused::new();
    let github = GitHub::new(4, Options::default(), clock.server());
    github.change(|world, now| {
        for number in 1..=6 {
            world.open(now, 1, false, &format!("title {number}"), "");
        }
    });
    sleep(60).await;
    let sink = Arc::new(Folder::new());
    let mut poller = poller(&github, clock, &sink);
    settle(&mut poller).await;
    github.change(|world, now| (1..=6).for_each(|number| world.comment(now, number, 2, "more")));
    sleep(60).await;
    // Labels, milestones and the list are still there.
    let asked = github.counts().requests;
    github.set(|options| options.moved = Some(asked + 3));
    let error = poller.round().await.unwrap_err();
    assert!(error.to_string().contains("/labels"), "{error}");
    let there =
        |sink: &Folder| sink.corpus().github.issues().iter().filter(|one| !one.not_exist.is()).count();
    assert_eq!(there(&sink), 6);
    github.set(|options| options.moved = None);
    settle(&mut poller).await;
    assert_eq!((there(&sink), sink.corpus().github.comments().len()), (6, 6));
}

/// One issue is gone and the repo is there; then the repo is renamed, and all others seem to be gone too.
#[tokio::test(start_paused = true)]
async fn no_issue_is_taken_for_gone_by_an_answer_about_the_repo_before_it() {
    let clock = Paused::new();
    let github = GitHub::new(4, Options::default(), clock.server());
    github.change(|world, now| {
        for number in 1..=12 {
            world.open(now, 1, false, &format!("title {number}"), "");
        }
    });
    sleep(60).await;
    let there =
        |sink: &Folder| sink.corpus().github.issues().iter().filter(|one| !one.not_exist.is()).count();
    for after in 3..16 {
        let sink = Arc::new(Folder::new());
        let mut poller = poller(&github, clock, &sink);
        settle(&mut poller).await;
        github.change(|world, now| (1..=12).for_each(|number| world.comment(now, number, 2, "more")));
        sleep(60).await;
        // The list says that they changed, and it is all that is had of it.
        let moves = |after| {
            let asked = github.counts().requests;
            github.set(|options| options.moved = Some(asked + after));
        };
        moves(3);
        poller.round().await.unwrap_err();
        github.change(|world, _| world.remove(1, 1, Gone::Hidden));
        moves(after);
        for _ in 0..3 {
            let _ = poller.round().await;
        }
        assert!(there(&sink) >= 11, "renamed after {after} requests, {} are left", there(&sink));
        github.set(|options| options.moved = None);
        github.change(|world, _| world.show(1));
        settle(&mut poller).await;
        sleep(3600).await;
        settle(&mut poller).await;
        assert_eq!(there(&sink), 12);
    }
}

/// What was read is not kept back by an answer that does not come.
#[tokio::test(start_paused = true)]
async fn while_the_budget_is_empty_what_was_read_is_written() {
    let clock = Paused::new();
    let github = GitHub::new(4, Options { limit: 12, ..Options::default() }, clock.server());
    github.change(|world, now| {
        for number in 1..=30 {
            world.open(now, 1, false, &format!("title {number}"), "");
            world.comment(now, number, 2, "a comment");
        }
    });
    sleep(60).await;
    let sink = Arc::new(Folder::new());
    let mut poller = poller(&github, clock, &sink);
    let cut = tokio::time::timeout(Duration::from_secs(120), poller.round()).await;
    assert!(cut.is_err(), "the budget was enough");
    // Labels, milestones, two of the list, and comments for all the rest.
    let known = sink.corpus().github.comments().len();
    assert!(known >= 6, "{known} comments are written");
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_seen_and_what_comes_back_too() {
    let clock = Paused::new();
    let github = GitHub::new(4, Options::default(), clock.server());
    for number in 1..=6 {
        github.change(|world, now| {
            world.open(now, 1, false, &format!("title {number}"), "");
            world.comment(now, number, 2, "a comment");
        });
    }
    sleep(100).await;
    let sink = Arc::new(Folder::new());
    let mut first = poller(&github, clock, &sink);
    settle(&mut first).await;
    let gone = |sink: &Folder| -> Vec<i32> {
        let corpus = sink.corpus();
        let mut gone: Vec<i32> = corpus
            .github
            .issues()
            .iter()
            .filter(|issue| issue.not_exist.is())
            .map(|issue| issue.number)
            .collect();
        gone.sort_unstable();
        gone
    };
    assert!(gone(&sink).is_empty());
    for (number, how) in [(1, Gone::Deleted), (2, Gone::Transferred), (3, Gone::Hidden), (6, Gone::Deleted)] {
        github.change(|world, _| world.remove(number, 1, how));
    }
    // No list says that something is not in it, until the whole is looked through.
    settle(&mut first).await;
    assert!(gone(&sink).is_empty());
    sleep(3600).await;
    settle(&mut first).await;
    assert_eq!(gone(&sink), [1, 2, 3, 6]);
    // It comes back as it was.
    github.change(|world, _| world.show(3));
    sleep(3600).await;
    settle(&mut first).await;
    assert_eq!(gone(&sink), [1, 2, 6]);
    agree(&sink.corpus(), &fresh(&github, clock).await);
    // One that changes and is gone before its comments are read.
    github.change(|world, now| world.comment(now, 4, 2, "more"));
    let corpus = sink.corpus();
    let stale = maintner::sources::github::differ::gone(&corpus, &"golang/go".parse().unwrap(), 5).unwrap();
    assert!(stale.not_exist);
    github.change(|world, now| {
        world.from_the_future(5, now + 5);
        world.remove(4, 1, Gone::Hidden);
    });
    settle(&mut first).await;
    sleep(3600).await;
    settle(&mut first).await;
    assert_eq!(gone(&sink), [1, 2, 4, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_time_that_is_yet_to_come_neither_blocks_nor_loops() {
    let clock = Paused::new();
    let github = GitHub::new(5, Options::default(), clock.server());
    let year = 365 * 24 * 3600;
    for number in 1..=8 {
        github.change(|world, now| {
            world.open(now, 1, number % 2 == 0, &format!("title {number}"), "");
            world.comment(now, number, 2, "a comment");
            if number < 4 {
                world.from_the_future(number, now + year);
            }
        });
    }
    sleep(60).await;
    let sink = Arc::new(Folder::new());
    let mut poller = poller(&github, clock, &sink);
    settle(&mut poller).await;
    assert_eq!(sink.corpus().github.comments().len(), 8);
    let before = github.counts().requests;
    let round = poller.round().await.unwrap();
    assert_eq!(
        (round.mutations, round.more, round.again),
        (0, false, None),
        "nothing is written again and again"
    );
    let asked = github.counts().requests - before;
    assert!(asked < 12, "{asked}");
    // What happens to them, and to others, is seen at once.
    github.change(|world, now| {
        world.comment(now, 7, 3, "news");
        world.comment(now, 2, 3, "news");
        world.from_the_future(2, now + year);
    });
    sleep(20).await;
    poller.round().await.unwrap();
    assert_eq!(sink.corpus().github.comments().len(), 10);
    agree(&sink.corpus(), &fresh(&github, clock).await);
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_enough_and_one_is_kept() {
    let clock = Paused::new();
    let github = grown(60, 6, Options::default(), clock).await;
    let sink = Arc::new(Folder::new());
    let poller = poller(&github, clock, &sink);
    let (hints, status) = (poller.hints(), poller.status());
    // Before it has begun.
    hints.wake();
    let follower = tokio::spawn(poller.run());
    sleep(120).await;
    let rounds = status.borrow().rounds;
    sleep(600).await;
    assert_eq!(status.borrow().rounds, rounds, "it sleeps");
    github.change(|world, now| world.open(now, 1, false, "news", ""));
    hints.wake();
    sleep(5).await;
    let last = github.world().numbers().into_iter().max().unwrap();
    let known = |number| {
        let corpus = sink.corpus();
        corpus.github.issue(0, number).is_some()
    };
    assert!(known(last));
    // One that is lost is in the list of those that failed; without any, there is the clock.
    sleep(120).await;
    github.change(|world, now| world.open(now, 1, false, "more", ""));
    for webhook in github.webhooks() {
        github.delivered(&webhook, false);
    }
    sleep(70).await;
    assert!(known(last + 1));
    github.change(|world, now| world.open(now, 1, false, "still more", ""));
    sleep(1000).await;
    assert!(known(last + 2));
    follower.abort();
}

#[tokio::test(start_paused = true)]
async fn hints_make_no_more_than_a_round_a_second() {
    let clock = Paused::new();
    let github = grown(20, 8, Options::default(), clock).await;
    let sink = Arc::new(Folder::new());
    let poller = poller(&github, clock, &sink);
    let (hints, status) = (poller.hints(), poller.status());
    let follower = tokio::spawn(poller.run());
    sleep(200).await;
    let flood = async |seconds: u64| {
        let before = status.borrow().rounds;
        for _ in 0..seconds * 20 {
            hints.wake();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        status.borrow().rounds - before
    };
    let rounds = flood(30).await;
    assert!((10..=31).contains(&rounds), "{rounds}");
    // And none at all where GitHub gives no answers.
    sleep(200).await;
    let asked = github.counts().requests;
    github.set(|options| options.moved = Some(asked));
    let rounds = flood(28).await;
    assert_eq!(rounds, 1);
    // The last of them is not lost.
    github.set(|options| options.moved = None);
    sleep(10).await;
    assert!(status.borrow().error.is_none());
    follower.abort();
}

/// More issues of which GitHub says nothing than a round bears, all of them before the others.
#[tokio::test(start_paused = true)]
async fn those_that_fail_do_not_keep_others_away() {
    let clock = Paused::new();
    let github = GitHub::new(9, Options { broken: Some(6), ..Options::default() }, clock.server());
    for number in 1..=30 {
        github.change(|world, now| {
            world.open(now, 1, false, &format!("title {number}"), "");
            world.comment(now, number, 2, "a comment");
        });
        sleep(5).await;
    }
    sleep(60).await;
    let sink = Arc::new(Folder::new());
    let mut poller = poller(&github, clock, &sink);
    poller.round().await.unwrap_err();
    assert_eq!(sink.corpus().github.comments().len(), 0);
    assert!(poller.round().await.unwrap().more, "those that failed are to be asked for again");
    assert_eq!(sink.corpus().github.comments().len(), 5);
    github.set(|options| options.broken = None);
    settle(&mut poller).await;
    assert_eq!(sink.corpus().github.comments().len(), 30);
}

#[tokio::test(start_paused = true)]
async fn what_is_edited_between_two_pages_is_not_lost() {
    let clock = Paused::new();
    // The first page of comments uses the budget up (a list that did not change is free); the second one is an hour later.
    let github = GitHub::new(9, Options { limit: 4, page: 10, ..Options::default() }, clock.server());
    github.change(|world, now| {
        world.open(now, 1, false, "title", "");
        (0..15).for_each(|_| world.comment(now, 1, 2, "a comment"));
    });
    sleep(60).await;
    let sink = Arc::new(Folder::new());
    let mut poller = poller(&github, clock, &sink);
    let edited = async {
        sleep(600).await;
        github.set(|options| options.limit = 5000);
        github.change(|world, now| world.edit_comment(now, 1, 0, "edited"));
        assert_eq!(github.counts().requests, 5);
    };
    let (round, ()) = tokio::join!(poller.round(), edited);
    round.unwrap();
    settle(&mut poller).await;
    agree(&sink.corpus(), &fresh(&github, clock).await);
}

/// Operations, hints of which three in ten are lost and others come twice or late, and answers as bad as they get.
async fn storm(seed: u64) {
    let clock = Paused::new();
    let faults = Faults { error: 4, cut: 2, secondary: 1, abuse: 1, stale: 25, underway: 20, disorder: 30 };
    let options = Options { limit: 2000, page: 7, lag: 8, faults, ..Options::default() };
    let github = GitHub::new(seed, options, clock.server());
    let mut random = fastrand::Rng::with_seed(seed);
    let sink = Arc::new(Folder::new());
    // It knows what GitHub has said, whoever asks by it.
    let client = client(&github, clock);
    let poller = by(client.clone(), &sink);
    let mut hints = poller.hints();
    let mut follower = tokio::spawn(poller.run());
    for step in 0..90 {
        for _ in 0..random.u32(1..4) {
            github.step();
        }
        for webhook in github.webhooks() {
            let lost = random.u32(..10) < 3;
            github.delivered(&webhook, !lost);
            if !lost {
                hints.wake();
            }
        }
        tokio::time::sleep(Duration::from_millis(random.u64(1..60_000))).await;
        // A late one, of what is known.
        if random.u32(..10) < 3 {
            hints.wake();
        }
        if step == 50 {
            follower.abort();
            let again = by(client.clone(), &sink);
            hints = again.hints();
            follower = tokio::spawn(again.run());
        }
    }
    let counts = github.counts();
    assert!(counts.stale > 20 && counts.faults > 10 && counts.refusals > 2, "{counts:?}");
    assert_eq!(counts.disobeyed, 0, "seed {seed}: {counts:?}");
    github.set(|options| options.faults = Faults::default());
    // By itself, within the time of a look through the whole list.
    sleep(3 * 3600).await;
    follower.abort();
    let fresh = fresh(&github, clock).await;
    assert!(lines(&fresh).len() > 80, "seed {seed}");
    // It is what is read of a test that fails.
    println!("seed {seed}");
    agree(&sink.corpus(), &fresh);
    assert_eq!(dumped(&sink.corpus()).1, dumped(&sink.replayed()).1, "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn in_the_end_it_is_as_if_nothing_had_gone_wrong() {
    for seed in seeds(0..1) {
        storm(seed).await;
    }
}
