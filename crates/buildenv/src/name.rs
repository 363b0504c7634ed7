//! The names of configured things: one newtype each, one grammar for all.

use std::fmt;
use std::str::FromStr;

/// Says why a text is not a name. The grammar is `[a-z0-9][a-z0-9._-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name has at least one character")]
    Empty,
    /// The text has more than 64 characters.
    #[error("a name has at most 64 characters, this one has {0}")]
    Long(usize),
    /// The first character is not a lower-case letter or a digit.
    #[error("a name begins with a lower-case letter or a digit, not {0:?}")]
    First(char),
    /// Some later character is outside the alphabet.
    #[error("a name is made of a-z, 0-9, '.', '_' and '-', not {0:?}")]
    Character(char),
}

/// Checks a text against the grammar of names.
///
/// # Errors
/// Names the first rule that the text breaks.
pub fn check_name(text: &str) -> Result<(), NameError> {
    let first = text.chars().next().ok_or(NameError::Empty)?;
    if !(first.is_ascii_lowercase() || first.is_ascii_digit()) {
        return Err(NameError::First(first));
    }
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    if let Some(bad) = text.chars().find(|c| !inside(*c)) {
        return Err(NameError::Character(bad));
    }
    if text.len() > 64 { Err(NameError::Long(text.len())) } else { Ok(()) }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Makes a name of a text.
            ///
            /// # Errors
            /// When the text breaks the grammar of names.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                check_name(&text)?;
                Ok(Self(text))
            }

            /// Gives the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// The name of a watched repository.
    RepoName;
    /// The name of a kind of machine.
    HostName;
    /// The name of a builder.
    BuilderName;
    /// The name of a recipe.
    RecipeName;
    /// The name of an environment: `prod`, `staging`, `dev`.
    EnvironmentName;
    /// The name of a limit that several builders share.
    LimitName;
    /// The name of a secret.
    SecretName;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar() {
        for good in ["a", "0", "linux-amd64", "go1.22_x", &"a".repeat(64)] {
            assert_eq!(RepoName::new(good).map(|n| n.to_string()), Ok(good.to_string()));
        }
        assert_eq!(RepoName::new(""), Err(NameError::Empty));
        assert_eq!(RepoName::new("-a"), Err(NameError::First('-')));
        assert_eq!(RepoName::new("Go"), Err(NameError::First('G')));
        assert_eq!(RepoName::new("a/b"), Err(NameError::Character('/')));
        assert_eq!(RepoName::new("a".repeat(65)), Err(NameError::Long(65)));
    }
}
