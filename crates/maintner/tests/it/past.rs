//! The corpus of a moment: `corpus/past.rs` says what that is.

use maintner::column::NONE;
use maintner::corpus::{Corpus, Replay};
use maintner::github::{Issue, NO_MILESTONE};
use maintner::log::Log;
use maintner::rules::Rules;
use maintner::time::Time;
use maintpb::{
    BoolChange, GerritMutation, GitCommit, GithubIssueCommentMutation, GithubIssueEvent, GithubIssueMutation,
    GithubLabel, GithubMilestone, GithubUser, Mutation,
};

use crate::logs::{Said, at, commit, gerrit, issue, of_issue, sha, write};

fn past(mutations: &[Mutation], seconds: i64) -> Corpus {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), mutations);
    Corpus::at(Log::open(folder.path()).unwrap(), Time::from_seconds(seconds)).unwrap()
}

fn label(id: i64, name: &str) -> GithubLabel {
    GithubLabel { id, name: name.into() }
}

fn found(corpus: &Corpus, number: i32) -> Option<Issue> {
    let repo = corpus.github.repo(b"golang", b"go")?;
    let issue = corpus.github.issue(repo, number)?;
    Some(*corpus.github.issues().get(issue)).filter(|issue| !issue.not_exist.is())
}

/// Title, whether it is closed, and labels.
fn state(corpus: &Corpus, number: i32) -> Option<(String, bool, Vec<String>)> {
    let issue = found(corpus, number)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let labels = corpus
        .github
        .labels_of(&issue)
        .into_iter()
        .map(|id| text(corpus.github.name(corpus.github.label(issue.repo, id).unwrap().name)));
    Some((text(corpus.log.text(issue.title)), issue.closed.is(), labels.collect()))
}

fn some(title: &str, closed: bool, labels: &[&str]) -> Option<(String, bool, Vec<String>)> {
    Some((title.into(), closed, labels.iter().map(|label| (*label).into()).collect()))
}

fn event(id: i64, kind: &str, seconds: i64) -> GithubIssueEvent {
    GithubIssueEvent {
        id,
        event_type: kind.into(),
        actor_id: 9,
        created: at(seconds),
        ..GithubIssueEvent::default()
    }
}

fn comment(id: i64, seconds: (Option<i64>, i64), body: &str) -> GithubIssueCommentMutation {
    GithubIssueCommentMutation {
        id,
        created: seconds.0.and_then(at),
        updated: at(seconds.1),
        body: body.into(),
        ..GithubIssueCommentMutation::default()
    }
}

/// A log that was written while things happened says what was by its records.
#[test]
fn an_issue_is_as_its_last_record_by_then() {
    let log = [
        GithubIssueMutation { created: at(100), updated: at(100), title: "a".into(), ..issue(1) },
        GithubIssueMutation { comment: vec![comment(1, (Some(150), 150), "first")], ..issue(1) },
        GithubIssueMutation {
            updated: at(200),
            title: "b".into(),
            add_label: vec![label(5, "x")],
            ..issue(1)
        },
        GithubIssueMutation { comment: vec![comment(1, (None, 250), "second")], ..issue(1) },
        GithubIssueMutation { created: at(260), updated: at(260), title: "other".into(), ..issue(2) },
        GithubIssueMutation { updated: at(300), closed: Some(BoolChange { val: true }), ..issue(1) },
        // Without a time it goes with the one before.
        GithubIssueMutation { remove_label: vec![5], ..issue(1) },
        GithubIssueMutation { not_exist: true, ..issue(2) },
    ]
    .map(of_issue);
    let body = |corpus: &Corpus| {
        let bodies = corpus.github.comments().iter().map(|comment| corpus.log.text(comment.body).to_vec());
        bodies.map(|body| String::from_utf8(body).unwrap()).collect::<Vec<_>>()
    };
    for (seconds, want, bodies, two) in [
        (99, None, vec![], false),
        (100, some("a", false, &[]), vec![], false),
        (150, some("a", false, &[]), vec!["first"], false),
        (249, some("b", false, &["x"]), vec!["first"], false),
        (299, some("b", false, &["x"]), vec!["second"], true),
        (300, some("b", true, &[]), vec!["second"], false),
    ] {
        let corpus = past(&log, seconds);
        assert_eq!(state(&corpus, 1), want, "{seconds}");
        assert_eq!(body(&corpus), bodies, "{seconds}");
        assert_eq!(found(&corpus, 2).is_some(), two, "{seconds}");
    }
}

/// A log that begins with an old issue has its events, which are taken back.
#[test]
fn an_issue_that_came_late_is_played_back() {
    let named = |name: &str| Some(GithubLabel { id: 0, name: name.into() });
    let titled = |title: &str| Some(GithubMilestone { title: title.into(), ..GithubMilestone::default() });
    let first = GithubIssueMutation {
        created: at(100),
        updated: at(1000),
        title: "new".into(),
        closed: Some(BoolChange { val: true }),
        closed_at: at(900),
        locked: Some(BoolChange { val: true }),
        add_label: vec![label(7, "y")],
        milestone_id: 3,
        milestone_title: "M".into(),
        assignees: vec![GithubUser { id: 4, login: "ann".into() }],
        ..issue(1)
    };
    let events = vec![
        event(1, "closed", 400),
        event(2, "reopened", 450),
        GithubIssueEvent { label: named("y"), ..event(3, "labeled", 500) },
        GithubIssueEvent { label: named("z"), ..event(4, "unlabeled", 600) },
        GithubIssueEvent { rename_from: "old".into(), rename_to: "new".into(), ..event(5, "renamed", 700) },
        GithubIssueEvent { milestone: titled("M"), ..event(6, "milestoned", 800) },
        GithubIssueEvent { assignee_id: 4, ..event(7, "assigned", 850) },
        event(8, "locked", 870),
        event(9, "closed", 900),
        // After what the first record knows of: nothing to take back, and no record says that the issue is another one by it.
        event(10, "reopened", 1100),
    ];
    // Twice, as a page that is read again.
    let log = [
        first,
        GithubIssueMutation { event: events.clone(), ..issue(1) },
        GithubIssueMutation { event: events, ..issue(1) },
    ]
    .map(of_issue);
    for (seconds, want, closed_at) in [
        (99, None, 0),
        (399, some("old", false, &["z"]), 0),
        (420, some("old", true, &["z"]), 400),
        (460, some("old", false, &["z"]), 0),
        (550, some("old", false, &["z", "y"]), 0),
        (650, some("old", false, &["y"]), 0),
        (750, some("new", false, &["y"]), 0),
        (950, some("new", true, &["y"]), 900),
        (1200, some("new", true, &["y"]), 900),
    ] {
        let corpus = past(&log, seconds);
        assert_eq!(state(&corpus, 1), want, "{seconds}");
        let Some(issue) = found(&corpus, 1) else { continue };
        let none = if closed_at == 0 { Time::NONE } else { Time::from_seconds(closed_at) };
        assert_eq!(issue.closed_at, none, "{seconds}");
        assert_eq!(issue.milestone == NO_MILESTONE, seconds < 800, "{seconds}");
        assert_eq!(corpus.github.assignees_of(&issue).count(), usize::from(seconds >= 850), "{seconds}");
        assert_eq!(issue.locked.is(), seconds >= 870, "{seconds}");
        assert!(issue.updated <= Time::from_seconds(seconds.max(1000)), "{seconds}");
        assert_eq!(
            corpus.github.events_of(&issue).len(),
            [400, 450, 500, 600, 700, 800, 850, 870, 900, 1100]
                .iter()
                .filter(|time| **time <= seconds)
                .count(),
            "{seconds}"
        );
    }
}

/// What happened between two looks of a poller is played forward.
#[test]
fn what_the_next_record_would_say_is_known_by_events() {
    let log = [
        GithubIssueMutation { created: at(100), updated: at(100), title: "a".into(), ..issue(1) },
        GithubIssueMutation { updated: at(1000), title: "b".into(), ..issue(1) },
        GithubIssueMutation { event: vec![event(1, "closed", 500), event(2, "reopened", 700)], ..issue(1) },
    ]
    .map(of_issue);
    for (seconds, closed) in [(499, false), (600, true), (800, false)] {
        assert_eq!(state(&past(&log, seconds), 1), some("a", closed, &[]), "{seconds}");
    }
}

#[test]
fn a_change_is_as_its_notes_by_then() {
    let note = |digit, parents: &'static [char], time, message: &'static str| {
        commit(&Said { digit, parents, who: "Ann <5@s>", time, message, files: &[] })
    };
    let code = |digit, parents: &'static [char], time, message: &'static str| {
        commit(&Said { digit, parents, who: "Ann <a@a>", time, message, files: &[] })
    };
    let commits = vec![
        code('1', &[], 90, "c1"),
        code('2', &['1'], 95, "ps1\n\nFixes #1"),
        code('3', &['1'], 290, "ps2\n\nFixes #2"),
        code('4', &['1'], 400, "ps2"),
        note(
            'a',
            &[],
            100,
            "Create change\n\nUploaded patch set 1.\n\nPatch-set: 1\nBranch: refs/heads/master\nStatus: new\nCommit: 2222222222222222222222222222222222222222\nTag: autogenerated:gerrit:newPatchSet\n",
        ),
        note(
            'b',
            &['a'],
            200,
            "Update patch set 1\n\nPatch Set 1: Code-Review+2\n\nPatch-set: 1\nLabel: Code-Review=+2\n",
        ),
        note(
            'c',
            &['b'],
            300,
            "Create patch set 2\n\nUploaded patch set 2.\n\nPatch-set: 2\nCommit: 3333333333333333333333333333333333333333\nTag: autogenerated:gerrit:newPatchSet\n",
        ),
        note('d', &['c'], 400, "Submit patch set 2\n\nPatch-set: 2\nStatus: merged\n"),
    ];
    let refs = [
        ("refs/changes/07/7/1", sha('2')),
        ("refs/changes/07/7/2", sha('3')),
        ("refs/changes/07/7/meta", sha('d')),
        ("refs/heads/master", sha('4')),
        ("refs/heads/old", sha('1')),
    ];
    let refs = refs.each_ref().map(|(name, sha1)| (*name, &**sha1));
    let log = [gerrit(commits, &refs, &[]), gerrit(vec![], &[], &["refs/heads/old"])];
    for (seconds, status, version, votes, head, commits) in [
        (99, None, 0, 0, '1', 1),
        (150, Some("new"), 1, 0, '1', 3),
        (250, Some("new"), 1, 1, '1', 4),
        (350, Some("new"), 2, 0, '1', 6),
        (400, Some("merged"), 2, 0, '4', 8),
    ] {
        let corpus = past(&log, seconds);
        let gerrit = &corpus.gerrit;
        let project = gerrit.project(b"go.googlesource.com/go").unwrap();
        let change = gerrit.changes().get(gerrit.change(project, 7).unwrap());
        assert_eq!(change.is_complete(), status.is_some(), "{seconds}");
        let master = gerrit.at_ref(project, b"refs/heads/master").unwrap();
        assert_eq!(hex::encode(gerrit.commits().get(master).hash), sha(head), "{seconds}");
        assert_eq!(gerrit.at_ref(project, b"refs/heads/old").is_some(), seconds < 400, "{seconds}");
        // What is later is a place; the first patch set's commit is known before its note.
        let known = gerrit.commits().iter().filter(|commit| !commit.is_place()).count();
        assert_eq!(known, if status.is_some() { commits } else { 2 }, "{seconds}");
        let Some(status) = status else { continue };
        assert_eq!(change.status().unwrap().text(), status, "{seconds}");
        assert_eq!(
            (change.version, gerrit.patch_sets(change).count()),
            (version, version as usize),
            "{seconds}"
        );
        let view = gerrit.view(&corpus.log, change).unwrap();
        assert_eq!((view.votes.len(), view.patch_sets.len()), (votes, version as usize), "{seconds}");
        let issues: Vec<i32> = gerrit.references(change).map(|issue| issue.number).collect();
        assert_eq!(issues, [version], "{seconds}");
        assert!(gerrit.patch_set(gerrit.change(project, 7).unwrap(), 3).is_none());
        assert_ne!(change.commit, NONE);
    }
}

/// Without `created` it is there since something is said of it; what is gone stays so until a record of then says otherwise.
#[test]
fn an_issue_is_there_by_its_first_record_and_gone_by_its_last() {
    let comment = |id, seconds| vec![comment(id, (Some(seconds), seconds), "hi")];
    let log = [
        GithubIssueMutation { created: at(100), updated: at(100), title: "one".into(), ..issue(1) },
        GithubIssueMutation { updated: at(200), title: "two".into(), ..issue(2) },
        GithubIssueMutation { not_exist: true, ..issue(1) },
        GithubIssueMutation { title: "three".into(), ..issue(3) },
        GithubIssueMutation { comment: comment(1, 300), ..issue(1) },
        GithubIssueMutation { updated: at(400), created: at(150), title: "new two".into(), ..issue(2) },
        GithubIssueMutation { updated: at(400), title: "four".into(), ..issue(4) },
        GithubIssueMutation { comment: comment(2, 250), ..issue(4) },
        // It was moved here, and is older than its number.
        GithubIssueMutation { updated: at(500), title: "five".into(), ..issue(5) },
        GithubIssueMutation { created: at(120), ..issue(5) },
    ]
    .map(of_issue);
    for (seconds, there) in [
        (99, vec![]),
        (100, vec![1]),
        (120, vec![1, 5]),
        (150, vec![1, 2, 5]),
        (199, vec![1, 2, 5]),
        (200, vec![2, 3, 5]),
        (250, vec![2, 3, 4, 5]),
        (300, vec![1, 2, 3, 4, 5]),
        (600, vec![1, 2, 3, 4, 5]),
    ] {
        let corpus = past(&log, seconds);
        let found: Vec<i32> = (1..=5).filter(|number| found(&corpus, *number).is_some()).collect();
        assert_eq!(found, there, "{seconds}");
    }
}

/// A login is that of today, whatever record has it.
#[test]
fn a_name_is_learnt_of_what_is_passed_over() {
    let user = |id, login: &str| Some(GithubUser { id, login: login.into() });
    let by = |id, user| GithubIssueCommentMutation { user, ..comment(id, (Some(900), 900), "hi") };
    let log = [
        GithubIssueMutation { created: at(100), updated: at(100), user: user(1, "ann"), ..issue(1) },
        GithubIssueMutation { comment: vec![by(1, user(1, "anne")), by(2, user(2, "bob"))], ..issue(1) },
        GithubIssueMutation { created: at(800), updated: at(800), user: user(3, "eve"), ..issue(2) },
        // Without anything else.
        GithubIssueMutation { user: user(2, "rob"), ..issue(1) },
    ]
    .map(of_issue);
    for (seconds, author) in [(100, 1), (850, 1), (900, 2)] {
        let corpus = past(&log, seconds);
        let github = &corpus.github;
        let login = |id| github.name(github.users().get(github.user(id).unwrap()).login);
        assert_eq!([login(1), login(2), login(3)], [b"anne", &b"rob"[..], b"eve"], "{seconds}");
        let issue = found(&corpus, 1).unwrap();
        assert_eq!(github.users().get(issue.user).id, author, "{seconds}");
        assert_eq!(github.comments_of(&issue).len(), if seconds < 900 { 0 } else { 2 });
    }
}

/// Where a branch of a project is, by the digit of its commit.
fn branch(corpus: &Corpus, project: &str, name: &str) -> Option<char> {
    let project = corpus.gerrit.project(project.as_bytes()).unwrap();
    let commit = corpus.gerrit.at_ref(project, name.as_bytes())?;
    hex::encode(corpus.gerrit.commits().get(commit).hash).chars().next()
}

const GIT: &str = "git.example.org/plain";

/// What the first project says, in one without notes.
fn plain(mutation: Mutation) -> Mutation {
    let gerrit = GerritMutation { project: GIT.into(), ..mutation.gerrit.unwrap() };
    Mutation { gerrit: Some(gerrit), ..Mutation::default() }
}

#[test]
fn a_ref_is_reset_and_deleted_when_the_log_had_come_to_it() {
    let code = |digit, parents: &'static [char], time| {
        commit(&Said { digit, parents, who: "Ann <a@a>", time, message: "c", files: &[] })
    };
    let note = |digit, parents: &'static [char], time| {
        let message = "Create change\n\nPatch-set: 1\nStatus: new\n";
        commit(&Said { digit, parents, who: "Ann <5@s>", time, message, files: &[] })
    };
    let (main, old, back) = ("refs/heads/main", "refs/heads/old", "refs/heads/back");
    let at = |digit, name: &str| gerrit(vec![], &[(name, &sha(digit))], &[]);
    let told = |commits, digit| gerrit(commits, &[("refs/changes/07/7/meta", &sha(digit))], &[]);
    let commits = || vec![code('1', &[], 100), code('2', &['1'], 200), code('3', &['1'], 400)];
    let gone = || gerrit(vec![], &[], &[old, back]);
    let with_notes = [
        gerrit(commits(), &[(main, &sha('1')), (old, &sha('1')), (back, &sha('1'))], &[]),
        told(vec![note('a', &[], 150)], 'a'),
        at('2', main),
        told(vec![note('b', &['a'], 300)], 'b'),
        // It is reset, then pushed over.
        at('1', main),
        gone(),
        told(vec![note('c', &['b'], 450)], 'c'),
        at('3', main),
        at('1', back),
    ];
    let without = [
        gerrit(commits(), &[(main, &sha('1')), (old, &sha('1')), (back, &sha('1'))], &[]),
        at('2', main),
        // What tells that it is later by then.
        gerrit(vec![code('4', &[], 300)], &[("refs/heads/other", &sha('4'))], &[]),
        at('1', main),
        gone(),
        at('3', main),
        at('1', back),
    ]
    .map(plain);
    for (log, project) in [(&with_notes[..], "go.googlesource.com/go"), (&without[..], GIT)] {
        for (seconds, heads) in [
            (99, [None; 3]),
            (150, [Some('1'); 3]),
            (250, [Some('2'), Some('1'), Some('1')]),
            (299, [Some('2'), Some('1'), Some('1')]),
            (300, [Some('1'), None, None]),
            (500, [Some('3'), None, Some('1')]),
        ] {
            let corpus = past(log, seconds);
            let have = [main, old, back].map(|name| branch(&corpus, project, name));
            assert_eq!(have, heads, "{project} at {seconds}");
        }
    }
}

/// Early moments are behind many pushes, each of which leads there over all that came before it; no chain is walked twice, and
/// one that no git makes, which comes back to itself, is at its end.
#[test]
fn many_pushes_lead_to_one_early_commit() {
    let chain = |nth: usize| format!("{nth:040x}");
    let pushed = |nth: usize, parent: usize, time: i64| {
        let who = format!("A <a@a> {time} +0000");
        let raw =
            format!("tree {}\nparent {}\nauthor {who}\ncommitter {who}\n\nm", "0".repeat(40), chain(parent));
        let new = GitCommit { sha1: chain(nth), raw: raw.into_bytes(), ..GitCommit::default() };
        gerrit(vec![new], &[("refs/heads/main", &chain(nth))], &[])
    };
    let log: Vec<Mutation> = (1..3000).map(|nth| plain(pushed(nth, nth - 1, nth as i64))).collect();
    for at in [1, 7, 2999] {
        let corpus = past(&log, at);
        let project = corpus.gerrit.project(GIT.as_bytes()).unwrap();
        let main = corpus.gerrit.at_ref(project, b"refs/heads/main").unwrap();
        assert_eq!(hex::encode(corpus.gerrit.commits().get(main).hash), chain(at as usize));
    }
    let ring: Vec<Mutation> =
        [(5, 6), (6, 7), (7, 5)].map(|(nth, parent)| plain(pushed(nth, parent, 9))).into();
    assert_eq!(branch(&past(&ring, 8), GIT, "refs/heads/main"), None);
    assert!(branch(&past(&ring, 9), GIT, "refs/heads/main").is_some());
}

/// At the end nothing is later, and the corpus is that of a replay.
#[test]
fn the_end_of_a_log_is_all_of_it() {
    let log = crate::original::change();
    let whole = crate::logs::dumped(&crate::logs::corpus(&log, Rules::Ours, Replay::Parallel));
    assert_eq!(crate::logs::dumped(&past(&log, i64::from(u32::MAX))), whole);
}
