//! Who may read the log and ask about it.

use transport::Role;
use transport::routes::Methods;

/// Who may read the log and ask about it. It is one log of all that is watched, so nobody reads a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// All readers: what is watched is public.
    All,
    /// Those who see all private repositories: something that is watched is private.
    Developers,
}

impl Readers {
    pub(crate) const fn role(self) -> Role {
        match self {
            Self::All => Role::Reader,
            Self::Developers => Role::Developer,
        }
    }

    /// What each path is registered with.
    pub(crate) fn of<S: Clone + Send + Sync + 'static>(self, methods: Methods<S>) -> Methods<S> {
        match self {
            Self::All => methods,
            Self::Developers => methods.of_the_whole_server(),
        }
    }
}
