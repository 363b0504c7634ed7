//! The messages of the log, read where they lie: nothing is copied, and lists are walked, not collected.
//!
//! A known field of another wire type is passed over, as by the original's decoder. A message that is given twice for one
//! field is merged, as protobuf has it, but for the large ones (see [`MutationError::Twice`]).
//!
//! Source: spec/maintner.md §1.2. The owned messages, for writing, are crate `maintpb`'s.

use thiserror::Error;

use crate::time::Time;
use crate::wire::{Fields, Value, WireError, int32, int64, packed};

/// Why a record's bytes are no mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MutationError {
    /// It is no protobuf message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A large message that no writer gives twice, whose texts could not be referred to in one piece.
    #[error("it has field {0} twice")]
    Twice(&'static str),
}

/// What a field's value is put into.
trait Field<'a> {
    fn put(&mut self, value: Value<'a>) -> Result<(), WireError>;
}

impl<'a> Field<'a> for i64 {
    fn put(&mut self, value: Value<'a>) -> Result<(), WireError> {
        if let Value::Varint(number) = value {
            *self = int64(number);
        }
        Ok(())
    }
}

impl<'a> Field<'a> for i32 {
    fn put(&mut self, value: Value<'a>) -> Result<(), WireError> {
        if let Value::Varint(number) = value {
            *self = int32(number);
        }
        Ok(())
    }
}

impl<'a> Field<'a> for bool {
    fn put(&mut self, value: Value<'a>) -> Result<(), WireError> {
        if let Value::Varint(number) = value {
            *self = number != 0;
        }
        Ok(())
    }
}

impl<'a> Field<'a> for &'a [u8] {
    fn put(&mut self, value: Value<'a>) -> Result<(), WireError> {
        if let Value::Bytes(bytes) = value {
            *self = bytes;
        }
        Ok(())
    }
}

impl<'a, M: Message<'a>> Field<'a> for Option<M> {
    fn put(&mut self, value: Value<'a>) -> Result<(), WireError> {
        match value {
            Value::Bytes(bytes) => self.get_or_insert_default().merge(bytes),
            _ => Ok(()),
        }
    }
}

/// A message that borrows from the log.
pub trait Message<'a>: Default {
    /// Takes the fields of these bytes over what it has.
    ///
    /// # Errors
    /// What no protobuf message has; fields before it were taken.
    fn merge(&mut self, bytes: &'a [u8]) -> Result<(), WireError>;

    /// The message of these bytes.
    ///
    /// # Errors
    /// As [`merge`](Self::merge).
    fn of(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut message = Self::default();
        message.merge(bytes)?;
        Ok(message)
    }
}

/// A message whose fields are all taken by their number.
macro_rules! message {
    ($(#[$doc:meta])* $name:ident { $($number:literal $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name<'a> {
            $(#[doc = concat!("Field ", $number, ".")] pub $field: $kind,)*
            /// It may have no field that borrows.
            #[doc(hidden)]
            pub borrows: std::marker::PhantomData<&'a [u8]>,
        }

        impl<'a> Message<'a> for $name<'a> {
            fn merge(&mut self, bytes: &'a [u8]) -> Result<(), WireError> {
                let mut fields = Fields::new(bytes);
                while let Some((number, value)) = fields.read()? {
                    match number {
                        $($number => Field::put(&mut self.$field, value)?,)*
                        _ => {}
                    }
                }
                Ok(())
            }
        }
    };
}

message!(
    /// `google.protobuf.Timestamp`.
    Timestamp { 1 seconds: i64, 2 nanos: i32, }
);
message!(
    /// Present where something changed, to false if it is empty.
    BoolChange { 1 val: bool, }
);
message!(
    /// Present where something changed, to nothing if it is empty.
    StringChange { 1 val: &'a [u8], }
);
message!(
    /// A label of a repo.
    Label { 1 id: i64, 2 name: &'a [u8], }
);
message!(
    /// A milestone of a repo; what is zero did not change.
    Milestone { 1 id: i64, 2 title: &'a [u8], 3 closed: Option<BoolChange<'a>>, 4 number: i64, }
);
message!(
    /// A person on GitHub.
    User { 1 id: i64, 2 login: &'a [u8], }
);
message!(
    /// A team on GitHub.
    Team { 1 id: i64, 2 slug: &'a [u8], }
);
message!(
    /// A commit on GitHub.
    CommitRef { 1 owner: &'a [u8], 2 repo: &'a [u8], 3 commit_id: &'a [u8], }
);
message!(
    /// Until when something was read.
    SyncStatus { 1 server_date: Option<Timestamp<'a>>, }
);
message!(
    /// A comment, or what changed in it.
    Comment {
        1 id: i64, 2 user: Option<User<'a>>, 3 body: &'a [u8], 4 created: Option<Timestamp<'a>>, 5 updated: Option<Timestamp<'a>>,
    }
);
message!(
    /// A review that was dismissed. Field 2 was another once.
    DismissedReview { 1 review_id: i64, 3 dismissal_message: &'a [u8], 4 state: &'a [u8], }
);
message!(
    /// Something that happened to an issue. The set of types is open.
    Event {
        1 id: i64, 2 event_type: &'a [u8], 3 actor_id: i64, 4 created: Option<Timestamp<'a>>, 5 label: Option<Label<'a>>,
        6 milestone: Option<Milestone<'a>>, 7 assignee_id: i64, 8 assigner_id: i64, 9 commit: Option<CommitRef<'a>>,
        10 other_json: &'a [u8], 11 rename_from: &'a [u8], 12 rename_to: &'a [u8], 13 reviewer_id: i64,
        14 review_requester_id: i64, 15 dismissed_review: Option<DismissedReview<'a>>, 16 team_reviewer: Option<Team<'a>>,
    }
);
message!(
    /// A review of a pull request.
    Review {
        1 id: i64, 2 actor_id: i64, 3 created: Option<Timestamp<'a>>, 4 body: &'a [u8], 5 state: &'a [u8],
        6 commit_id: &'a [u8], 7 actor_association: &'a [u8], 8 other_json: &'a [u8],
    }
);
message!(
    /// A commit: its hash in hexadecimal, and what `git cat-file` prints. Field 3, its files, is read where it lies.
    GitCommit { 1 sha1: &'a [u8], 2 raw: &'a [u8], }
);
message!(
    /// A row of `git diff-tree --numstat`.
    DiffTreeFile { 1 file: &'a [u8], 2 added: i64, 3 deleted: i64, 4 binary: bool, }
);
message!(
    /// A ref, with its hash in hexadecimal.
    GitRef { 1 name: &'a [u8], 2 sha1: &'a [u8], }
);

impl Timestamp<'_> {
    /// The instant.
    #[must_use]
    pub fn time(&self) -> Time {
        Time::new(self.seconds, self.nanos)
    }
}

/// What one record says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mutation<'a> {
    /// A `GithubIssueMutation`.
    pub github_issue: Option<&'a [u8]>,
    /// A `GitMutation`.
    pub git: Option<&'a [u8]>,
    /// A `GithubMutation`.
    pub github: Option<&'a [u8]>,
    /// A `GerritMutation`.
    pub gerrit: Option<&'a [u8]>,
}

impl<'a> Mutation<'a> {
    /// The mutation of a record's bytes.
    ///
    /// # Errors
    /// What is no message, or has one of the four twice.
    pub fn of(payload: &'a [u8]) -> Result<Self, MutationError> {
        let mut mutation = Self::default();
        let mut fields = Fields::new(payload);
        while let Some((number, value)) = fields.read()? {
            let Value::Bytes(bytes) = value else { continue };
            let (field, name) = match number {
                1 => (&mut mutation.github_issue, "github_issue"),
                2 => (&mut mutation.git, "git"),
                3 => (&mut mutation.github, "github"),
                4 => (&mut mutation.gerrit, "gerrit"),
                _ => continue,
            };
            if field.replace(bytes).is_some() {
                return Err(MutationError::Twice(name));
            }
        }
        Ok(mutation)
    }
}

/// The messages of one number in a message, each read when it is come to.
pub fn elements<'a, M: Message<'a>>(
    message: &'a [u8],
    wanted: u32,
) -> impl Iterator<Item = Result<M, WireError>> {
    bytes(message, wanted).map(|element| element.and_then(M::of))
}

/// The values of one number and of wire type 2 in a message.
pub fn bytes(message: &[u8], wanted: u32) -> impl Iterator<Item = Result<&[u8], WireError>> {
    let mut fields = Fields::new(message);
    std::iter::from_fn(move || {
        loop {
            match fields.read() {
                Ok(Some((number, Value::Bytes(bytes)))) if number == wanted => return Some(Ok(bytes)),
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    })
}

/// Visits the numbers of a list, packed or not.
///
/// # Errors
/// What is no list of numbers; those before it were visited.
pub fn numbers(message: &[u8], wanted: u32, mut visit: impl FnMut(i64)) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.read()? {
        match value {
            Value::Varint(value) if number == wanted => visit(int64(value)),
            Value::Bytes(list) if number == wanted => packed(list, |value| visit(int64(value)))?,
            _ => {}
        }
    }
    Ok(())
}

/// What changed in one issue; the lists are walked by [`elements`] over `bytes`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issue<'a> {
    /// The whole message.
    pub bytes: &'a [u8],
    /// Which numbers of at most 31 it has, a bit for each.
    pub seen: u32,
    /// 1, required.
    pub owner: &'a [u8],
    /// 2, required.
    pub repo: &'a [u8],
    /// 3, required.
    pub number: i32,
    /// 4: the author.
    pub user: Option<User<'a>>,
    /// 5.
    pub created: Option<Timestamp<'a>>,
    /// 6.
    pub updated: Option<Timestamp<'a>>,
    /// 7: the body, where it is not empty.
    pub body: &'a [u8],
    /// 9.
    pub title: &'a [u8],
    /// 12.
    pub id: i64,
    /// 13: it is gone.
    pub not_exist: bool,
    /// 14: comments are whole as of then.
    pub comment_status: Option<SyncStatus<'a>>,
    /// 15: it has no milestone now.
    pub no_milestone: bool,
    /// 16.
    pub milestone_id: i64,
    /// 17.
    pub milestone_num: i64,
    /// 18.
    pub milestone_title: &'a [u8],
    /// 19.
    pub closed: Option<BoolChange<'a>>,
    /// 21.
    pub closed_at: Option<Timestamp<'a>>,
    /// 22.
    pub closed_by: Option<User<'a>>,
    /// 25.
    pub locked: Option<BoolChange<'a>>,
    /// 27: events are whole as of then.
    pub event_status: Option<SyncStatus<'a>>,
    /// 28.
    pub pull_request: bool,
    /// 30: reviews are whole as of then.
    pub review_status: Option<SyncStatus<'a>>,
    /// 31: the body, empty or not.
    pub body_change: Option<StringChange<'a>>,
}

impl<'a> Issue<'a> {
    /// Number of the comments' list.
    pub const COMMENTS: u32 = 8;
    /// Number of the list of users that are assigned.
    pub const ASSIGNEES: u32 = 10;
    /// Number of the list of users that are not any more, by id.
    pub const DELETED_ASSIGNEES: u32 = 11;
    /// Number of the list of labels that are taken away, by id.
    pub const REMOVE_LABEL: u32 = 23;
    /// Number of the list of labels that are added.
    pub const ADD_LABEL: u32 = 24;
    /// Number of the events' list.
    pub const EVENTS: u32 = 26;
    /// Number of the reviews' list.
    pub const REVIEWS: u32 = 29;

    /// The message of these bytes.
    ///
    /// # Errors
    /// What no protobuf message has, outside of the lists.
    pub fn of(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut issue = Self { bytes, ..Self::default() };
        let mut fields = Fields::new(bytes);
        while let Some((number, value)) = fields.read()? {
            if number < 32 {
                issue.seen |= 1 << number;
            }
            match number {
                1 => issue.owner.put(value)?,
                2 => issue.repo.put(value)?,
                3 => issue.number.put(value)?,
                4 => issue.user.put(value)?,
                5 => issue.created.put(value)?,
                6 => issue.updated.put(value)?,
                7 => issue.body.put(value)?,
                9 => issue.title.put(value)?,
                12 => issue.id.put(value)?,
                13 => issue.not_exist.put(value)?,
                14 => issue.comment_status.put(value)?,
                15 => issue.no_milestone.put(value)?,
                16 => issue.milestone_id.put(value)?,
                17 => issue.milestone_num.put(value)?,
                18 => issue.milestone_title.put(value)?,
                19 => issue.closed.put(value)?,
                21 => issue.closed_at.put(value)?,
                22 => issue.closed_by.put(value)?,
                25 => issue.locked.put(value)?,
                27 => issue.event_status.put(value)?,
                28 => issue.pull_request.put(value)?,
                30 => issue.review_status.put(value)?,
                31 => issue.body_change.put(value)?,
                _ => {}
            }
        }
        Ok(issue)
    }

    /// Whether it has a field of this number.
    #[must_use]
    pub const fn has(&self, number: u32) -> bool {
        self.seen & 1 << number != 0
    }
}
