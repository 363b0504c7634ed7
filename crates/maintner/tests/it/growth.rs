//! A log that grows: whatever the pieces in which it comes, its corpus is that of the whole.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use maintner::corpus::{Corpus, Replay};
use maintner::live::Sink as _;
use maintner::log::{Log, LogError};
use maintner::rules::Rules;
use maintpb::{GitCommit, GithubIssueCommentMutation, GithubIssueMutation, Mutation};
use proptest::prelude::*;

use crate::cases::cases;
use crate::logs::{Said, at, bytes, commit, dumped, gerrit, issue, of_issue, sha, write};
use crate::original::change;
use crate::sink::Folder;

/// The corpus of a log that is read up to each of these records, and then to its end.
fn in_pieces(mutations: &[Mutation], pieces: &[usize], rules: Rules) -> Corpus {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[]);
    let mut corpus = Corpus::load(Log::open(folder.path()).unwrap(), rules, Replay::OneThread).unwrap();
    for end in pieces.iter().copied().chain([mutations.len()]) {
        write(folder.path(), &mutations[..end]);
        corpus = corpus.advance(corpus.log.grown(folder.path(), u64::MAX).unwrap()).unwrap();
        assert_eq!(corpus.records, end as u64);
    }
    corpus
}

fn whole(mutations: &[Mutation], rules: Rules) -> Corpus {
    crate::logs::corpus(mutations, rules, Replay::Parallel)
}

/// One of few things that may happen in a project, so that they meet often: commits come before or after those that name
/// them, or with other bytes, and refs move anywhere.
pub fn happening() -> impl Strategy<Value = Mutation> {
    let digit = || prop::sample::select(vec!['a', 'b', 'c', 'd', 'e']);
    let message = prop::sample::select(vec![
        "Update\n\nPatch Set 1: hi\n\nPatch-set: 1\nStatus: merged\nLabel: Code-Review=+2\n",
        "Update\n\nPatch-set: 1\nBranch: refs/heads/dev\nPrivate: true\nStatus: new\n",
        "Update\n\nPatch-set: 2\nWork-in-progress: true\nPrivate: false\n",
        "subject\n\nFixes #7, other/repo#8\n",
        "Create\n\nPatch-set: 1\nHashtags: a, b\n",
    ]);
    let commits = (digit(), prop::collection::vec(digit(), 0..3), message, 1..4i64).prop_map(
        |(digit, mut parents, message, time)| {
            // A commit's name is made of its parents' names: none is its own ancestor.
            parents.retain(|parent| *parent < digit);
            let who = "A <1@u>";
            let said = Said { digit, parents: &parents, who, time, message, files: &[] };
            gerrit(vec![commit(&said)], &[], &[])
        },
    );
    let name = prop::sample::select(vec![
        "refs/changes/07/107/meta",
        "refs/changes/07/107/1",
        "refs/changes/07/107/2",
        "refs/changes/08/108/meta",
        "refs/changes/08/108/1",
        "refs/heads/master",
    ]);
    let refs = (name, digit()).prop_map(|(name, digit)| gerrit(vec![], &[(name, &sha(digit))], &[]));
    let issues = (6..9i32, any::<bool>(), 0..4i64).prop_map(|(number, not_exist, time)| {
        let created = at(time).filter(|_| time > 0);
        of_issue(GithubIssueMutation { not_exist, created, title: format!("t{time}"), ..issue(number) })
    });
    prop_oneof![4 => commits, 4 => refs, 1 => issues, 1 => Just(gerrit(vec![], &[], &["refs/heads/master"]))]
}

proptest! {
    #![proptest_config(cases(60))]
    #[test]
    fn the_pieces_in_which_a_log_comes_change_nothing(
        mutations in prop::collection::vec(happening(), 1..40),
        ends in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut pieces: Vec<usize> = ends.iter().map(|end| end.index(mutations.len() + 1)).collect();
        pieces.sort_unstable();
        for rules in [Rules::Ours, Rules::Original] {
            let (want, have) = (whole(&mutations, rules), in_pieces(&mutations, &pieces, rules));
            prop_assert_eq!(dumped(&have), dumped(&want));
        }
    }
}

#[test]
fn each_record_alone_makes_the_same() {
    let log = change();
    let pieces: Vec<usize> = (0..log.len()).collect();
    assert_eq!(dumped(&in_pieces(&log, &pieces, Rules::Ours)), dumped(&whole(&log, Rules::Ours)));
}

/// What is bad in the tail leaves the version before it as it was.
#[test]
fn a_bad_tail_is_told_and_nothing_of_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maintner-2017-07-01.mutlog");
    let mut log = bytes(&change());
    std::fs::write(&path, &log).unwrap();
    let corpus = Corpus::load(Log::open(folder.path()).unwrap(), Rules::Ours, Replay::OneThread).unwrap();
    let before = dumped(&corpus);
    let new = of_issue(GithubIssueMutation { title: "new".into(), ..issue(77) });
    let payload = prost::Message::encode_to_vec(&new);
    log.extend(maintner::reclog::header(log.len() as u64, payload.len()).into_bytes());
    log.extend(payload);
    log.extend(b"REC@0+0=");
    std::fs::write(folder.path().join("next"), &log).unwrap();
    std::fs::rename(folder.path().join("next"), &path).unwrap();
    let grown = corpus.log.grown(folder.path(), u64::MAX).unwrap();
    assert!(matches!(corpus.advance(grown), Err(LogError::Broken { .. })));
    assert_eq!(dumped(&corpus), before);
    // Up to where it is good, it is taken.
    let until = log.len() as u64 - 8;
    let next = corpus.advance(corpus.log.grown(folder.path(), until).unwrap()).unwrap();
    assert_eq!((next.records, next.log.len()), (corpus.records + 1, until));
    assert!(next.github.repo(b"golang", b"go").and_then(|repo| next.github.issue(repo, 77)).is_some());
}

#[test]
fn a_log_that_became_shorter_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &change());
    let log = Log::open(folder.path()).unwrap();
    std::fs::remove_file(folder.path().join("maintner-2017-07-01.mutlog")).unwrap();
    write(folder.path(), &change()[..1]);
    let said = log.grown(folder.path(), u64::MAX).unwrap_err().to_string();
    assert!(said.contains("the log has other bytes now"), "{said}");
}

#[tokio::test]
async fn what_is_added_is_in_the_version_that_is_given_and_in_the_log() {
    let folder = Folder::new();
    let empty = folder.corpus();
    for mutations in change().chunks(2) {
        let version = folder.add(mutations.to_vec()).await.unwrap();
        assert_eq!(dumped(&version), dumped(&folder.corpus()));
    }
    assert_eq!((empty.records, folder.corpus().records), (0, change().len() as u64));
    assert_eq!(dumped(&folder.corpus()), dumped(&folder.replayed()));
}

/// The nth of mutations of which each makes an issue, a comment of it, and a commit on top of the one before; and says in the first
/// issue how many there are.
fn nth_of_all(nth: i32) -> Vec<Mutation> {
    let hash = |number: i32| format!("{number:040x}");
    let parent = if nth > 1 { format!("parent {}\n", hash(nth - 1)) } else { String::new() };
    let raw =
        format!("tree {}\n{parent}author A <a@a> 1 +0000\ncommitter A <a@a> 1 +0000\n\nsubject\n", hash(0));
    let commit = GitCommit { sha1: hash(nth), raw: raw.into_bytes(), ..GitCommit::default() };
    let comment = GithubIssueCommentMutation {
        id: i64::from(nth),
        body: format!("{nth}"),
        ..GithubIssueCommentMutation::default()
    };
    let mut one = gerrit(vec![commit], &[("refs/heads/master", &hash(nth))], &[]);
    one.github_issue = Some(GithubIssueMutation { comment: vec![comment], ..issue(nth) });
    vec![one, of_issue(GithubIssueMutation { title: format!("{nth}"), ..issue(1) })]
}

/// What a version says of itself fits together, whatever is being written meanwhile. Says how many there are.
fn assert_one_version(corpus: &Corpus) -> usize {
    let (github, records) = (&corpus.github, usize::try_from(corpus.records).unwrap());
    let many = records / 2;
    assert_eq!(
        (records % 2, github.issues().len(), github.comments().len(), corpus.gerrit.commits().len()),
        (0, many, many, many)
    );
    if many == 0 {
        return 0;
    }
    let newest = i32::try_from(many).unwrap();
    let repo = github.repo(b"golang", b"go").unwrap();
    let title = github.issues().get(github.issue(repo, 1).unwrap()).title;
    assert_eq!(corpus.log.text(title), newest.to_string().as_bytes());
    let project = corpus.gerrit.project(b"go.googlesource.com/go").unwrap();
    let mut at = corpus.gerrit.at_ref(project, b"refs/heads/master").unwrap();
    for number in (1..=newest).rev() {
        let issue = github.issues().get(github.issue(repo, number).unwrap());
        let [comment] = github.comments_of(issue)[..] else { panic!("not one comment of issue {number}") };
        assert_eq!(corpus.log.text(comment.body), number.to_string().as_bytes());
        let commit = corpus.gerrit.commits().get(at);
        assert_eq!(hex::encode(commit.hash), format!("{number:040x}"));
        at = corpus.gerrit.parents(commit).next().unwrap_or(at);
    }
    many
}

#[test]
fn who_reads_sees_one_whole_version_while_the_next_are_made() {
    const VERSIONS: i32 = 1000;
    let folder = Folder::new();
    let (seen, written) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut last, mut distinct, mut kept) = (0, 0, Vec::new());
            loop {
                let ends = written.load(Ordering::Acquire);
                let version = folder.corpus();
                let many = assert_one_version(&version);
                assert!(many >= last, "{many} after {last}");
                if many > last {
                    distinct += 1;
                    seen.store(distinct, Ordering::Release);
                    if distinct % 8 == 1 {
                        kept.push((many, version));
                    }
                }
                last = many;
                if ends {
                    break;
                }
            }
            assert_eq!(last, VERSIONS as usize);
            // Those that were kept are as they were.
            assert!(
                kept.len() > 1 && kept.iter().all(|(many, version)| assert_one_version(version) == *many)
            );
        });
        // Ends the reader in any case.
        let _ends = Ends(&written);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for nth in 1..=VERSIONS {
            runtime.block_on(folder.add(nth_of_all(nth))).unwrap();
            // However few the processors are, it reads now and then.
            if nth % 50 == 0 {
                let wanted = usize::try_from(nth / 50).unwrap();
                let limit = Instant::now() + Duration::from_secs(60);
                while seen.load(Ordering::Acquire) < wanted && Instant::now() < limit && !reader.is_finished()
                {
                    std::thread::yield_now();
                }
                assert!(seen.load(Ordering::Acquire) >= wanted, "nobody reads");
            }
        }
    });
    assert_eq!(dumped(&folder.corpus()), dumped(&folder.replayed()));
}

/// Says that there is an end when it is dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
