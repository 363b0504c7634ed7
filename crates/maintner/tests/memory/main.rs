//! How often memory is asked for while a log is loaded. In a program of its own, since every allocation of it is counted.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

mod counted;
#[path = "../it/logs.rs"]
#[allow(dead_code, reason = "the other program's, which uses all of it")]
mod logs;

use maintner::corpus::{Corpus, Replay};
use maintner::log::Log;
use maintner::rules::Rules;
use maintpb::{
    GithubIssueCommentMutation, GithubIssueEvent, GithubIssueMutation, GithubLabel, GithubUser, Mutation,
};

use logs::{Said, at, commit, gerrit, issue, of_issue};

/// Issues, each with three records, and as many changes, each with four.
const EACH: i32 = 12_000;
/// Records for each time that memory is asked for.
const RECORDS: usize = 100;

fn records() -> Vec<Mutation> {
    let mut all = Vec::new();
    for number in 1..=EACH {
        let id = i64::from(number);
        let user = Some(GithubUser { id: id % 500 + 1, login: format!("user{}", id % 500) });
        let label = GithubLabel { id: id % 20 + 1, name: format!("label{}", id % 20) };
        all.push(of_issue(GithubIssueMutation {
            user: user.clone(),
            created: at(id),
            title: format!("issue {number}"),
            add_label: vec![label],
            ..issue(number)
        }));
        let body = format!("what I have to say of issue {number}");
        let comment = GithubIssueCommentMutation { id, user, body, created: at(id), updated: at(id) };
        all.push(of_issue(GithubIssueMutation { comment: vec![comment], ..issue(number) }));
        let event = GithubIssueEvent {
            id,
            event_type: "closed".into(),
            actor_id: id % 500 + 1,
            ..GithubIssueEvent::default()
        };
        all.push(of_issue(GithubIssueMutation { event: vec![event], ..issue(number) }));
        all.extend(change(number));
    }
    all
}

fn change(number: i32) -> [Mutation; 4] {
    let sha = |kind: i32| format!("{:040x}", i64::from(number) * 4 + i64::from(kind));
    let made = |kind: i32, who: &str, message: &str| {
        let said = Said {
            digit: '0',
            parents: &[],
            who,
            time: i64::from(number),
            message,
            files: &[("a.go", 1, 2, false)],
        };
        maintpb::GitCommit { sha1: sha(kind), ..commit(&said) }
    };
    let meta =
        "Create change\n\nUploaded patch set 1.\n\nPatch-set: 1\nStatus: new\nBranch: refs/heads/master\n";
    let message = format!("subject {number}\n\nFixes #{number}, updates some/repo#1\n");
    let name = |kind| format!("refs/changes/{:02}/{number}/{kind}", number % 100);
    [
        gerrit(vec![made(1, "Ann <ann@x>", &message)], &[], &[]),
        gerrit(vec![made(2, "A <1@u>", meta)], &[], &[]),
        gerrit(vec![], &[(&name("1"), &sha(1))], &[]),
        gerrit(vec![], &[(&name("meta"), &sha(2))], &[]),
    ]
}

#[test]
fn a_log_is_loaded_with_next_to_no_allocations() {
    let folder = tempfile::tempdir().unwrap();
    let records = records();
    logs::write(folder.path(), &records);
    let log = Log::open(folder.path()).unwrap();
    let before = counted::times();
    let corpus = Corpus::load(log, Rules::Ours, Replay::OneThread).unwrap();
    let times = counted::times() - before;
    assert_eq!((corpus.github.comments().len(), corpus.gerrit.changes().len()), (12_000, 12_000));
    assert!(corpus.gerrit.changes().iter().all(maintner::gerrit::Change::is_complete));
    assert!(times <= records.len() / RECORDS, "{times} allocations for {} records", records.len());
}
