//! All that there is to say of a change, read from the commits of its meta ref when it is asked for, as Gerrit itself reads them.
//!
//! The rules are those of Gerrit 3.10, found by comparing with its REST API, and not those of the original, which knows less:
//! its own are in [`meta`] and [`votes`], and in [`Change`]. So `private` is what
//! it is now, where [`Change::private`] says whether it ever was; a message is whatever a person or
//! program wrote, uploads too.

use std::collections::{BTreeMap, BTreeSet};

use maintpb::GerritComment;
use prost::Message as _;
use thiserror::Error;

use super::votes::{self, Line};
use super::{Change, Gerrit, Status, meta};
use crate::column::NONE;
use crate::commit::{Hash, email, hash};
use crate::github::Number;
use crate::lines::trim;
use crate::log::Log;
use crate::mutation::bytes;
use crate::rules::Rules;

/// The label by which Gerrit notes who submitted; nobody votes on it.
const SUBMITTED: &[u8] = b"SUBM";
/// `GitCommit.comments`.
const COMMENTS: u32 = 100;

/// Why a change can't be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ViewError {
    /// Its commit or its meta ref did not come yet.
    #[error("the change is not complete in the log yet")]
    Incomplete,
    /// Its meta ref has a merge, which no Gerrit makes.
    #[error("the meta ref of the change is no chain")]
    NoChain,
}

/// Who did something, as Gerrit writes it: `Name <ACCOUNT@SERVER>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who<'a>(pub &'a [u8]);

impl Who<'_> {
    /// The account's number; `None` where it is Gerrit itself.
    #[must_use]
    pub fn account(self) -> Option<i64> {
        account(email(self.0))
    }
}

/// The number in `ACCOUNT@SERVER`.
fn account(address: &[u8]) -> Option<i64> {
    let digits = &address[..memchr::memchr(b'@', address)?];
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|number| *number > 0)
}

/// A patch set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchSetView<'a> {
    /// From 1.
    pub version: i32,
    /// Its commit.
    pub commit: Hash,
    /// Who uploaded it.
    pub uploader: Who<'a>,
    /// When, in seconds since 1970.
    pub time: i64,
}

/// What somebody wrote below a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageView<'a> {
    /// Who; Gerrit itself, at times.
    pub author: Who<'a>,
    /// When, in seconds since 1970.
    pub time: i64,
    /// The patch set, 0 where it is not said.
    pub version: i32,
    /// What program wrote it; empty where it was a person.
    pub tag: &'a [u8],
    /// The text.
    pub text: &'a [u8],
}

/// A change as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChangeView<'a> {
    /// Who began it.
    pub owner: Option<i64>,
    /// Its `Change-Id`.
    pub change_id: &'a [u8],
    /// When it was begun, in seconds since 1970.
    pub created: i64,
    /// When something was last done to it, in seconds since 1970.
    pub updated: i64,
    /// The first paragraph of the newest patch set's message, on one line.
    pub subject: String,
    /// Where it is to go, without `refs/heads/`.
    pub branch: &'a [u8],
    /// Its topic; empty where it has none.
    pub topic: &'a [u8],
    /// What became of it.
    pub status: Option<Status>,
    /// Who submitted it, and when, in seconds since 1970; none of what is not submitted.
    pub submitted: Option<(i64, i64)>,
    /// Whether it is private now.
    pub private: bool,
    /// Whether it is work in progress now.
    pub wip: bool,
    /// In the order in which they are written.
    pub hashtags: Vec<&'a [u8]>,
    /// The first one first.
    pub patch_sets: Vec<PatchSetView<'a>>,
    /// Votes on the newest patch set, copied ones too, by label and account; none is 0.
    pub votes: BTreeMap<&'a [u8], BTreeMap<i64, i8>>,
    /// Those of them that Gerrit copied from an older patch set, by label and account: nobody gave them to this one.
    pub copied: BTreeSet<(&'a [u8], i64)>,
    /// Accounts that are asked to review it, or did.
    pub reviewers: Vec<i64>,
    /// Accounts that are to know of it.
    pub cc: Vec<i64>,
    /// What was written, the oldest first.
    pub messages: Vec<MessageView<'a>>,
    /// Comments on files, by uuid, if the log's writer was one of ours: the original leaves them out.
    pub comments: BTreeMap<String, GerritComment>,
}

/// How somebody stands to a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Reviewer,
    Cc,
    Removed,
}

impl Gerrit {
    /// All of a change, in time that grows with what was done to it.
    ///
    /// # Errors
    /// Where it is not complete.
    pub fn view<'a>(&'a self, log: &'a Log, change: &Change) -> Result<ChangeView<'a>, ViewError> {
        if !change.is_complete() {
            return Err(ViewError::Incomplete);
        }
        let mut reader = Reader::default();
        for meta in self.metas(change).map_err(|_| ViewError::NoChain)? {
            let commit = self.commits().get(meta);
            if commit.is_place() {
                return Err(ViewError::Incomplete);
            }
            let author = Who(self.name(commit.author));
            reader.take(author, commit.time, self.message(log, meta));
            reader.take_comments(log.text(commit.message));
        }
        let mut view = reader.done();
        view.subject = self.subject(log, change);
        Ok(view)
    }

    /// The first paragraph of a change's message, on one line; empty where its commit did not come.
    #[must_use]
    pub fn subject(&self, log: &Log, change: &Change) -> String {
        if change.commit == NONE {
            return String::new();
        }
        subject(self.message(log, change.commit))
    }

    /// The commit of a change's patch set.
    #[must_use]
    pub fn patch_set_commit(&self, change: Number, version: i32) -> Option<Number> {
        let found = self.patch_set(change, version)?;
        Some(self.patch_sets.get(found).commit).filter(|commit| *commit != NONE)
    }
}

/// The first paragraph on one line, as Gerrit shows a commit's message.
fn subject(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let text = text.trim_start_matches('\n');
    let paragraph = text.split_once("\n\n").map_or(text, |(first, _)| first);
    paragraph.trim_end_matches('\n').replace('\n', " ")
}

/// Reads meta commits, the first one first.
#[derive(Default)]
struct Reader<'a> {
    view: ChangeView<'a>,
    /// The newest patch set, whose votes count.
    version: i32,
    roles: BTreeMap<i64, Role>,
    begun: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, author: Who<'a>, time: i64, message: &'a [u8]) {
        let footer = meta::footer(message);
        let view = &mut self.view;
        if !std::mem::replace(&mut self.begun, true) {
            (view.owner, view.created) = (author.account(), time);
        }
        view.updated = time;
        let (mut version, mut commit, mut tag) = (0, None, &b""[..]);
        for (key, value) in footer.split(|byte| *byte == b'\n').filter_map(field) {
            match key {
                b"Patch-set" => version = leading(value),
                b"Commit" => commit = hash(value),
                b"Tag" => tag = value,
                b"Change-id" => view.change_id = value,
                b"Branch" => view.branch = value.strip_prefix(b"refs/heads/").unwrap_or(value),
                b"Topic" => view.topic = value,
                b"Hashtags" => view.hashtags = list(value),
                b"Private" => flag(&mut view.private, value),
                b"Work-in-progress" => flag(&mut view.wip, value),
                b"Status" => view.status = status(value).or(view.status),
                b"Reviewer" => role(&mut self.roles, value, Role::Reviewer),
                b"CC" => role(&mut self.roles, value, Role::Cc),
                b"Removed" => role(&mut self.roles, value, Role::Removed),
                _ => {}
            }
        }
        if let Some(commit) = commit.filter(|_| version > 0) {
            let uploaded = PatchSetView { version, commit, uploader: author, time };
            match view.patch_sets.binary_search_by_key(&version, |one| one.version) {
                Ok(at) => view.patch_sets[at] = uploaded,
                Err(at) => view.patch_sets.insert(at, uploaded),
            }
        }
        if version > self.version {
            self.version = version;
            view.votes.clear();
            view.copied.clear();
        }
        if version == self.version {
            for (key, value) in footer.split(|byte| *byte == b'\n').filter_map(field) {
                if matches!(key, b"Label" | b"Copied-Label") {
                    self.vote(author, time, value, key == b"Copied-Label");
                }
            }
        }
        if let Some(text) = text(message) {
            self.view.messages.push(MessageView { author, time, version, tag, text });
        }
    }

    fn vote(&mut self, author: Who<'a>, time: i64, value: &'a [u8], copied: bool) {
        let Some(Line { label, vote, whose }) = votes::read(value, Rules::Ours) else { return };
        let voter = if whose.is_empty() { author.account() } else { account(whose) };
        let Some(voter) = voter else { return };
        if label == SUBMITTED {
            self.view.submitted = vote.filter(|vote| *vote > 0).map(|_| (voter, time));
            return;
        }
        if copied {
            self.view.copied.insert((label, voter));
        } else {
            self.view.copied.remove(&(label, voter));
        }
        let votes = self.view.votes.entry(label).or_default();
        match vote {
            Some(vote) if vote != 0 => drop(votes.insert(voter, vote)),
            _ => drop(votes.remove(&voter)),
        }
    }

    fn take_comments(&mut self, message: &[u8]) {
        for comment in bytes(message, COMMENTS) {
            // What another than us wrote under this number is no comment.
            let Some(comment) = comment.ok().and_then(|comment| GerritComment::decode(comment).ok()) else {
                continue;
            };
            if comment.deleted {
                self.view.comments.remove(&comment.uuid);
            } else {
                self.view.comments.insert(comment.uuid.clone(), comment);
            }
        }
    }

    fn done(mut self) -> ChangeView<'a> {
        let with = |wanted: Role| -> Vec<i64> {
            self.roles.iter().filter(|(_, role)| **role == wanted).map(|(who, _)| *who).collect()
        };
        (self.view.reviewers, self.view.cc) = (with(Role::Reviewer), with(Role::Cc));
        for votes in self.view.votes.values_mut() {
            votes.retain(|voter, _| self.roles.get(voter) != Some(&Role::Removed));
        }
        self.view.votes.retain(|_, votes| !votes.is_empty());
        // One whose submission failed was not submitted.
        self.view.submitted = self.view.submitted.filter(|_| self.view.status == Some(Status::Merged));
        self.view
    }
}

/// A line `Key: value` of a footer.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    Some((&line[..colon], trim(&line[colon + 1..])))
}

/// The number at the begin of `3 (deleted)`; 0 of none.
fn leading(value: &[u8]) -> i32 {
    let end = value.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
    std::str::from_utf8(&value[..end]).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

fn flag(flag: &mut bool, value: &[u8]) {
    match value {
        b"true" => *flag = true,
        b"false" => *flag = false,
        _ => {}
    }
}

fn status(value: &[u8]) -> Option<Status> {
    [Status::New, Status::Draft, Status::Abandoned, Status::Merged]
        .into_iter()
        .find(|status| value.eq_ignore_ascii_case(status.text().as_bytes()))
}

fn list(value: &[u8]) -> Vec<&[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|tag| !tag.is_empty()).collect()
}

fn role(roles: &mut BTreeMap<i64, Role>, value: &[u8], role: Role) {
    if let Some(account) = Who(value).account() {
        roles.insert(account, role);
    }
}

/// Everything between the first empty line and the last one.
fn text(message: &[u8]) -> Option<&[u8]> {
    let first = memchr::memmem::find(message, b"\n\n")? + 2;
    let last = memchr::memmem::rfind(message, b"\n\n")?;
    message.get(first..last).filter(|text| !text.is_empty())
}

/// What is fed with bytes of all kinds.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing {
    use super::*;

    /// Reads any bytes as the messages of meta commits, with a zero between two, by all rules: nothing of it may panic.
    pub(crate) fn meta(data: &[u8]) {
        let mut reader = Reader::default();
        for (time, message) in (0..).zip(data.split(|byte| *byte == 0)) {
            let author = message.split(|byte| *byte == b'\n').next().unwrap_or_default();
            reader.take(Who(author), time, message);
            reader.take_comments(message);
            for rules in [Rules::Ours, Rules::Original] {
                let _ = (meta::status(message), meta::message(message), meta::branch(message, rules));
                let _ = (meta::wip(message, rules), meta::is_private(message, rules));
                let _ = (meta::hashtags(message, rules), meta::hashtag_edits(message, rules));
                let _ = meta::action_tag(message, rules);
                for line in message.split(|byte| *byte == b'\n') {
                    let _ = votes::read(line, rules);
                }
            }
            assert!(!subject(message).contains('\n'), "a subject is one line");
        }
        let view = reader.done();
        assert!(view.votes.values().all(|votes| !votes.is_empty()), "a label without a vote is left out");
        assert!(view.votes.values().flatten().all(|(_, vote)| *vote != 0), "a vote of nothing is no vote");
        assert!(view.patch_sets.is_sorted_by_key(|one| one.version), "patch sets are in their order");
        assert!(!view.reviewers.iter().any(|who| view.cc.contains(who)), "nobody is both");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ADA: Who<'_> = Who(b"Ada <1000001@s>");
    const BELA: Who<'_> = Who(b"B\xc3\xa9la <1000002@s>");

    fn read<'a>(metas: &[(Who<'a>, &'a str)]) -> ChangeView<'a> {
        let mut reader = Reader::default();
        for (time, (author, message)) in (10..).zip(metas) {
            reader.take(*author, time, message.as_bytes());
        }
        reader.done()
    }

    const CREATED: &str = "Create change\n\nUploaded patch set 1.\n\nPatch-set: 1\nChange-id: I1\nSubject: S\n\
        Branch: refs/heads/main\nStatus: new\nTopic: t\nCommit: 0101010101010101010101010101010101010101\n\
        Tag: autogenerated:gerrit:newPatchSet\nPrivate: true\nWork-in-progress: true\n";

    #[test]
    fn a_change_is_what_was_said_last() {
        let view = read(&[
            (ADA, CREATED),
            (
                BELA,
                "Update patch set 1\n\nPatch Set 1: Code-Review+2\n\nGood.\n\nx: y\n\nPatch-set: 1\nTopic:\n\
                Hashtags: a, b\nReviewer: B <1000002@s>\nCC: C <1000003@s>\nLabel: Code-Review=+2, 01ab\nPrivate: false\n",
            ),
        ]);
        assert_eq!((view.owner, view.created, view.updated), (Some(1_000_001), 10, 11));
        assert_eq!((view.private, view.wip, view.topic), (false, true, &b""[..]));
        assert_eq!((view.branch, view.change_id, view.status), (&b"main"[..], &b"I1"[..], Some(Status::New)));
        assert_eq!(
            (view.hashtags, view.reviewers, view.cc),
            (vec![&b"a"[..], b"b"], vec![1_000_002], vec![1_000_003])
        );
        assert_eq!(view.votes[&b"Code-Review"[..]], BTreeMap::from([(1_000_002, 2)]));
        let texts: Vec<&[u8]> = view.messages.iter().map(|message| message.text).collect();
        assert_eq!(texts, [&b"Uploaded patch set 1."[..], b"Patch Set 1: Code-Review+2\n\nGood.\n\nx: y"]);
        assert_eq!(view.messages[0].tag, b"autogenerated:gerrit:newPatchSet");
        let [one] = view.patch_sets.as_slice() else { panic!("{:?}", view.patch_sets) };
        assert_eq!((one.version, one.commit, one.uploader, one.time), (1, [1; 20], ADA, 10));
    }

    #[test]
    fn who_submitted_is_said_by_a_label_of_its_own() {
        const MERGED: &str = "Update patch set 1\n\nPatch Set 1:\n\nChange has been successfully merged\n\nPatch-set: 1\n\
            Status: merged\nTag: autogenerated:gerrit:merged\nReviewer: B <1000002@s>\nLabel: SUBM=+1, 01ab\n\
            Submission-id: 1-1\nSubmitted-with: OK\n";
        assert_eq!(read(&[(ADA, CREATED)]).submitted, None);
        let view = read(&[(ADA, CREATED), (BELA, MERGED), (ADA, "x\n\nLate.\n\nPatch-set: 1\n")]);
        assert_eq!((view.status, view.submitted), (Some(Status::Merged), Some((1_000_002, 11))));
        assert!(view.votes.is_empty());
        // In the name of another, and where the submission came to nothing.
        let other = MERGED.replace("01ab", "01ab C <1000003@s>");
        assert_eq!(read(&[(ADA, CREATED), (BELA, &other)]).submitted, Some((1_000_003, 11)));
        let failed = MERGED.replace("Status: merged\n", "");
        assert_eq!(read(&[(ADA, CREATED), (BELA, &failed)]).submitted, None);
    }

    #[test]
    fn votes_are_those_of_the_newest_patch_set() {
        let votes = |metas: &[&str]| {
            let mut all = vec![(ADA, CREATED)];
            all.extend(metas.iter().map(|meta| (BELA, *meta)));
            let view = read(&all);
            let votes = view.votes.iter().flat_map(|(label, of)| {
                of.iter().map(|(who, vote)| format!("{} {who} {vote}", String::from_utf8_lossy(label)))
            });
            votes.collect::<Vec<_>>().join(",")
        };
        let one = "x\n\nPatch-set: 1\nLabel: V=+1\nLabel: SUBM=1\nLabel: W=-1 C <3@s>\n";
        assert_eq!(votes(&[one]), "V 1000002 1,W 3 -1");
        assert_eq!(votes(&[one, "x\n\nPatch-set: 2\n"]), "");
        assert_eq!(votes(&[one, "x\n\nPatch-set: 2\nCopied-Label: V=+1, u B <1000002@s>\n"]), "V 1000002 1");
        assert_eq!(votes(&[one, "x\n\nPatch-set: 2\n", "x\n\nPatch-set: 1\nLabel: V=-1\n"]), "");
        assert_eq!(votes(&[one, "x\n\nPatch-set: 1\nLabel: V=0\nLabel: -W C <3@s>\n"]), "");
        assert_eq!(votes(&[one, "x\n\nPatch-set: 1\nRemoved: C <3@s>\n"]), "V 1000002 1");
    }

    #[test]
    fn a_vote_that_was_copied_is_told_from_one_that_was_given() {
        let one = "x\n\nPatch-set: 1\nLabel: V=+1\n";
        let two = "x\n\nPatch-set: 2\nCopied-Label: V=+1, u B <1000002@s>\n";
        let copied = |metas: &[&'static str]| {
            let mut all = vec![(ADA, CREATED)];
            all.extend(metas.iter().map(|meta| (BELA, *meta)));
            read(&all).copied
        };
        assert_eq!(copied(&[one]), BTreeSet::new());
        assert_eq!(copied(&[one, two]), BTreeSet::from([(&b"V"[..], 1_000_002)]));
        assert_eq!(
            copied(&[one, two, "x\n\nPatch-set: 2\nLabel: V=+1\n"]),
            BTreeSet::new(),
            "given once more"
        );
        assert_eq!(copied(&[one, two, "x\n\nPatch-set: 3\n"]), BTreeSet::new());
    }

    #[test]
    fn a_subject_is_one_paragraph() {
        for (message, want) in [("a\n\nb\n", "a"), ("a\nb\n\nc", "a b"), ("a\n", "a"), ("", ""), ("\na", "a")]
        {
            assert_eq!(subject(message.as_bytes()), want, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_lines_are_read(lines in "(x|\n|\n\n|\0|Patch-set: [0-9]{1,12}|Label: |Copied-Label: |-|=|[+-]1|, |<1@s>|Removed: |Reviewer: |Commit: |Private: true|Hashtags: a,|Status: ){0,40}") {
            fuzzing::meta(lines.as_bytes());
        }
    }
}
