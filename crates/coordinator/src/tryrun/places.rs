//! Lines of a change's files that a log complains of, for whoever shows them beside the code. Text in, places out: what it says of
//! files that are not in the tree is passed over.

use std::collections::{BTreeMap, BTreeSet};

/// The most places of one log.
const MOST: usize = 50;
/// The longest line that is looked at, bytes.
const LONGEST: usize = 2000;
/// The longest message, characters.
const MESSAGE: usize = 500;
/// Lines behind a message of rustc in which its place is.
const NEAR: usize = 4;
/// Where toolchains keep what others wrote, whose files may have the same names.
const OTHERS: [&str; 5] = ["/rustc/", "/registry/src/", "/git/checkouts/", "/pkg/mod/", "/site-packages/"];
/// Lines of one test that are kept until it is known whether it failed.
const PENDING: usize = 50;

/// A line, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From the top of the repository.
    pub path: String,
    /// From 1.
    pub line: u32,
    /// In the log's words.
    pub message: String,
}

/// The files of a tree, found by what logs call them.
#[derive(Debug, Default)]
pub struct Files<'a> {
    whole: BTreeSet<&'a str>,
    /// By their last part: those that have it.
    named: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Files<'a> {
    /// Of paths from the top.
    pub fn new(paths: impl IntoIterator<Item = &'a str>) -> Files<'a> {
        let mut files = Files::default();
        for path in paths {
            files.whole.insert(path);
            files.named.entry(path.rsplit('/').next().unwrap_or(path)).or_default().push(path);
        }
        files
    }

    /// The one file that is meant: by its path from the top, by a part of it that no other has, or by its whole path on the machine.
    fn find(&self, said: &str) -> Option<&'a str> {
        let said = said.strip_prefix("./").unwrap_or(said);
        let said = said.replace('\\', "/");
        let foreign = said.split('/').any(|part| part == "..") || OTHERS.iter().any(|at| said.contains(at));
        if said.is_empty() || foreign {
            return None;
        }
        if let Some(path) = self.whole.get(said.as_str()) {
            return Some(*path);
        }
        let named = self.named.get(said.rsplit('/').next()?)?;
        // On the machine its folder stands before it; in the log of one package that package's is left out.
        let ends = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.ends_with('/'));
        let fits: Vec<&str> = if said.starts_with('/') || said.get(1..3) == Some(":/") {
            let longest = named.iter().filter(|path| ends(&said, path)).max_by_key(|path| path.len());
            longest.copied().into_iter().collect()
        } else {
            named.iter().copied().filter(|path| ends(path, &said)).collect()
        };
        match fits[..] {
            [path] => Some(path),
            _ => None,
        }
    }
}

/// What a log complains of: `go build`, `go vet`, `go test`, rustc, panics of Rust, pytest, gcc and clang.
pub fn places(log: &str, files: &Files<'_>) -> Vec<Place> {
    let mut reader = Reader { files, ..Reader::new() };
    for line in log.lines() {
        if reader.found.len() >= MOST {
            break;
        }
        let end = (0..=LONGEST.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        reader.line(&plain(line.get(..end).unwrap_or_default()));
    }
    reader.found.truncate(MOST);
    reader.found
}

/// A line without what colours it.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.trim_end_matches('\r').chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => drop(chars.by_ref().skip(1).find(char::is_ascii_alphabetic)),
            c if c.is_control() && c != '\t' => {}
            c => text.push(c),
        }
    }
    text
}

struct Reader<'f> {
    files: &'f Files<'f>,
    found: Vec<Place>,
    /// What rustc said, and how many lines ago.
    said: Option<(String, usize)>,
    /// A panic whose words are on the next line.
    panic: Option<(String, u32)>,
    /// Go: the test that is being told of failed.
    failing: bool,
    /// Go: what a test said of which it is not known yet whether it fails.
    pending: Vec<Place>,
    /// pytest: the last words of an error.
    error: Option<String>,
}

static NONE: Files<'static> = Files { whole: BTreeSet::new(), named: BTreeMap::new() };

impl Reader<'_> {
    fn new() -> Self {
        Reader {
            files: &NONE,
            found: Vec::new(),
            said: None,
            panic: None,
            failing: false,
            pending: Vec::new(),
            error: None,
        }
    }

    fn line(&mut self, line: &str) {
        if let Some((path, at)) = self.panic.take() {
            return self.add(&path, at, line.trim());
        }
        let text = line.trim_start();
        if self.rust(text) || self.go(line, text) {
            return;
        }
        if let Some(words) = line.strip_prefix("E ").map(str::trim) {
            if self.error.is_none() && !words.is_empty() {
                self.error = Some(words.to_owned());
            }
            return;
        }
        let Some((path, at, rest)) = numbered(line) else { return };
        if path.ends_with(".py") {
            // `test_a.py:12: AssertionError`, below what was wrong.
            let kind = rest.trim();
            let is_kind = kind.split(['.', ':']).all(|part| !part.is_empty() && !part.contains(' '))
                && kind.ends_with(|last: char| last.is_ascii_alphanumeric());
            if is_kind {
                let message = self.error.take().unwrap_or_else(|| kind.to_owned());
                self.add(path, at, &message);
            }
            return;
        }
        // `a.c:3:5: error: …`
        let rest = column(rest).trim();
        let words = ["error: ", "fatal error: "].iter().find_map(|kind| rest.strip_prefix(kind));
        if let Some(words) = words {
            self.add(path, at, words);
        }
    }

    fn rust(&mut self, text: &str) -> bool {
        if text.starts_with("error: ") || text.starts_with("error[") {
            let message = text.split_once(": ").map_or(text, |(_, message)| message);
            self.said = Some((message.to_owned(), 0));
            return true;
        }
        if let Some(place) = text.strip_prefix("--> ") {
            if let (Some((message, _)), Some((path, at, _))) = (self.said.take(), numbered(place)) {
                self.add(path, at, &message);
            }
            return true;
        }
        if let Some((_, ago)) = &mut self.said {
            *ago += 1;
            if *ago >= NEAR || text.starts_with("warning") {
                self.said = None;
            }
        }
        if let Some((_, place)) = text.split_once("panicked at ") {
            // Before Rust 1.73 the words stood before the place, in quotes.
            let (words, place) = match place.strip_prefix('\'').and_then(|rest| rest.rsplit_once("', ")) {
                Some((words, place)) => (Some(words), place),
                None => (None, place),
            };
            match (words, numbered(place)) {
                (Some(words), Some((path, at, _))) => self.add(path, at, words),
                (None, Some((path, at, _))) => self.panic = Some((path.to_owned(), at)),
                _ => {}
            }
            return true;
        }
        false
    }

    fn go(&mut self, line: &str, text: &str) -> bool {
        if text.starts_with("--- FAIL: ") {
            self.failing = true;
            let pending = std::mem::take(&mut self.pending);
            pending.into_iter().for_each(|place| self.put(place));
            return true;
        }
        if ["--- PASS: ", "--- SKIP: ", "=== RUN ", "ok  \t", "FAIL\t"]
            .iter()
            .any(|mark| text.starts_with(mark))
        {
            self.failing = false;
            self.pending.clear();
            return true;
        }
        let Some((path, at, rest)) = numbered(text.strip_prefix("vet: ").unwrap_or(text)) else {
            return false;
        };
        if !path.ends_with(".go") {
            return false;
        }
        if line.len() == text.len() {
            // The compiler and vet say a column; what a program prints of itself mostly does not.
            let words = column(rest);
            if words.len() < rest.len() {
                self.add(path, at, words.trim());
            }
        } else if self.failing {
            self.add(path, at, rest.trim());
        } else if self.pending.len() < PENDING
            && let Some(path) = self.files.find(path)
        {
            self.pending.push(place(path, at, rest.trim()));
        }
        true
    }

    fn add(&mut self, path: &str, line: u32, message: &str) {
        if let Some(path) = self.files.find(path) {
            self.put(place(path, line, message));
        }
    }

    /// One word of a line is enough.
    fn put(&mut self, place: Place) {
        let known = |one: &Place| (&one.path, one.line) == (&place.path, place.line);
        if !place.message.is_empty() && !self.found.iter().any(known) {
            self.found.push(place);
        }
    }
}

fn place(path: &str, line: u32, message: &str) -> Place {
    Place { path: path.to_owned(), line, message: message.chars().take(MESSAGE).collect() }
}

/// `PATH:LINE` and what follows its colon.
fn numbered(text: &str) -> Option<(&str, u32, &str)> {
    // The colon behind a drive's letter is none.
    let from = if text.get(1..3).is_some_and(|begin| begin == ":\\" || begin == ":/") { 2 } else { 0 };
    let colon = from + text.get(from..)?.find(':')?;
    let (path, rest) = (text.get(..colon)?, text.get(colon + 1..)?);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let line: u32 = rest.get(..digits)?.parse().ok()?;
    let rest = rest.get(digits..)?;
    let good = line > 0 && !path.is_empty() && !path.contains([' ', '\t', '"', '\'']);
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix(':')? };
    good.then_some((path, line, rest))
}

/// What stands behind a column, if there is one.
fn column(rest: &str) -> &str {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        rest
    } else {
        rest.get(digits..).and_then(|rest| rest.strip_prefix(':')).unwrap_or(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: [&str; 8] = [
        "go.mod",
        "a/a.go",
        "a/a_test.go",
        "b/b_test.go",
        "src/main.rs",
        "src/lib.rs",
        "tests/test_x.py",
        "c/main.c",
    ];

    fn found(log: &str) -> Vec<String> {
        let files = Files::new(TREE);
        places(log, &files).iter().map(|one| format!("{} {} {}", one.path, one.line, one.message)).collect()
    }

    #[test]
    fn go_s_compiler_and_failing_tests_are_found() {
        let log = "# example.com/m/a\na/a.go:3:9: undefined: x\n./a/a.go:4:2: \"fmt\" imported and not used\n\
                   vet: b/b_test.go:7:1: no parameters\n";
        assert_eq!(
            found(log),
            [
                "a/a.go 3 undefined: x",
                "a/a.go 4 \"fmt\" imported and not used",
                "b/b_test.go 7 no parameters"
            ]
        );
        let quiet = "--- FAIL: TestA (0.00s)\n    a_test.go:12: got 1, want 2\n    --- FAIL: TestA/sub (0.00s)\n        a_test.go:15: bad\nFAIL\nFAIL\tm/a\t0.1s\n";
        assert_eq!(found(quiet), ["a/a_test.go 12 got 1, want 2", "a/a_test.go 15 bad"]);
        let verbose = "=== RUN   TestGood\n    a_test.go:5: all is well\n--- PASS: TestGood (0.00s)\n=== RUN   TestA\n    b_test.go:9: oh\n--- FAIL: TestA (0.00s)\nFAIL\n";
        assert_eq!(found(verbose), ["b/b_test.go 9 oh"]);
        // What a program prints of itself is no complaint.
        assert_eq!(found("a/a.go:3: listening\n2026/01/02 a.go:4: x\n"), [""; 0]);
    }

    #[test]
    fn rustc_and_panics_are_found_and_warnings_are_not() {
        let log = "warning: unused\n --> src/main.rs:1:5\n  |\n\u{1b}[31merror[E0308]\u{1b}[0m: mismatched types\n  --> src/main.rs:3:18\n   |\nerror: aborting due to 1 previous error\n\nFor more information\n\n\n --> src/lib.rs:9:9\n";
        assert_eq!(found(log), ["src/main.rs 3 mismatched types"]);
        let log = "thread 't' (12) panicked at src/lib.rs:10:5:\nassertion failed: x\nnote: run with\n\
                   thread 'u' panicked at 'old words', src/lib.rs:20:5\n\
                   thread 'v' panicked at /rustc/abc/library/core/src/lib.rs:1:1:\nelsewhere\n";
        assert_eq!(found(log), ["src/lib.rs 10 assertion failed: x", "src/lib.rs 20 old words"]);
    }

    #[test]
    fn pytest_and_c_are_found() {
        let log = "    def test_a():\n>       assert f() == 2\nE       assert 1 == 2\nE        +  where 1 = f()\n\ntests/test_x.py:6: AssertionError\n";
        assert_eq!(found(log), ["tests/test_x.py 6 assert 1 == 2"]);
        assert_eq!(found("tests/test_x.py:6: in <module>\n    import y\n"), [""; 0]);
        let log = "c/main.c:3:5: warning: unused\nc/main.c:4:1: error: expected ';'\n/build/x/c/main.c:9: error: no\n";
        assert_eq!(found(log), ["c/main.c 4 expected ';'", "c/main.c 9 no"]);
    }

    #[test]
    fn only_files_of_the_tree_are_meant_and_not_many() {
        let error = |path: &str| format!("error: bad\n --> {path}:1:1\n");
        for other in
            ["../src/main.rs", "src/../src/main.rs", "/etc/passwd", "other.rs", "main.rs:x", "", "src/"]
        {
            assert_eq!(found(&error(other)), [""; 0], "{other}");
        }
        assert_eq!(found(&error("/srv/1/src/main.rs")), ["src/main.rs 1 bad"]);
        assert_eq!(found(&error("C:\\work\\src\\main.rs")), ["src/main.rs 1 bad"]);
        assert_eq!(found(&error("main.rs")), ["src/main.rs 1 bad"]);
        let both = Files::new(["x/lib.rs", "y/lib.rs"]);
        assert_eq!(places(&error("lib.rs"), &both), [], "nobody is to guess which");
        let many: String = (1..200).map(|line| format!("a/a.go:{line}:1: bad\n")).collect();
        assert_eq!(places(&many, &Files::new(TREE)).len(), MOST);
        let long = format!("a/a.go:1:1: {}\n", "ü".repeat(5000));
        assert!(found(&long)[0].chars().count() <= MESSAGE + 10);
    }
}
