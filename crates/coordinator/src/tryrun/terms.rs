//! Builders that somebody asks for beside the usual ones: `TRY=…` in a comment. Source: spec/coordinator.md §1.3.

use buildenv::{Builder, Config};

/// Longer messages are not looked at, bytes.
const LONGEST: usize = 1024;

/// What the terms of a message mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Full names of builders, sorted, each once.
    pub builders: Vec<String>,
    /// Short names that nothing serves, as the configuration says.
    pub missing: Vec<String>,
    /// What means nothing.
    pub unknown: Vec<String>,
}

/// The first `TRY=` of a comment, if it has one.
pub(super) fn of_comment(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("TRY=")).map(str::trim)
}

/// The words of a message; none of one that is too long.
pub(super) fn words(message: &str) -> impl Iterator<Item = &str> {
    let heard = if message.len() > LONGEST { "" } else { message };
    let words = heard.split(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '/' | '@'));
    words.filter(|word| !word.is_empty())
}

/// Reads the terms of a message, for a change of a repo.
pub(super) fn read<'a>(config: &Config, of_repo: impl Iterator<Item = &'a Builder>, message: &str) -> Terms {
    if message.len() > LONGEST {
        let shown: String = message.chars().take(40).collect();
        let unknown = vec![format!("{shown}… (more than {LONGEST} bytes)")];
        return Terms { unknown, ..Terms::default() };
    }
    let builders: Vec<_> = of_repo.collect();
    let mut terms = Terms::default();
    for word in words(message) {
        let named = |builder: &&&Builder| {
            builder.name.as_str() == word
                || builder.full_name() == word
                || builder.aliases.iter().any(|alias| alias.as_str() == word)
        };
        let list = match builders.iter().find(named) {
            Some(builder) => {
                terms.builders.push(builder.full_name());
                continue;
            }
            None if config.known_missing().iter().any(|known| known.as_str() == word) => &mut terms.missing,
            None => &mut terms.unknown,
        };
        if !list.iter().any(|known| known == word) {
            list.push(word.to_owned());
        }
    }
    terms.builders.sort();
    terms.builders.dedup();
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_a_name_or_an_alias() {
        let text = "known_missing = [\"ios\"]\n[host.h]\npool = \"local\"\n[recipe.r]\nrun = \"true\"\n\
            [repo.one]\nurl = \"u\"\n\
            [builder.linux-arm64]\nhost = \"h\"\nrecipe = \"r\"\naliases = [\"arm64\"]\n\
            [builder.linux-longtest]\nhost = \"h\"\nrecipe = \"r\"\n";
        let config = super::super::chosen::tests::config(text);
        let read = |message: &str| read(&config, config.builders().iter().map(AsRef::as_ref), message);
        let terms = read("arm64, linux-longtest;linux-arm64 ios nope x/tools@arm64 nope");
        assert_eq!(terms.builders, ["linux-arm64", "linux-longtest"]);
        assert_eq!(terms.missing, ["ios"]);
        assert_eq!(terms.unknown, ["nope", "x/tools@arm64"]);
        assert_eq!(read(" ,\t"), Terms::default());
        let long = read(&"arm64 ".repeat(200));
        assert!(long.builders.is_empty() && long.unknown.len() == 1, "{long:?}");
        assert_eq!(of_comment("a\nTRY=b c \nTRY=d"), Some("b c"));
        assert_eq!(of_comment(" TRY=b"), None);
    }
}
