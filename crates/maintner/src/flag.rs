//! Yes or no in one byte, of which any value may stand in a mapped file.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Yes or no. Unlike a `bool`, of which all but two values are forbidden, it need not be looked at before it is believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct Flag(u8);

impl Flag {
    /// No.
    pub const NO: Self = Self(0);
    /// Yes.
    pub const YES: Self = Self(1);

    /// Whether it is yes.
    #[inline]
    #[must_use]
    pub const fn is(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Flag {
    fn from(yes: bool) -> Self {
        if yes { Self::YES } else { Self::NO }
    }
}
