//! `#N` and `owner/repo#N` in commit messages. Source: spec/maintner.md §4.5.

/// An issue that is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// Owner and repo as they are written; none of a plain `#N`.
    pub repo: Option<(&'a [u8], &'a [u8])>,
    /// The issue's number.
    pub number: i32,
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn is_name(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

/// All that are named, in order, those that are named twice too. They are the matches of
/// `(?:\b([\w\-]+)/([\w\-]+))?\#(\d+)\b` with classes of ASCII, found from their `#`s: an expression costs a third of all
/// that a log's commits cost.
pub fn find(message: &[u8]) -> impl Iterator<Item = Found<'_>> {
    let mut after = 0;
    memchr::memchr_iter(b'#', message).filter_map(move |at| {
        let digits = message[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let end = at + 1 + digits;
        if digits == 0 || message.get(end).is_some_and(|byte| is_word(*byte)) {
            return None;
        }
        let repo = repo(message, after, at);
        after = end;
        // A number that no issue has is passed over, but nothing before its end is looked at again.
        let number = std::str::from_utf8(&message[at + 1..end]).ok()?.parse().ok()?;
        Some(Found { repo, number })
    })
}

/// `owner/repo` before the `#` at `at`, none of it before `after`.
fn repo(message: &[u8], after: usize, at: usize) -> Option<(&[u8], &[u8])> {
    let run = |end: usize| {
        let length = message[after..end].iter().rev().take_while(|byte| is_name(**byte)).count();
        end - length
    };
    let name = run(at);
    if name == at || name == after || message[name - 1] != b'/' {
        return None;
    }
    let slash = name - 1;
    // The earliest start at which a word begins or ends.
    let bounds = |start: &usize| {
        let before = *start > 0 && is_word(message[*start - 1]);
        before != is_word(message[*start])
    };
    let owner = (run(slash)..slash).find(bounds)?;
    Some((&message[owner..slash], &message[name..at]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::bytes::Regex;
    use std::sync::LazyLock;

    fn by_expression(message: &[u8]) -> Vec<Found<'_>> {
        static EXPRESSION: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"(?-u)(?:\b([\w\-]+)/([\w\-]+))?\#(\d+)\b").unwrap());
        let found = EXPRESSION.captures_iter(message).filter_map(|captures| {
            let text = |group: usize| captures.get(group).map(|text| text.as_bytes());
            let number = std::str::from_utf8(text(3)?).unwrap().parse().ok()?;
            Some(Found { repo: text(1).zip(text(2)), number })
        });
        found.collect()
    }

    #[test]
    fn the_vectors_are_found() {
        for (message, want) in [
            ("\nFixes #1234\n", "#1234"),
            ("Fixes golang/go#1234.", "golang/go#1234"),
            ("Mention issue #1234 a second time.\n\nFixes #1234.", "#1234 #1234"),
            ("GoogleCloudPlatform/gcloud-golang#262", "GoogleCloudPlatform/gcloud-golang#262"),
            ("#12abc", ""),
            ("abc#12", "#12"),
            ("#4294967296", ""),
            ("foo/bar.baz#1", "#1"),
            ("#5é and é#5", "#5 #5"),
            ("* item #1\n#2", "#1 #2"),
            ("a/b/c#1", "b/c#1"),
            ("-foo/bar#1 x--y/z#2 --/z#3", "foo/bar#1 x--y/z#2 #3"),
            ("#1-b/c#2 #1/b#2", "#1 -b/c#2 #1 #2"),
        ] {
            let found: Vec<String> = find(message.as_bytes())
                .map(|found| {
                    let repo =
                        found.repo.map(|(owner, repo)| [owner, b"/", repo].concat()).unwrap_or_default();
                    format!("{}#{}", String::from_utf8_lossy(&repo), found.number)
                })
                .collect();
            assert_eq!(found.join(" "), want, "{message}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn they_are_the_matches_of_the_expression(message in "[ab/#1\\-. é2]{0,24}") {
            prop_assert_eq!(find(message.as_bytes()).collect::<Vec<_>>(), by_expression(message.as_bytes()));
        }
    }
}
