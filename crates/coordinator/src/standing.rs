//! How each builder does on each branch, and what is told when that changes.
//!
//! A builder is broken on a branch once a build failed that failed before: tried again by its recipe's `retries`, by somebody, or
//! at a newer commit. What failed once may be a flake and is told to nobody; what ends for reasons of the machines says nothing. It is mended by the first
//! build that is ok. Each of these is told once, in the transaction of the build's end. Builds of older commits than one that
//! counts already say nothing of how things are now. Where the tests of both failures are known and none failed in both, they are two
//! flakes, and the second is suspected anew. What failed by muted tests alone says nothing.

use std::collections::BTreeSet;

use buildenv::Tell;
use dashboard::api::{Cause, TestKind, TestResult};
use serde_json::json;
use store::attempts::AttemptRow;
use store::builds::BuildRow;
use store::standings::{self, Place, StandingRow};
use store::{BuildId, Micros, StoreError, Tx};

use crate::attempt::Shared;
use crate::notice::Notice;
use crate::outbox::fit;
use crate::remark;
use crate::samples::{Told, cut_short, is_bad};
use crate::schedule::Class;

/// The end of a build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End<'a> {
    /// The build, as it was leased.
    pub build: &'a BuildRow,
    /// Its outcome.
    pub outcome: &'a str,
    /// The attempts before its last one, since it was asked for.
    pub before: &'a [AttemptRow],
    /// Why it failed: JSON of a cause, without secrets.
    pub cause: Option<&'a str>,
    /// When it ended.
    pub at: Micros,
    /// What its tests say.
    pub saw: &'a Saw,
}

/// What the tests of a build that failed say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Saw {
    /// Nothing failed but what is muted.
    pub muted: bool,
    /// Whether one that failed in this attempt failed in one before of the same build; nothing where that is not known.
    pub again: Option<bool>,
    /// Whether one failed in the build that is suspected; nothing where that is not known.
    pub before: Option<bool>,
}

/// A judged build.
#[derive(Debug, Clone, Copy)]
struct Ended<'a> {
    build: &'a BuildRow,
    /// It failed otherwise.
    ok: bool,
    /// Whether an attempt before failed, too, since it was asked for.
    failed_before: bool,
    cause: Option<&'a Cause>,
    at: Micros,
    saw: Saw,
}

/// What became of a builder on a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It was ok, and is broken.
    Broken,
    /// It was broken, and is ok.
    Mended,
}

/// Notes the end of a build, and puts what is to be told into the outbox.
///
/// # Errors
/// The database's.
pub(crate) async fn note(tx: &mut Tx, shared: &Shared, end: End<'_>) -> Result<(), StoreError> {
    let build = end.build;
    if !matches!(end.outcome, "ok" | "failed") || end.saw.muted {
        return Ok(());
    }
    // What is tried has not landed.
    if build.untrusted || build.class == Class::Try.as_str() {
        return Ok(());
    }
    let place = place(build);
    let config = shared.config.borrow().clone();
    let cause = end.cause.and_then(|text| serde_json::from_str::<Cause>(text).ok());
    let failed_before = end.before.iter().any(|row| row.outcome.as_deref() == Some("failed"));
    let ok = end.outcome == "ok";
    let ended = Ended { build, ok, failed_before, cause: cause.as_ref(), at: end.at, saw: *end.saw };
    let before = standings::get(tx, &place).await?;
    // What somebody asks for may be of any commit and has no time of one: it counts as another try at the newest alone.
    let is_newest = before.as_ref().is_some_and(|before| before.build == build.id);
    if build.class == Class::Interactive.as_str() && !is_newest {
        return Ok(());
    }
    // What is built to find a culprit is of any commit of a range. It tells something where it fails as the suspected build did.
    if !build.sample.is_empty() && !before.as_ref().is_some_and(|before| confirms(before, &ended)) {
        return Ok(());
    }
    let Some((mut row, turn)) = next(before.as_ref(), place, ended) else { return Ok(()) };
    if let Some(before) = before.filter(|_| !build.sample.is_empty()) {
        row.build = before.build;
    }
    standings::put(tx, &row).await?;
    let Some(turn) = turn else { return Ok(()) };
    let tell = match turn {
        Turn::Broken => Tell::Broken,
        Turn::Mended => Tell::Mended,
    };
    let rules = config
        .notify()
        .iter()
        .filter(|rule| rule.tells_of_build(tell, &row.place.repo, &row.place.branch, &row.place.builder));
    tracing::info!(
        builder = build.builder,
        repo = build.repo,
        branch = build.branch,
        ?turn,
        "a builder's standing changed"
    );
    let notice = notice(&config.environment().url, &row, turn, ended);
    if turn == Turn::Broken && rules.clone().any(|rule| rule.review) {
        let commit = commit_of(&row);
        let tried = store::try_runs::by_commit(tx, commit).await?;
        let (place, key) = ((row.place.repo.as_str(), commit), notice.key_of("review"));
        let now = shared.ledger.clock().now();
        if let Some(message) = remark::on_commit(&config, place, tried.as_ref(), &key, &notice.text, now) {
            message.put(tx, &**shared.ledger.clock()).await?;
        }
    }
    notice.put(tx, &**shared.ledger.clock(), rules).await
}

/// The commit of a row's first build.
fn commit_of(row: &StandingRow) -> &str {
    let first = row.since_revision.split('+').next().unwrap_or_default();
    first.split_once('@').map_or(first, |(_, commit)| commit)
}

/// Looks what the tests of an attempt that failed say, before its end is written down. What can't be had is not known.
pub(crate) async fn look(
    shared: &Shared,
    build: &BuildRow,
    attempt: &AttemptRow,
    outcome: &str,
    cause: Option<&str>,
) -> Saw {
    let landed = !build.untrusted && build.class != Class::Try.as_str();
    if outcome != "failed" || !landed {
        return Saw::default();
    }
    let cause = cause.and_then(|text| serde_json::from_str::<Cause>(text).ok()).unwrap_or_default();
    let Some(all) = tests(shared, build.id).await else { return Saw::default() };
    let id = attempt.id.to_string();
    let (now, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|test| test.attempt.as_deref() == Some(&id));
    let told = Told {
        outcome: outcome.to_owned(),
        cut_short: cut_short(&attempt.job, &cause),
        cause,
        tests: now,
        ..Told::default()
    };
    let config = shared.config.borrow().clone();
    let rules = shared.mutes.rules(&config, shared.ledger.clock().now());
    let muted = rules.of_build(&build.repo, &build.builder, &told);
    let bad = |tests: &[TestResult]| -> BTreeSet<(String, String)> {
        let bad = tests.iter().filter(|test| is_bad(test) && !muted.covers(&test.id, &test.variant));
        bad.map(|test| (test.id.clone(), test.variant.clone())).collect()
    };
    let here = bad(&told.tests);
    // Nothing is known where no test is.
    let common = |others: BTreeSet<(String, String)>| {
        (!here.is_empty() && !others.is_empty()).then(|| !here.is_disjoint(&others))
    };
    let again = common(bad(&others));
    let before = match suspected(shared, build).await {
        Some(before) if before == build.id => again,
        Some(before) => tests(shared, before).await.and_then(|tests| common(bad(&tests))),
        None => None,
    };
    Saw { muted: muted.whole, again, before }
}

async fn tests(shared: &Shared, build: BuildId) -> Option<Vec<TestResult>> {
    let tests = shared.dashboard.tests(&build.to_string()).await.ok()?.tests;
    Some(tests.into_iter().filter(|test| test.kind == TestKind::Test).collect())
}

/// The build by which a builder is suspected to be broken.
async fn suspected(shared: &Shared, build: &BuildRow) -> Option<BuildId> {
    let place = place(build);
    let mut reader = shared.ledger.db().read().await.ok()?;
    let row = standings::get(&mut reader, &place).await.ok()??;
    (row.state == "suspect").then_some(row.build)
}

fn place(build: &BuildRow) -> Place {
    Place {
        builder: build.builder.clone(),
        repo: build.repo.clone(),
        branch: build.branch.clone(),
        toolchain_branch: build.toolchain_branch.clone().unwrap_or_default(),
    }
}

/// Whether a build that is of no grid fails as the build by which the builder is suspected did.
fn confirms(before: &StandingRow, ended: &Ended<'_>) -> bool {
    let same = before.state == "suspect" && before.since_revision == ended.build.revision;
    same && !ended.ok && ended.saw.before != Some(false)
}

/// How things stand after a build, and what became of the builder; nothing if the build says nothing.
fn next(before: Option<&StandingRow>, place: Place, ended: Ended<'_>) -> Option<(StandingRow, Option<Turn>)> {
    let build = ended.build;
    // A commit of the future would keep all others from being newer.
    let at = build.commit_time.min(build.created);
    if before.is_some_and(|before| before.newest > at && before.build != build.id) {
        return None;
    }
    let was = before.map_or("", |before| &before.state);
    let was_ok = before.is_some_and(|before| before.was_ok);
    let told = before.is_some_and(|before| before.told);
    let broken = was_ok.then_some(Turn::Broken);
    let (state, turn) = match (ended.ok, was) {
        (true, "failed") if told => ("ok", Some(Turn::Mended)),
        (true, _) => ("ok", None),
        (false, "failed") => ("failed", None),
        // Two flakes: the newer one is suspected now.
        (false, "suspect") if ended.saw.before == Some(false) => ("suspect", None),
        (false, "suspect") => ("failed", broken),
        (false, _) if ended.failed_before && ended.saw.again != Some(false) => ("failed", broken),
        (false, _) => ("suspect", None),
    };
    let goes_on = before.filter(|_| match (was, state) {
        ("suspect", "suspect") => false,
        (was, state) => was == state || (was, state) == ("suspect", "failed"),
    });
    let row = StandingRow {
        place,
        state: state.to_owned(),
        was_ok: was_ok || ended.ok,
        told: state == "failed" && (told || turn == Some(Turn::Broken)),
        build: build.id,
        newest: before.map_or(at, |before| before.newest.max(at)),
        since_build: goes_on.map_or(build.id, |before| before.since_build),
        since_revision: goes_on
            .map_or_else(|| build.revision.clone(), |before| before.since_revision.clone()),
        since: goes_on.map_or(ended.at, |before| before.since),
    };
    Some((row, turn))
}

fn notice(url: &str, row: &StandingRow, turn: Turn, ended: Ended<'_>) -> Notice {
    let Place { builder, repo, branch, toolchain_branch } = &row.place;
    let commit = commit_of(row);
    let short = commit.get(..10).unwrap_or(commit);
    let with = match toolchain_branch.as_str() {
        "" => String::new(),
        toolchain => format!(" with {toolchain}"),
    };
    let (event, title) = match turn {
        Turn::Broken => ("broken", format!("{builder} broke on {repo} {branch}{with} at {short}")),
        Turn::Mended => ("mended", format!("{builder} is mended on {repo} {branch}{with} at {short}")),
    };
    let url = url.trim_end_matches('/');
    let page = |build: store::BuildId| format!("{url}/builds/{build}");
    let mut text = format!("{title}.\n\n");
    if turn == Turn::Broken {
        text +=
            &format!("The first build that failed: {}\n  of {}\n", page(row.since_build), row.since_revision);
        if ended.build.id != row.since_build {
            text += &format!("It fails at {} too: {}\n", ended.build.revision, page(ended.build.id));
        } else {
            text += "It was tried again, and failed again.\n";
        }
        if let Some(cause) = ended.cause {
            text += &format!("Why: {} {}\n", cause.kind, fit(&cause.detail, 1000));
        }
    } else {
        text += &format!("The build that is ok: {}\n  of {}\n", page(row.build), row.since_revision);
    }
    text += &format!("\nAll builds of it: {url}/builders/{builder}\n");
    let place = format!("{builder}/{repo}/{branch}");
    let place = if toolchain_branch.is_empty() { place } else { format!("{place}/{toolchain_branch}") };
    Notice {
        key: format!("builder/{place}/{commit}/{event}"),
        title,
        text,
        body: json!({
            "event": event,
            "builder": builder,
            "repo": repo,
            "branch": branch,
            "toolchain_branch": toolchain_branch,
            "commit": commit,
            "revision": row.since_revision,
            "build": row.since_build.to_string(),
            "url": page(row.since_build),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(n: u8, commit_time: i64) -> BuildRow {
        BuildRow {
            id: BuildId::new(Micros(i64::from(n)), &mut |to| to.fill(n)),
            builder: "b".into(),
            repo: "one".into(),
            branch: "main".into(),
            toolchain_branch: None,
            revision: format!("one@{n:040x}"),
            class: "post_submit".into(),
            priority: 0,
            commit_time: Micros(commit_time),
            state: "done".into(),
            outcome: None,
            cause: None,
            fence: 1,
            version: 1,
            attempts: 1,
            retried_from: 0,
            not_before: Micros(0),
            cancel: None,
            created: Micros(1000),
            queued: Micros(1000),
            started: None,
            ended: None,
            reported: false,
            untrusted: false,
            sample: String::new(),
            avoid: String::new(),
            rules: String::new(),
        }
    }

    /// What is told of builds, each `(number, time of its commit, ok, failed before)`, with the states that they leave.
    fn told(builds: &[(u8, i64, bool, bool)]) -> Vec<String> {
        let mut row: Option<StandingRow> = None;
        let mut told = Vec::new();
        for (n, time, ok, failed_before) in builds {
            let build = build(*n, *time);
            let (cause, saw) = (None, Saw::default());
            let ended =
                Ended { build: &build, ok: *ok, failed_before: *failed_before, cause, at: Micros(5), saw };
            let place = Place {
                builder: "b".into(),
                repo: "one".into(),
                branch: "main".into(),
                toolchain_branch: String::new(),
            };
            match next(row.as_ref(), place, ended) {
                Some((new, turn)) => {
                    let words = turn.map(|turn| notice("https://ci", &new, turn, ended).title);
                    let words = words.and_then(|words| words.split(' ').nth(1).map(str::to_owned));
                    told.push(format!("{} {}", new.state, words.unwrap_or_default()).trim().to_owned());
                    row = Some(new);
                }
                None => told.push("says nothing".into()),
            }
        }
        told
    }

    #[test]
    fn what_fails_once_is_told_to_nobody() {
        assert_eq!(
            told(&[(1, 1, true, false), (2, 2, false, false), (3, 3, true, false)]),
            ["ok", "suspect", "ok"]
        );
        // Somebody tries it again.
        assert_eq!(
            told(&[(1, 1, true, false), (2, 2, false, false), (2, 2, true, false)]),
            ["ok", "suspect", "ok"]
        );
    }

    #[test]
    fn what_fails_again_is_told_once_and_so_is_its_end() {
        for second in [(2, 2, false, false), (3, 3, false, false)] {
            let builds = [
                (1, 1, true, false),
                (2, 2, false, false),
                second,
                (4, 4, false, true),
                (5, 5, true, false),
                (6, 6, true, false),
            ];
            assert_eq!(told(&builds), ["ok", "suspect", "failed broke", "failed", "ok is", "ok"]);
        }
        assert_eq!(
            told(&[(1, 1, true, false), (2, 2, false, true)]),
            ["ok", "failed broke"],
            "by its retries"
        );
    }

    #[test]
    fn what_never_was_ok_did_not_break() {
        let builds = [(1, 1, false, true), (2, 2, false, true), (3, 3, true, false), (4, 4, false, true)];
        assert_eq!(told(&builds), ["failed", "failed", "ok", "failed broke"]);
    }

    #[test]
    fn an_older_commit_says_nothing_and_one_of_the_future_keeps_none_away() {
        assert_eq!(told(&[(3, 3, true, false), (2, 2, false, true)]), ["ok", "says nothing"]);
        // It was made in the thousandth microsecond.
        assert_eq!(told(&[(3, i64::MAX, true, false), (4, 1000, false, true)]), ["ok", "failed broke"]);
    }

    #[test]
    fn the_first_commit_that_failed_is_named() {
        let build = build(7, 7);
        let row = StandingRow {
            place: Place {
                builder: "b".into(),
                repo: "one".into(),
                branch: "main".into(),
                toolchain_branch: "dev".into(),
            },
            state: "failed".into(),
            was_ok: true,
            told: true,
            build: build.id,
            newest: Micros(7),
            since_build: BuildId::new(Micros(6), &mut |to| to.fill(6)),
            since_revision: format!("one@{:040x}+lib@{:040x}", 6, 1),
            since: Micros(6),
        };
        let ended = Ended {
            build: &build,
            ok: false,
            failed_before: false,
            cause: None,
            at: Micros(7),
            saw: Saw::default(),
        };
        let notice = notice("https://ci/", &row, Turn::Broken, ended);
        assert_eq!(notice.key, format!("builder/b/one/main/dev/{:040x}/broken", 6));
        assert_eq!(notice.title, "b broke on one main with dev at 0000000000");
        assert!(notice.text.contains(&format!("https://ci/builds/{}", build.id)), "{}", notice.text);
    }

    #[test]
    fn what_is_of_no_grid_confirms_at_the_suspected_commit_alone() {
        let (first, other) = (build(1, 1), build(2, 1));
        let ended = |build, ok, before| {
            let saw = Saw { before, ..Saw::default() };
            Ended { build, ok, failed_before: false, cause: None, at: Micros(5), saw }
        };
        let (row, _) = next(None, place(&first), ended(&first, false, None)).unwrap();
        assert!(confirms(&row, &ended(&first, false, None)));
        assert!(confirms(&row, &ended(&first, false, Some(true))));
        assert!(!confirms(&row, &ended(&first, false, Some(false))), "another test failed");
        assert!(!confirms(&row, &ended(&first, true, None)));
        assert!(!confirms(&row, &ended(&other, false, None)));
        assert!(!confirms(&StandingRow { state: "failed".into(), ..row }, &ended(&first, false, None)));
    }

    #[test]
    fn two_flakes_in_a_row_are_no_break() {
        let place = || place(&build(1, 1));
        let mut row = None;
        let mut states = Vec::new();
        let ok = Saw::default();
        let (other, same) = (Some(false), Some(true));
        for (n, failed, failed_before, saw) in [
            (1, false, false, ok),
            (2, true, false, ok),
            (3, true, false, Saw { before: other, ..ok }),
            (4, true, true, Saw { before: other, again: other, ..ok }),
            (5, true, false, Saw { before: same, ..ok }),
        ] {
            let build = build(n, i64::from(n));
            let ended = Ended { build: &build, ok: !failed, failed_before, cause: None, at: Micros(5), saw };
            let (new, turn) = next(row.as_ref(), place(), ended).unwrap();
            states.push((
                new.state.clone(),
                turn.is_some(),
                commit_of(&new).trim_start_matches('0').to_owned(),
            ));
            row = Some(new);
        }
        let is = |state: &str, told: bool, first: &str| (state.to_owned(), told, first.to_owned());
        // The first commit that is named is the first of the break, not one of the flakes before.
        let all = [
            is("ok", false, "1"),
            is("suspect", false, "2"),
            is("suspect", false, "3"),
            is("suspect", false, "4"),
            is("failed", true, "4"),
        ];
        assert_eq!(states, all);
    }
}
