//! `Depends-On:` at the end of a commit's message: which changes it names.

/// The most of them that are read of one message.
const MOST: usize = 20;
/// The longest that is read, in bytes.
const LONGEST: usize = 500;

/// What a footer names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Footer {
    /// All changes of a `Change-Id`.
    Id(String),
    /// A change of a Gerrit.
    Place {
        /// The server's host, with its port where the address has one.
        host: String,
        /// The project on it; none where the address leaves it to the number.
        project: Option<String>,
        /// The change.
        number: i32,
    },
    /// Nothing that is known: the text, cut, and why.
    Other(String, &'static str),
}

/// Reads the footers of a message: those of its last paragraph.
pub fn of_message(message: &[u8]) -> Vec<Footer> {
    let text = String::from_utf8_lossy(message);
    let text = text.trim_end();
    let last = text.rsplit_once("\n\n").map_or("", |(_, last)| last);
    let values = last.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case("depends-on").then(|| value.trim())
    });
    let mut all: Vec<Footer> = values.clone().take(MOST).map(read).collect();
    if values.count() > MOST {
        all.push(Footer::Other(format!("more than {MOST} footers"), "that is too many"));
    }
    all
}

fn read(value: &str) -> Footer {
    let other = |why| Footer::Other(value.chars().take(100).collect(), why);
    if value.len() > LONGEST {
        return other("it is too long");
    }
    let digits = value.strip_prefix('I').unwrap_or_default();
    if digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Footer::Id(value.to_owned());
    }
    let Some(rest) = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://")) else {
        return other("it is neither a Change-Id nor the address of a change");
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.strip_prefix("#/").unwrap_or(path);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| matches!(*part, "pull" | "merge_requests")) {
        return other("pull requests can't be depended on yet");
    }
    let host = match host.strip_suffix("-review.googlesource.com") {
        Some(name) => format!("{name}.googlesource.com"),
        None => host.to_owned(),
    };
    // `PREFIX/c/PROJECT/+/NUMBER/PATCHSET`, `c/NUMBER`, `NUMBER`.
    let place = match parts.iter().position(|part| *part == "+") {
        Some(plus) => {
            let from = parts[..plus].iter().position(|part| *part == "c").map_or(0, |at| at + 1);
            (Some(parts[from..plus].join("/")).filter(|name| !name.is_empty()), parts.get(plus + 1))
        }
        None => (None, parts.iter().find(|part| **part != "c")),
    };
    let number = place.1.and_then(|digits| digits.parse::<i32>().ok()).filter(|number| *number > 0);
    match (number, &place.0) {
        (Some(number), project) => Footer::Place { host, project: project.clone(), number },
        (None, _) => other("it is not the address of a change"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str, project: Option<&str>, number: i32) -> Footer {
        Footer::Place { host: host.to_owned(), project: project.map(str::to_owned), number }
    }

    #[test]
    fn a_footer_is_an_id_or_an_address() {
        let id = format!("I{}", "0a".repeat(20));
        for (value, want) in [
            (id.as_str(), Footer::Id(id.clone())),
            ("https://g.example.org/c/a/b/+/12", place("g.example.org", Some("a/b"), 12)),
            ("https://g.example.org:8080/r/c/a/+/12/3?tab=x", place("g.example.org:8080", Some("a"), 12)),
            ("https://go-review.googlesource.com/c/sync/+/9/", place("go.googlesource.com", Some("sync"), 9)),
            ("http://g/c/12", place("g", None, 12)),
            ("http://g/12", place("g", None, 12)),
            ("https://g/#/c/12/", place("g", None, 12)),
        ] {
            assert_eq!(read(value), want, "{value}");
        }
        for value in [
            "",
            "12",
            "Iabc",
            "https://g",
            "https://g/c/a/+/x",
            "https://g/c/a/+/-1",
            "https://github.com/o/r/pull/1",
        ] {
            assert!(matches!(read(value), Footer::Other(..)), "{value}");
        }
    }

    #[test]
    fn footers_are_in_the_last_paragraph() {
        let text = "One\n\nDepends-On: https://g/1\n\ndepends-on:https://g/2\nDepends-On: https://g/3\nChange-Id: I1\n\n";
        assert_eq!(of_message(text.as_bytes()), [place("g", None, 2), place("g", None, 3)]);
        assert_eq!(of_message(b"Depends-On: https://g/1"), []);
        assert_eq!(of_message(b"\xff\n\n\xff: x\n"), []);
        let many = format!("x\n\n{}", "Depends-On: https://g/1\n".repeat(30));
        assert_eq!(of_message(many.as_bytes()).len(), MOST + 1);
    }
}
