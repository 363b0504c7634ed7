//! The questions that the original's clients ask of a corpus, by the rules of spec/maintner.md §3.

use maintner::corpus::{Corpus, Replay};
use maintner::gerrit::{Change, Inconsistent, NoCommit};
use maintner::rules::Rules;
use maintner::time::Time;
use maintpb::{
    GitMutation, GithubIssueCommentMutation, GithubIssueEvent, GithubIssueMutation, GithubLabel,
    GithubMilestone, GithubMutation, GithubReview, Mutation,
};

use crate::logs::{Said, at, commit, gerrit, issue, of_github, of_issue, sha};
use crate::original::change;

fn corpus(mutations: &[Mutation], rules: Rules) -> Corpus {
    crate::logs::corpus(mutations, rules, Replay::OneThread)
}

fn label(id: i64, name: &str) -> GithubLabel {
    GithubLabel { id, name: name.into() }
}

fn event(id: i64, kind: &str, time: i64) -> GithubIssueEvent {
    GithubIssueEvent { id, event_type: kind.into(), created: at(time), ..GithubIssueEvent::default() }
}

fn of_repo(owner: &str, repo: &str, number: i32) -> Mutation {
    of_issue(GithubIssueMutation { owner: owner.into(), repo: repo.into(), ..issue(number) })
}

#[test]
fn an_issue_was_modified_when_the_last_of_all_was() {
    let time = |log: &[Mutation], rules| {
        let corpus = corpus(log, rules);
        corpus.github.issues().get(0).last_modified()
    };
    let mut log = vec![of_issue(issue(3))];
    assert_eq!(time(&log, Rules::Ours), Time::NONE);
    let steps = [
        (GithubIssueMutation { updated: at(10), ..issue(3) }, 10, 10),
        (GithubIssueMutation { event: vec![event(1, "closed", 12)], ..issue(3) }, 12, 12),
        (GithubIssueMutation { event: vec![event(2, "reopened", 5)], ..issue(3) }, 12, 12),
        (
            GithubIssueMutation {
                review: vec![GithubReview { id: 7, created: at(15), ..GithubReview::default() }],
                ..issue(3)
            },
            15,
            15,
        ),
        // Comments are only told of by our rules.
        (
            GithubIssueMutation {
                comment: vec![GithubIssueCommentMutation {
                    id: 8,
                    updated: at(20),
                    ..GithubIssueCommentMutation::default()
                }],
                ..issue(3)
            },
            20,
            15,
        ),
        (GithubIssueMutation { updated: at(30), ..issue(3) }, 30, 30),
    ];
    for (step, ours, original) in steps {
        log.push(of_issue(step));
        assert_eq!(time(&log, Rules::Ours), Time::from_seconds(ours));
        assert_eq!(time(&log, Rules::Original), Time::from_seconds(original));
    }
}

#[test]
fn events_and_labels_are_asked_for_by_their_very_letters() {
    let corpus = corpus(
        &[
            of_issue(GithubIssueMutation {
                event: vec![event(1, "labeled", 1), event(2, "closed", 2)],
                add_label: vec![label(5, "NeedsFix"), label(6, "help wanted")],
                ..issue(3)
            }),
            of_issue(GithubIssueMutation {
                event: vec![event(3, "reopened", 3)],
                add_label: vec![label(7, "Soon")],
                ..issue(4)
            }),
            // A label of the same name in another repo is another one.
            of_issue(GithubIssueMutation {
                owner: "a".into(),
                repo: "b".into(),
                add_label: vec![label(5, "Other")],
                ..issue(3)
            }),
            of_issue(GithubIssueMutation { remove_label: vec![6], ..issue(3) }),
        ],
        Rules::Ours,
    );
    let github = &corpus.github;
    let three = github.issues().get(0);
    for (kind, has) in
        [("closed", true), ("labeled", true), ("reopened", false), ("Closed", false), ("", false)]
    {
        assert_eq!(github.has_event_of(three, kind.as_bytes()), has, "{kind}");
    }
    for (name, has) in [
        ("NeedsFix", true),
        ("needsfix", false),
        ("help wanted", false),
        ("Soon", false),
        ("Other", false),
        ("", false),
    ] {
        assert_eq!(github.has_label(three, name.as_bytes()), has, "{name}");
    }
    assert!(
        github.has_label_id(three, 5) && !github.has_label_id(three, 6) && !github.has_label_id(three, 7)
    );
}

#[test]
fn lists_are_in_order_and_a_repo_that_was_only_named_is_in_none() {
    let milestone = GithubMilestone { id: 9, title: "Go1".into(), ..GithubMilestone::default() };
    let named = Said {
        digit: 'a',
        parents: &[],
        who: "A <a@a>",
        time: 1,
        message: "subject\n\nUpdates zz/named#4 and b/a#1\n",
        files: &[],
    };
    let corpus = corpus(
        &[
            of_repo("b", "a", 7),
            of_repo("b", "a", 2),
            of_issue(GithubIssueMutation {
                owner: "b".into(),
                repo: "a".into(),
                not_exist: true,
                ..issue(3)
            }),
            of_repo("a", "z", 1),
            of_repo("a", "B", 1),
            of_github(GithubMutation {
                owner: "b".into(),
                repo: "a".into(),
                labels: vec![label(1, "x")],
                milestones: vec![milestone.clone()],
            }),
            of_github(GithubMutation {
                owner: "b".into(),
                repo: "empty".into(),
                ..GithubMutation::default()
            }),
            of_issue(GithubIssueMutation {
                owner: "b".into(),
                repo: "a".into(),
                milestone_id: 9,
                ..issue(2)
            }),
            of_issue(GithubIssueMutation {
                owner: "b".into(),
                repo: "a".into(),
                no_milestone: true,
                ..issue(7)
            }),
            gerrit(vec![commit(&named)], &[("refs/changes/07/107/1", &sha('a'))], &[]),
        ],
        Rules::Ours,
    );
    let github = &corpus.github;
    assert!(github.repo(b"zz", b"named").is_some() && github.repo(b"b", b"empty").is_some());
    let listed: Vec<(&[u8], &[u8])> = github
        .listed_repos()
        .into_iter()
        .map(|repo| (github.name(github.repos().get(repo).owner), github.name(github.repos().get(repo).name)))
        .collect();
    assert_eq!(listed, [(&b"a"[..], &b"B"[..]), (b"a", b"z"), (b"b", b"a")]);
    let repo = github.repo(b"b", b"a").unwrap();
    let numbers: Vec<i32> = github.issues_of(repo).iter().map(|issue| issue.number).collect();
    assert_eq!(numbers, [2, 3, 7]);
    let milestones: Vec<_> =
        github.issues_of(repo).iter().map(|issue| github.milestone_of(issue).map(|found| found.id)).collect();
    assert_eq!(milestones, [Some(9), None, None]);
    let other = github.repo(b"a", b"z").unwrap();
    let counts = |repo| (github.labels_in(repo).count(), github.milestones_in(repo).count());
    assert_eq!((counts(repo), counts(other)), ((1, 1), (0, 0)));
}

/// A change of some status and privacy, with a patch set for each message. Its commits are of these digits, meta first.
fn a_change(number: i32, meta: &str, digits: &[char], messages: &[&str]) -> Vec<Mutation> {
    let said = |digit: char, who, message| Said { digit, parents: &[], who, time: 1, message, files: &[] };
    let of = |name: &str| format!("refs/changes/07/{number}/{name}");
    let mut all =
        vec![gerrit(vec![commit(&said(digits[0], "A <1@u>", meta))], &[(&of("meta"), &sha(digits[0]))], &[])];
    for ((digit, message), version) in digits[1..].iter().zip(messages).zip(1..) {
        let commits = vec![commit(&said(*digit, "Ann <ann@x>", message))];
        all.push(gerrit(commits, &[(&of(&version.to_string()), &sha(*digit))], &[]));
    }
    all
}

fn numbers<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<i32> {
    changes.into_iter().map(|change| change.number).collect()
}

#[test]
fn open_changes_are_whole_new_and_never_were_private() {
    let open = "c\n\nPatch-set: 1\nStatus: new\n";
    let mut log = a_change(9, open, &['1', '2'], &["m"]);
    log.extend(a_change(5, open, &['3', '4'], &["m"]));
    log.extend(a_change(6, "c\n\nPatch-set: 1\nStatus: merged\n", &['5', '6'], &["m"]));
    log.extend(a_change(7, "c\n\nPatch-set: 1\nStatus: new\nPrivate: true\n", &['7', '8'], &["m"]));
    // No patch set, and no meta ref.
    log.extend(a_change(8, open, &['9'], &[]));
    log.push(gerrit(vec![], &[("refs/changes/01/101/1", &sha('2'))], &[]));
    let corpus = corpus(&log, Rules::Ours);
    let gerrit = &corpus.gerrit;
    let project = gerrit.project_at("https://go-review.googlesource.com", "go").unwrap();
    assert_eq!(numbers(gerrit.open_changes(project)), [5, 9]);
    let mut whole = numbers(gerrit.changes_of(project));
    whole.sort_unstable();
    assert_eq!(whole, [5, 6, 7, 9]);
    assert!(gerrit.shown_change(project, 7).is_some());
    assert!(gerrit.shown_change(project, 8).is_none() && gerrit.change(project, 8).is_some());
    assert!(gerrit.shown_change(project, 101).is_none());
}

#[test]
fn changes_that_name_an_issue_are_those_that_do_so_now() {
    let meta = "c\n\nPatch-set: 1\nStatus: new\n";
    let mut log = vec![of_issue(issue(5)), of_issue(issue(6)), of_repo("Other", "Repo", 5)];
    log.extend(a_change(9, meta, &['1', '2', '3'], &["s\n\nFixes #5\n", "s\n\nFixes #6\n"]));
    log.extend(a_change(4, meta, &['4', '5'], &["s\n\nFixes #6, updates other/repo#5\n"]));
    log.extend(a_change(8, meta, &['6', '7'], &["s\n\nno issue\n"]));
    // Not whole, so that nobody is shown it.
    log.push(gerrit(vec![], &[("refs/changes/01/101/1", &sha('3'))], &[]));
    let before = corpus(&log[..5], Rules::Ours);
    assert_eq!(numbers(before.changes_referring(before.github.issues().get(0))), [9]);
    let corpus = corpus(&log, Rules::Ours);
    let of = |issue| numbers(corpus.changes_referring(corpus.github.issues().get(issue)));
    assert_eq!((of(0), of(1), of(2)), (vec![], vec![4, 9], vec![4]));
    let project = corpus.gerrit.project(b"go.googlesource.com/go").unwrap();
    let nine = corpus.gerrit.shown_change(project, 9).unwrap();
    assert!(corpus.gerrit.refers_to(nine, b"golang", b"go", 6));
    assert!(!corpus.gerrit.refers_to(nine, b"golang", b"go", 5));
    assert!(!corpus.gerrit.refers_to(nine, b"golang", b"net", 6));
    assert!(corpus.gerrit.changes_referring(b"nobody", b"none", 6).is_empty());
}

#[test]
fn a_change_and_its_commits_say_what_the_original_says() {
    let message = format!("net:  fix\n\nText.\nFoo: bar\nChange-Id: I{}\nFoo: other\n", "0".repeat(40));
    let mut log = a_change(9, "c\n\nPatch-set: 1\nStatus: new\n", &['1', '2', '3'], &["first\n", &message]);
    log.extend(a_change(4, "c\n\nPatch-set: 1\n", &['4', '5'], &["\n  \nChange-Id: I12\nxFoo: no\n"]));
    let corpus = corpus(&log, Rules::Ours);
    let (log, gerrit) = (&corpus.log, &corpus.gerrit);
    let project = gerrit.project(b"go.googlesource.com/go").unwrap();
    let number = gerrit.change(project, 9).unwrap();
    let (nine, four) = (gerrit.changes().get(number), gerrit.shown_change(project, 4).unwrap());
    assert_eq!(gerrit.summary(log, nine.commit), b"net:  fix");
    assert_eq!(gerrit.summary(log, four.commit), b"");
    // The first one counts, wherever it is in the message.
    assert_eq!(
        (gerrit.footer(log, nine.commit, b"Foo:"), gerrit.footer(log, nine.commit, b"Foo")),
        (&b"bar"[..], &b"bar"[..])
    );
    assert_eq!(gerrit.footer(log, nine.commit, b"foo:"), b"");
    assert_eq!(gerrit.footer(log, four.commit, b"Foo:"), b"");
    assert_eq!(gerrit.change_id(log, nine), format!("I{}", "0".repeat(40)).as_bytes());
    assert_eq!(gerrit.change_id(log, four), b"");
    assert_eq!((gerrit.owner_id(nine), gerrit.owner(nine)), (Some(1), Some(&b"Ann <ann@x>"[..])));
    let at =
        |version| gerrit.commit_at_version(number, version).map(|found| gerrit.commits().get(found).hash[0]);
    assert_eq!((at(0), at(1), at(2), at(3), at(-1)), (None, Some(0x22), Some(0x33), None, None));
    assert_eq!(
        gerrit.commit_in(project, &sha('2')).map(|found| gerrit.commits().get(found).hash[0]),
        Ok(0x22)
    );
    assert_eq!(gerrit.commit_in(project, "12"), Err(NoCommit::Length(2)));
    assert_eq!(gerrit.commit_in(project, &sha('g')), Err(NoCommit::Digits(sha('g'))));
    let unknown = gerrit.commit_in(project, &sha('e')).unwrap_err().to_string();
    assert_eq!(unknown, format!("the project go.googlesource.com/go has no commit {}", sha('e')));
}

/// The worked example of §4.4.
#[test]
fn the_odd_change_answers_by_the_rules_of_each() {
    let (ours, original) = (corpus(&change(), Rules::Ours), corpus(&change(), Rules::Original));
    for (corpus, version, issues) in [(&ours, 10, vec![]), (&original, 9, vec![107])] {
        let (log, gerrit) = (&corpus.log, &corpus.gerrit);
        let project = gerrit.project(b"go.googlesource.com/go").unwrap();
        let number = gerrit.change(project, 107).unwrap();
        let change = gerrit.changes().get(number);
        assert_eq!(change.version, version);
        // The highest that can be had is the one that counts as current.
        let tenth = gerrit.commit_at_version(number, 10);
        assert_eq!((tenth.is_some(), gerrit.commit_at_version(number, 9).is_some()), (version == 10, true));
        assert_eq!(numbers(gerrit.changes_referring(b"golang", b"go", 5)), issues);
        assert_eq!((gerrit.owner_id(change), gerrit.owner(change)), (Some(1), None));
        assert!(gerrit.open_changes(project).is_empty(), "it was private");
        let metas = gerrit.metas(change).unwrap();
        let hashtags = |meta| gerrit.hashtags(log, meta);
        assert_eq!((hashtags(metas[0]).0, hashtags(metas[1]).0), (&b""[..], &b"x, y"[..]));
        assert!(hashtags(metas[1]).contains(b"y") && !hashtags(metas[1]).contains(b" y"));
        let refs = gerrit.refs_of(project);
        assert_eq!(refs, [(&b"refs/changes/07/107/robot-comments"[..], change.meta)]);
        corpus.check().unwrap();
        // Files count, and how much of them.
        let [a, b, c, d] = ['a', 'b', 'c', 'd'].map(|digit| gerrit.commit_in(project, &sha(digit)).unwrap());
        assert!(!gerrit.same_diff_stat(log, a, b) && gerrit.same_diff_stat(log, b, b));
        assert!(gerrit.same_diff_stat(log, c, d) && !gerrit.same_diff_stat(log, b, c));
    }
}

#[test]
fn what_is_missing_is_named() {
    let all = change();
    // The second commit without the first: the project needs it.
    let why = corpus(&all[1..2], Rules::Ours).check().unwrap_err();
    let project = "go.googlesource.com/go".to_owned();
    assert_eq!(why, Inconsistent::Needed { project, commit: sha('b'), parent: sha('a') });
    // One that is of no project has nobody who needs its parent, and its place is there.
    let said = Said { digit: 'b', parents: &['a'], who: "A <a@a>", time: 1, message: "m", files: &[] };
    let of_none = Mutation {
        git: Some(GitMutation { commit: Some(commit(&said)), ..GitMutation::default() }),
        ..Mutation::default()
    };
    let mut log = vec![of_none];
    assert_eq!(corpus(&log, Rules::Ours).check(), Err(Inconsistent::Place(sha('a'))));
    log.push(all[0].clone());
    assert_eq!(corpus(&log, Rules::Ours).check(), Ok(()));
}
