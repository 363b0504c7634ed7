//! Logs for tests.

use std::path::Path;

use maintner::corpus::{Corpus, Replay};
use maintner::dump::Dump;
use maintner::log::Log;
use maintner::reclog;
use maintner::rules::Rules;
use maintpb::{
    GerritMutation, GitCommit, GitDiffTree, GitDiffTreeFile, GitRef, GithubIssueMutation, GithubMutation,
    Mutation, Timestamp,
};
use prost::Message;

pub fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

/// Of golang/go.
pub fn issue(number: i32) -> GithubIssueMutation {
    GithubIssueMutation {
        owner: "golang".into(),
        repo: "go".into(),
        number,
        ..GithubIssueMutation::default()
    }
}

pub fn of_issue(issue: GithubIssueMutation) -> Mutation {
    Mutation { github_issue: Some(issue), ..Mutation::default() }
}

pub fn of_github(github: GithubMutation) -> Mutation {
    Mutation { github: Some(github), ..Mutation::default() }
}

/// Of go.googlesource.com/go.
pub fn gerrit(commits: Vec<GitCommit>, refs: &[(&str, &str)], deleted: &[&str]) -> Mutation {
    let refs =
        refs.iter().map(|(name, sha1)| GitRef { r#ref: (*name).into(), sha1: (*sha1).into() }).collect();
    let gerrit = GerritMutation {
        project: "go.googlesource.com/go".into(),
        commits,
        refs,
        deleted_refs: deleted.iter().map(|name| (*name).into()).collect(),
    };
    Mutation { gerrit: Some(gerrit), ..Mutation::default() }
}

/// A hash of one digit.
pub fn sha(digit: char) -> String {
    digit.to_string().repeat(40)
}

pub struct Said<'a> {
    pub digit: char,
    pub parents: &'a [char],
    pub who: &'a str,
    pub time: i64,
    pub message: &'a str,
    pub files: &'a [(&'a str, i64, i64, bool)],
}

pub fn commit(said: &Said<'_>) -> GitCommit {
    let parents: String = said.parents.iter().map(|digit| format!("parent {}\n", sha(*digit))).collect();
    let raw = format!(
        "tree {}1\n{parents}author {who} {time} -0800\ncommitter G <g@g> {time} +0000\n\n{}",
        "0".repeat(39),
        said.message,
        who = said.who,
        time = said.time,
    );
    let file = said
        .files
        .iter()
        .map(|(file, added, deleted, binary)| GitDiffTreeFile {
            file: (*file).into(),
            added: *added,
            deleted: *deleted,
            binary: *binary,
        })
        .collect();
    GitCommit {
        sha1: sha(said.digit),
        raw: raw.into_bytes(),
        diff_tree: Some(GitDiffTree { file }),
        ..GitCommit::default()
    }
}

pub fn bytes(mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mutation in mutations {
        let payload = mutation.encode_to_vec();
        bytes.extend(reclog::header(bytes.len() as u64, payload.len()).into_bytes());
        bytes.extend(payload);
    }
    bytes
}

pub fn write(folder: &Path, mutations: &[Mutation]) {
    std::fs::write(folder.join("maintner-2017-07-01.mutlog"), bytes(mutations)).unwrap();
}

/// The corpus of a log in a folder that is gone already: what is mapped stays.
pub fn corpus(mutations: &[Mutation], rules: Rules, replay: Replay) -> Corpus {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), mutations);
    Corpus::load(Log::open(folder.path()).unwrap(), rules, replay).unwrap()
}

pub fn dumped(corpus: &Corpus) -> (String, String) {
    let dump = Dump::of(corpus);
    let mut text = Vec::new();
    dump.write(&mut text).unwrap();
    (String::from_utf8(text).unwrap(), dump.digest())
}

/// The dump of a log by these rules, and that both ways of replaying it agree.
pub fn dump(mutations: &[Mutation], rules: Rules) -> String {
    let (text, digest) = dumped(&corpus(mutations, rules, Replay::Parallel));
    let (other, other_digest) = dumped(&corpus(mutations, rules, Replay::OneThread));
    assert_eq!(text, other);
    assert_eq!(digest, other_digest);
    text
}
