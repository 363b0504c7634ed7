//! Whether a record's bytes are a mutation in all their parts: what loading a log would refuse is refused here.

use crate::mutation::{
    self, Comment, DiffTreeFile, Event, GitCommit, GitRef, Issue, Label, Message, Milestone, Mutation,
    MutationError, Review, User, elements, numbers,
};

/// Reads everything of a mutation, lists and what lies in them included, also where loading would not look: the lists of an
/// issue that is gone, the files of a commit.
///
/// # Errors
/// The first part that is no message, and what is given twice that may be given once.
pub fn check(payload: &[u8]) -> Result<(), MutationError> {
    let given = Mutation::of(payload)?;
    if let Some(message) = given.github_issue {
        issue(message)?;
    }
    if let Some(message) = given.github {
        github(message)?;
    }
    if let Some(message) = given.git {
        // The name in field 1 is in a message of its own, which is not kept.
        for repo in mutation::bytes(message, 1) {
            fields(repo?)?;
        }
        let mut before = 0;
        for message in mutation::bytes(message, 2) {
            commit(message?)?;
            before += 1;
            if before > 1 {
                return Err(MutationError::Twice("commit"));
            }
        }
    }
    if let Some(message) = given.gerrit {
        fields(message)?;
        for message in mutation::bytes(message, 2) {
            commit(message?)?;
        }
        all::<GitRef<'_>>(message, 3)?;
    }
    Ok(())
}

/// Reads everything of a `GithubMutation`.
pub(crate) fn github(message: &[u8]) -> Result<(), MutationError> {
    fields(message)?;
    all::<Label<'_>>(message, 3)?;
    all::<Milestone<'_>>(message, 4)
}

/// Reads everything of a `GithubIssueMutation`.
pub(crate) fn issue(message: &[u8]) -> Result<(), MutationError> {
    Issue::of(message)?;
    all::<Comment<'_>>(message, Issue::COMMENTS)?;
    all::<User<'_>>(message, Issue::ASSIGNEES)?;
    all::<Label<'_>>(message, Issue::ADD_LABEL)?;
    all::<Event<'_>>(message, Issue::EVENTS)?;
    all::<Review<'_>>(message, Issue::REVIEWS)?;
    numbers(message, Issue::DELETED_ASSIGNEES, |_| ())?;
    numbers(message, Issue::REMOVE_LABEL, |_| ())?;
    Ok(())
}

fn commit(message: &[u8]) -> Result<(), MutationError> {
    GitCommit::of(message)?;
    files(message)
}

/// Reads the files of a `GitCommit`.
pub(crate) fn files(message: &[u8]) -> Result<(), MutationError> {
    for tree in mutation::bytes(message, 3) {
        all::<DiffTreeFile<'_>>(tree?, 1)?;
    }
    Ok(())
}

/// Walks a message to its end.
pub(crate) fn fields(message: &[u8]) -> Result<(), MutationError> {
    let mut fields = crate::wire::Fields::new(message);
    while fields.read()?.is_some() {}
    Ok(())
}

fn all<'a, M: Message<'a>>(message: &'a [u8], number: u32) -> Result<(), MutationError> {
    elements::<M>(message, number).try_for_each(|element| element.map(drop).map_err(MutationError::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::WireError;

    /// A field of wire type 2, of numbers below 16 and fewer than 128 bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        field.extend(bytes);
        field
    }

    #[test]
    fn every_part_is_read() {
        let cut = [0x0a, 9];
        let commit = |tree: &[u8]| field(3, tree);
        for (payload, why) in [
            (vec![], None),
            (field(1, &field(8, &cut)), Some(MutationError::Wire(WireError::Cut))),
            // Of an issue that is gone.
            (
                field(1, &[&[0x68, 1][..], &field(8, &cut)].concat()),
                Some(MutationError::Wire(WireError::Cut)),
            ),
            (field(2, &field(1, &cut)), Some(MutationError::Wire(WireError::Cut))),
            (field(2, &field(2, &commit(&field(1, &cut)))), Some(MutationError::Wire(WireError::Cut))),
            (field(2, &field(2, &commit(&field(1, &[])))), None),
            (field(2, &[field(2, &[]), field(2, &[])].concat()), Some(MutationError::Twice("commit"))),
            (field(3, &cut), Some(MutationError::Wire(WireError::Cut))),
            (field(3, &field(4, &cut)), Some(MutationError::Wire(WireError::Cut))),
            (field(4, &field(2, &commit(&cut))), Some(MutationError::Wire(WireError::Cut))),
            (field(4, &field(3, &cut)), Some(MutationError::Wire(WireError::Cut))),
            (field(4, &[field(2, &[]), field(2, &[])].concat()), None),
            ([field(4, &[]), field(4, &[])].concat(), Some(MutationError::Twice("gerrit"))),
        ] {
            assert_eq!(check(&payload).err(), why, "{payload:x?}");
        }
    }
}
