//! Names of refs and revisions, checked when they are made.

use std::fmt;
use std::str::FromStr;

use crate::ObjectId;

/// The longest name that is taken, in bytes.
const MAX_NAME: usize = 1024;

/// A text that is no name of a ref or revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}: {reason}")]
pub struct NameError {
    kind: &'static str,
    text: String,
    reason: &'static str,
}

fn refuse<T>(kind: &'static str, text: &str, reason: &'static str) -> Result<T, NameError> {
    Err(NameError { kind, text: text.chars().take(200).collect(), reason })
}

/// The full name of a ref, such as `refs/heads/main`. It always begins with `refs/`, so that it is never an option,
/// whatever its branch is called.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefName(String);

impl RefName {
    /// Names a branch.
    pub fn branch(name: &str) -> Result<Self, NameError> {
        format!("refs/heads/{name}").parse()
    }

    /// Names a tag.
    pub fn tag(name: &str) -> Result<Self, NameError> {
        format!("refs/tags/{name}").parse()
    }

    /// Gives the full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the branch's short name, if this is a branch.
    pub fn as_branch(&self) -> Option<&str> {
        self.0.strip_prefix("refs/heads/")
    }

    /// Gives the tag's short name, if this is a tag.
    pub fn as_tag(&self) -> Option<&str> {
        self.0.strip_prefix("refs/tags/")
    }
}

impl FromStr for RefName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let no = |reason| refuse("ref", text, reason);
        if text.len() > MAX_NAME {
            return no("it is too long");
        }
        let Some(rest) = text.strip_prefix("refs/") else {
            return no("it does not begin with refs/");
        };
        if text.bytes().any(|b| b <= b' ' || b == 0x7f || b"~^:?*[\\".contains(&b)) {
            return no("it contains a character that git forbids");
        }
        if text.contains("..") || text.contains("@{") {
            return no("it contains '..' or '@{'");
        }
        let bad = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
        if rest.split('/').any(bad) || text.ends_with('.') {
            return no("a part of it is empty, begins with a dot, or ends with '.lock' or a dot");
        }
        Ok(RefName(text.to_owned()))
    }
}

/// A revision as a person writes it: an object name or its beginning, a branch, a tag, with `~N` and `^N`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Rev(String);

impl Rev {
    /// Gives the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the object's full name, if the revision is one.
    pub fn as_id(&self) -> Option<ObjectId> {
        self.0.parse().ok()
    }
}

impl FromStr for Rev {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let no = |reason| refuse("revision", text, reason);
        if text.is_empty() {
            return no("it is empty");
        }
        if text.len() > MAX_NAME {
            return no("it is too long");
        }
        if text.starts_with('-') {
            return no("it begins with '-' (write a branch of that name as refs/heads/…)");
        }
        if text.bytes().any(|b| b <= b' ' || b == 0x7f || b":?*[\\{}".contains(&b)) || text.contains("..") {
            return no("it contains a character or '..' that no name of a commit has");
        }
        Ok(Rev(text.to_owned()))
    }
}

impl From<ObjectId> for Rev {
    fn from(id: ObjectId) -> Self {
        Rev(id.to_string())
    }
}

/// What to fetch and where to put it: `+SOURCE:DESTINATION`, always forced.
#[derive(Clone, PartialEq, Eq)]
pub struct RefSpec(String);

impl RefSpec {
    /// Copies all refs beneath a folder such as `refs/heads` to the same names here.
    pub fn mirror(folder: &RefName) -> Self {
        RefSpec(format!("+{folder}/*:{folder}/*"))
    }

    /// The branches and the tags, to the same names here.
    pub fn heads_and_tags() -> Vec<Self> {
        vec![RefSpec("+refs/heads/*:refs/heads/*".into()), RefSpec("+refs/tags/*:refs/tags/*".into())]
    }

    /// One ref of the source, to a name here.
    pub fn one(source: &RefName, to: &RefName) -> Self {
        RefSpec(format!("+{source}:{to}"))
    }

    /// One object of the source by its name, to a ref here.
    pub fn object(source: ObjectId, to: &RefName) -> Self {
        RefSpec(format!("+{source}:{to}"))
    }

    /// Whatever the source's `HEAD` stands for, to a ref here.
    pub fn head(to: &RefName) -> Self {
        RefSpec(format!("+HEAD:{to}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}
text!(RefName Rev RefSpec);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_follow_gits_rules() {
        for good in [
            "refs/heads/main",
            "refs/heads/--upload-pack=x",
            "refs/tags/v1.0",
            "refs/heads/a/b@c",
            "refs/heads/ü",
        ] {
            assert!(good.parse::<RefName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "main",
            "-x",
            "refs/",
            "refs/heads/",
            "refs/heads/a b",
            "refs/heads/a..b",
            "refs/heads/.a",
            "refs/heads/a.lock",
            "refs/heads/a.lock/b",
            "refs/heads/a~1",
            "refs/heads/a:b",
            "refs/heads//a",
            "refs/heads/a@{1}",
            "refs/heads/a.",
            "refs/heads/a\n",
            "refs/heads/*",
            "HEAD",
        ] {
            assert!(bad.parse::<RefName>().is_err(), "{bad}");
        }
        assert_eq!(RefName::branch("x/y").unwrap().as_branch(), Some("x/y"));
    }

    #[test]
    fn revisions_are_never_options_searches_or_ranges() {
        for good in ["main", "v1.0~3", "HEAD^2", "0123abc", "refs/heads/--upload-pack=x"] {
            assert!(good.parse::<Rev>().is_ok(), "{good}");
        }
        for bad in
            ["", "-x", "--help", "a..b", "main:file", "HEAD^{/x}", "@{-1}", ":/fix", "a b", "a\nb", "a*"]
        {
            assert!(bad.parse::<Rev>().is_err(), "{bad}");
        }
    }
}
