//! The dump's lines of git and Gerrit.

use super::form::{Line, Lines, Rows, escaped};
use crate::column::NONE;
use crate::commit::{Hash, files};
use crate::corpus::Corpus;
use crate::gerrit::votes::{UnknownCommit, Votes, Walk};
use crate::gerrit::{Change, Commit, Gerrit, meta};
use crate::github::Number;
use crate::lines;

pub(super) fn dump(corpus: &Corpus, lines: &mut Lines) {
    let gerrit = &corpus.gerrit;
    for commit in gerrit.commits().iter() {
        dump_commit(corpus, commit, lines);
    }
    for mercurial in gerrit.mercurial().iter() {
        lines.line('H').str(gerrit.name(mercurial.hash)).hash(Some(&mercurial.commit));
    }
    for (number, commits) in (0..gerrit.projects().next()).zip(gerrit.commits_by_project()) {
        dump_project(gerrit, number, &commits, lines);
    }
    for found in gerrit.refs().iter().filter(|found| found.commit != NONE) {
        let mut line = lines.line('F');
        line.str(project(gerrit, found.project))
            .str(gerrit.name(found.name))
            .hash(hash(gerrit, found.commit));
    }
    for change in gerrit.changes().iter() {
        dump_change(corpus, change, lines);
    }
}

fn project(gerrit: &Gerrit, number: Number) -> &[u8] {
    gerrit.name(gerrit.projects().get(number).name)
}

fn hash(gerrit: &Gerrit, number: Number) -> Option<&Hash> {
    (number != NONE).then(|| &gerrit.commits().get(number).hash)
}

fn dump_commit(corpus: &Corpus, commit: &Commit, lines: &mut Lines) {
    let Corpus { log, gerrit, .. } = corpus;
    let mut line = lines.line('K');
    line.hash(Some(&commit.hash));
    if commit.is_place() {
        line.plain('-');
        return;
    }
    let object = gerrit.object(log, commit).unwrap_or_default();
    line.hash(Some(&object.tree));
    line.list(gerrit.parents(commit).map(|parent| hex::encode(gerrit.commits().get(parent).hash)));
    line.str(gerrit.name(commit.author)).plain(object.author.seconds).str(object.author.zone);
    line.str(gerrit.name(commit.committer)).plain(commit.time).str(object.committer.zone);
    line.str(lines::value(object.message, b"Reviewer: ", gerrit.rules())).text(object.message);
    let mut rows: Vec<Vec<u8>> = Vec::new();
    for file in files(log.text(commit.message)).unwrap_or_default() {
        let numbers = format!("\0{}\t{}\t{}\n", file.added, file.deleted, u8::from(file.binary));
        rows.push([file.file, numbers.as_bytes()].concat());
    }
    rows.sort();
    let mut digested = Rows::default();
    rows.iter().for_each(|row| digested.row(row));
    line.plain(digested.text());
}

fn dump_project(gerrit: &Gerrit, number: Number, own_commits: &[Number], lines: &mut Lines) {
    let commits = gerrit.commits();
    let mut own: Vec<&Hash> = Vec::new();
    let mut needed: Vec<&Hash> = Vec::new();
    for commit in own_commits.iter().copied() {
        own.push(&commits.get(commit).hash);
        let missing =
            gerrit.parents(commits.get(commit)).filter(|parent| !gerrit.has_commit(number, *parent));
        needed.extend(missing.map(|parent| &commits.get(parent).hash));
    }
    own.sort_unstable();
    needed.sort_unstable();
    needed.dedup();
    let mut set = Rows::default();
    for hash in own {
        set.row(format!("{}\n", hex::encode(hash)).as_bytes());
    }
    lines.line('P').str(project(gerrit, number)).plain(set.text()).list(needed.into_iter().map(hex::encode));
}

fn dump_change(corpus: &Corpus, change: &Change, lines: &mut Lines) {
    let Corpus { log, gerrit, .. } = corpus;
    let project = escaped(project(gerrit, change.project));
    for patch_set in gerrit.patch_sets(change) {
        let mut line = lines.line('S');
        line.plain(&project)
            .plain(change.number)
            .plain(patch_set.version)
            .hash(hash(gerrit, patch_set.commit));
    }
    if change.meta != NONE {
        lines.line('S').plain(&project).plain(change.number).plain(0).hash(hash(gerrit, change.meta));
    }
    let mut line = lines.line('G');
    line.plain(&project).plain(change.number).bool(change.is_complete()).plain(change.version);
    line.hash(hash(gerrit, change.commit)).hash(hash(gerrit, change.meta));
    if !change.is_complete() {
        return;
    }
    let metas = gerrit.metas(change).unwrap_or_default();
    dump_details(corpus, change, &mut line);
    drop(line);
    dump_metas(corpus, change, &project, &metas, lines);
    let mut index = 0;
    for meta in &metas {
        let Some((version, text)) = meta::message(gerrit.message(log, *meta)) else { continue };
        let commit = gerrit.commits().get(*meta);
        let mut line = lines.line('N');
        line.plain(&project).plain(change.number).plain(index).plain(version).plain(commit.time);
        line.str(gerrit.name(commit.author)).hash(Some(&commit.hash)).text(text);
        index += 1;
    }
}

fn dump_details(corpus: &Corpus, change: &Change, line: &mut Line<'_>) {
    let Corpus { log, gerrit, .. } = corpus;
    let message = gerrit.message(log, change.commit);
    line.plain(change.created)
        .str(change.status().map_or("", meta::Status::text).as_bytes())
        .bool(change.private.is());
    line.str(gerrit.name(change.branch));
    line.str(gerrit.change_id(log, change)).plain(gerrit.owner_id(change).unwrap_or(-1));
    line.str(gerrit.owner(change).unwrap_or_default());
    line.bool(change.wip.is());
    line.list(gerrit.references(change).map(|reference| {
        let text = [gerrit.name(reference.owner), b"/", gerrit.name(reference.repo)].concat();
        format!("{}#{}", escaped(&text), reference.number)
    }));
    let subject = memchr::memmem::find(message, b"\n\n").map_or(message, |end| &message[..end]);
    let subject: Vec<u8> = subject.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
    line.text(&subject);
}

fn dump_metas(corpus: &Corpus, change: &Change, project: &str, metas: &[Number], lines: &mut Lines) {
    let Corpus { log, gerrit, .. } = corpus;
    let rules = gerrit.rules();
    let mut walk = Ok(Walk::new(gerrit, log, change.project));
    let mut hashtags = &b""[..];
    for (index, meta) in metas.iter().enumerate() {
        let message = gerrit.message(log, *meta);
        hashtags = meta::hashtags(message, rules).unwrap_or(hashtags);
        let (added, removed) = meta::hashtag_edits(message, rules);
        // From the first commit on whose votes can't be told, none can.
        walk = walk.and_then(|mut walk| walk.take(*meta).map(|()| walk));
        let mut line = lines.line('Q');
        line.plain(project).plain(change.number).plain(index).hash(hash(gerrit, *meta));
        line.str(meta::action_tag(message, rules)).str(hashtags).str(added).str(removed);
        votes(walk.as_ref().map(Walk::votes), &mut line);
    }
}

fn votes(votes: Result<&Votes<'_>, &UnknownCommit>, line: &mut Line<'_>) {
    let Ok(votes) = votes else {
        line.plain('!');
        return;
    };
    let mut all: Vec<String> = Vec::new();
    for (label, votes) in votes {
        all.extend(votes.iter().map(|(whose, vote)| format!("{}={}={vote}", escaped(label), escaped(whose))));
    }
    all.sort();
    line.list(all);
}
