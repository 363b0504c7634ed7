//! What a comment asks for: a line that begins with `/try` or `/ok-to-test`.

/// Lines of a comment that are looked at.
const LINES: usize = 500;
/// The longest list of builders that is taken from a comment, bytes; longer ones are told as not known.
const LONGEST: usize = 1100;

/// What a comment asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// The commit was looked at: a fork's may be tried.
    pub approves: bool,
    /// The one commit that it names.
    pub commit: Option<String>,
    /// Further builders.
    pub terms: Option<String>,
}

/// Reads a comment. What names a commit by a part of its digits, or two commits, asks for nothing: nobody is to guess which was meant.
pub fn read(text: &str) -> Option<Word> {
    let (mut word, mut found, mut quoted) = (Word::default(), false, false);
    for line in text.lines().take(LINES) {
        if line.starts_with("```") || line.starts_with("~~~") {
            quoted = !quoted;
            continue;
        }
        let Some((approves, rest)) = command(line).filter(|_| !quoted) else { continue };
        found = true;
        word.approves |= approves;
        let (first, others) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let terms = match digits(first) {
            None => rest,
            Some(40) => {
                let commit = first.to_ascii_lowercase();
                if word.commit.get_or_insert(commit.clone()) != &commit {
                    return None;
                }
                others.trim()
            }
            Some(_) => return None,
        };
        if !terms.is_empty() {
            word.terms.get_or_insert_with(|| terms.chars().take(LONGEST).collect());
        }
    }
    found.then_some(word)
}

/// What is behind a command, and whether it is the one that approves.
fn command(line: &str) -> Option<(bool, &str)> {
    [("/try", false), ("/ok-to-test", true)].into_iter().find_map(|(command, approves)| {
        let rest = line.strip_prefix(command)?;
        (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| (approves, rest.trim()))
    })
}

/// How many digits a commit's name has, or the beginning of one.
fn digits(text: &str) -> Option<usize> {
    ((7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_of_its_own_is_a_command() {
        let plain = |approves| Some(Word { approves, ..Word::default() });
        assert_eq!(read("/try"), plain(false));
        assert_eq!(read("Looks good.\r\n/ok-to-test \r\nThanks"), plain(true));
        assert_eq!(read("/try\n/ok-to-test"), plain(true));
        for text in
            ["", "try", " /try", "> /try", "- /try", "please /try", "/trying", "/ok-to-tests", "`/try`"]
        {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read("```\n/try\n```\n"), None);
        assert_eq!(read("```\nx\n```\n/try"), plain(false));
    }

    #[test]
    fn a_commit_is_named_wholly_and_once() {
        let (one, other) = ("aB".repeat(20), "c".repeat(40));
        let word = read(&format!("/ok-to-test {one}\n/try arm64, longtest")).unwrap();
        let expected =
            Word { approves: true, commit: Some("ab".repeat(20)), terms: Some("arm64, longtest".into()) };
        assert_eq!(word, expected);
        let word = read(&format!("/try {one} arm64")).unwrap();
        assert_eq!((word.commit.as_deref(), word.terms.as_deref()), (Some(&*"ab".repeat(20)), Some("arm64")));
        assert_eq!(read(&format!("/try {one}\n/ok-to-test {other}")), None);
        assert_eq!(read("/ok-to-test abcdef0"), None, "a part of a name");
        assert_eq!(read(&format!("/try {}", "a".repeat(64))), None);
        assert!(read(&format!("/try {}", "x ".repeat(5000))).unwrap().terms.unwrap().len() <= LONGEST);
    }
}
