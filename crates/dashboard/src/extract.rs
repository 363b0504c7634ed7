//! Where a build failed: the failing test or the first error in a log, with a few lines around it.
//!
//! The rules know what the usual tools print. What a test runner says weighs more than what a compiler says, that
//! more than any line with `error`, and that more than make's complaint at the end; among lines of one weight the
//! first wins. Where no rule finds anything, the last lines are shown.

mod rules;

use std::collections::VecDeque;

use crate::api::{Failure, FailureLine};
use rules::{Found, Weight};

/// Lines that are shown before the one that was found.
const BEFORE: usize = 5;
/// Lines that are shown after it.
const AFTER: usize = 12;
/// Lines that are shown if nothing was found.
const TAIL: usize = 15;
/// Longest line that is looked at, in bytes.
const LOOKED_AT: usize = 4096;
/// Longest line that is shown, in characters.
const SHOWN: usize = 500;

/// Finds the failing test, else the first error, else the last lines.
#[must_use]
pub fn first_failure<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<Failure> {
    let mut extractor = Extractor::default();
    for (number, line) in lines.into_iter().enumerate() {
        extractor.line(number as u64, line);
    }
    extractor.finish()
}

/// Takes a log line by line.
#[derive(Debug, Default)]
pub struct Extractor {
    last: VecDeque<FailureLine>,
    best: Option<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    found: Found,
    line: u64,
    headline: String,
    lines: Vec<FailureLine>,
    wants: usize,
}

impl Extractor {
    /// Takes the next line, without its end. `number` counts from 0.
    pub fn line(&mut self, number: u64, line: &str) {
        let line = plain(line);
        if let Some(best) = &mut self.best
            && best.wants > 0
        {
            best.wants -= 1;
            best.lines.push(FailureLine { line: number, text: short(&line) });
        }
        let weight = self.best.as_ref().map(|best| best.found.weight);
        if weight < Some(Weight::Report)
            && let Some(found) = rules::find(&line)
            && Some(found.weight) > weight
        {
            let mut lines: Vec<_> = self.last.iter().rev().take(BEFORE).cloned().collect();
            lines.reverse();
            lines.push(FailureLine { line: number, text: short(&line) });
            let headline = short(line.trim());
            self.best = Some(Candidate { found, line: number, headline, lines, wants: AFTER });
        }
        self.last.push_back(FailureLine { line: number, text: short(&line) });
        if self.last.len() > TAIL {
            self.last.pop_front();
        }
    }

    /// Says what was found; `None` for an empty log.
    #[must_use]
    pub fn finish(self) -> Option<Failure> {
        if let Some(best) = self.best {
            return Some(Failure {
                rule: best.found.rule.to_owned(),
                test: best.found.test,
                headline: best.headline,
                line: best.line,
                lines: best.lines,
                signature: None,
            });
        }
        let lines: Vec<_> = self.last.into();
        let said = lines.iter().rev().find(|line| !line.text.trim().is_empty())?;
        let (headline, line) = (said.text.trim().to_owned(), said.line);
        Some(Failure { rule: "tail".to_owned(), test: None, headline, line, lines, signature: None })
    }
}

/// Returns what builds have in common that failed alike: the rule, and the test or the line that says it without what
/// differs from run to run, such as numbers, addresses and folders.
#[must_use]
pub fn likeness(failure: &Failure) -> String {
    let said = failure.test.as_deref().unwrap_or(&failure.headline);
    let mut text = format!("{}\n", failure.rule);
    for word in said.split_whitespace() {
        let path = word.contains('/');
        let word = if path { word.rsplit('/').next().unwrap_or(word) } else { word };
        let digits = word.trim_start_matches("0x");
        let hexadecimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hexadecimal && (digits.len() >= 7 || digits.len() < word.len()) {
            text.push_str("# ");
            continue;
        }
        let mut number = false;
        for c in word.chars() {
            let digit = c.is_ascii_digit();
            if digit && !number {
                text.push('#');
            }
            if !digit {
                text.push(c);
            }
            number = digit;
        }
        text.push(' ');
    }
    text
}

/// Takes out escape sequences, and what a carriage return has painted over.
fn plain(line: &str) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut text = String::with_capacity(line.len().min(LOOKED_AT));
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if text.len() >= LOOKED_AT {
            break;
        }
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => {
                    // A control sequence ends with its first letter or `@`…`~`.
                    let _ = chars.by_ref().find(|c| ('@'..='~').contains(c));
                }
                Some(']') => {
                    let _ = chars.by_ref().find(|c| *c == '\u{7}' || *c == '\u{1b}');
                }
                _ => {}
            },
            '\t' => text.push_str("    "),
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    text
}

fn short(line: &str) -> String {
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(log: &str) -> (String, Option<String>, String) {
        let failure = first_failure(log.lines()).unwrap();
        (failure.rule, failure.test, failure.headline)
    }

    fn is(log: &str, rule: &str, test: Option<&str>, headline: &str) {
        assert_eq!(found(log), (rule.to_owned(), test.map(str::to_owned), headline.to_owned()), "{log}");
    }

    #[test]
    fn libtest() {
        let log = "running 2 tests\ntest a::works ... ok\ntest a::breaks ... FAILED\n\nfailures:\n\n\
            ---- a::breaks stdout ----\n\nthread 'a::breaks' panicked at src/lib.rs:3:9:\nassertion failed: false\n\n\
            failures:\n    a::breaks\n\ntest result: FAILED. 1 passed; 1 failed\n\n\
            error: test failed, to rerun pass `--lib`\n";
        is(log, "libtest", Some("a::breaks"), "---- a::breaks stdout ----");
        let failure = first_failure(log.lines()).unwrap();
        assert_eq!(failure.line, 6);
        assert!(failure.lines.iter().any(|line| line.text.contains("assertion failed")));
        is("        FAIL [   0.005s] c a::b\n", "nextest", Some("c a::b"), "FAIL [   0.005s] c a::b");
        is("test a::b ... FAILED\n", "libtest", Some("a::b"), "test a::b ... FAILED");
    }

    #[test]
    fn go() {
        let log = "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n    b_test.go:7: got 1, want 2\n\
            --- FAIL: TestB (0.01s)\nFAIL\nFAIL\texample.com/b\t0.003s\n";
        is(log, "go-test", Some("TestB"), "--- FAIL: TestB (0.01s)");
        assert!(first_failure(log.lines()).unwrap().lines.iter().any(|line| line.text.contains("want 2")));
        let log = "# example.com/b\n./b.go:5:2: undefined: x\nFAIL\texample.com/b [build failed]\n";
        is(log, "go-build", None, "./b.go:5:2: undefined: x");
        let log = "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\n";
        is(log, "go-panic", None, "panic: runtime error: index out of range");
    }

    #[test]
    fn python() {
        let log = "tests/test_a.py .F\n=== FAILURES ===\n____ test_b ____\n\n    def test_b():\n>       assert 1 == 2\n\
            E       assert 1 == 2\n\ntests/test_a.py:5: AssertionError\n=== short test summary info ===\n\
            FAILED tests/test_a.py::test_b - assert 1 == 2\n";
        is(log, "pytest", Some("test_b"), "____ test_b ____");
        is(
            "FAILED tests/test_a.py::test_b - x\n",
            "pytest",
            Some("tests/test_a.py::test_b"),
            "FAILED tests/test_a.py::test_b - x",
        );
        let log = "..F\n=====\nFAIL: test_b (tests.T.test_b)\n-----\nTraceback (most recent call last):\n  File \"t.py\"\nAssertionError: 1 != 2\n";
        is(log, "unittest", Some("test_b"), "FAIL: test_b (tests.T.test_b)");
        let log = "Traceback (most recent call last):\n  File \"x.py\", line 1\n    import y\nModuleNotFoundError: No module named 'y'\n";
        is(log, "python", None, "Traceback (most recent call last):");
    }

    #[test]
    fn javascript() {
        is("ok 1 - a\nnot ok 2 - adds\n  ---\n", "tap", Some("adds"), "not ok 2 - adds");
        is("✔ a (1ms)\n✖ adds (2.5ms)\n", "node-test", Some("adds"), "✖ adds (2.5ms)");
        is("  ● sum › adds\n\n    expect(3).toBe(4)\n", "jest", Some("sum › adds"), "● sum › adds");
        is("npm error code ERESOLVE\nnpm error more\n", "npm", None, "npm error code ERESOLVE");
        is("npm ERR! code ELIFECYCLE\n", "npm", None, "npm ERR! code ELIFECYCLE");
        is("not ok 3 - later # TODO not yet\nerror: x\n", "error", None, "error: x");
    }

    #[test]
    fn compilers() {
        let log = "   Compiling a v0.1.0\nerror[E0308]: mismatched types\n --> src/lib.rs:2:5\n  |\n\
            error: could not compile `a`\n";
        is(log, "rustc", None, "error[E0308]: mismatched types");
        is(
            "cc -c a.c\na.c:3:5: error: expected ';'\nmake: *** [a.o] Error 1\n",
            "cc",
            None,
            "a.c:3:5: error: expected ';'",
        );
        is(
            "a.c:1:10: fatal error: x.h: No such file or directory\n",
            "cc",
            None,
            "a.c:1:10: fatal error: x.h: No such file or directory",
        );
        is("a.o: undefined reference to `f'\n", "ld", None, "a.o: undefined reference to `f'");
        is("CMake Error at CMakeLists.txt:3 (x):\n", "cmake", None, "CMake Error at CMakeLists.txt:3 (x):");
        is("src/a.ts(3,5): error TS2322: no\n", "tsc", None, "src/a.ts(3,5): error TS2322: no");
    }

    #[test]
    fn the_rest() {
        let log = "50% tests passed\nThe following tests FAILED:\n     2 - adds (Failed)\n";
        is(log, "ctest", Some("adds"), "2 - adds (Failed)");
        is(
            "make: *** No rule to make target 'x'.  Stop.\n",
            "make",
            None,
            "make: *** No rule to make target 'x'.  Stop.",
        );
        is("go\nError: the sky fell\nbye\n", "error", None, "Error: the sky fell");
        is("bash: line 1: foo: command not found\n", "shell", None, "bash: line 1: foo: command not found");
        is("one\ntwo\n\n", "tail", None, "two");
        assert_eq!(first_failure([]), None);
        assert_eq!(first_failure(["", " "]), None);
    }

    #[test]
    fn words_in_passing_are_no_error() {
        is("0 errors\ntest errors::none ... ok\n-Werror: yes\nerror_test passed\nend\n", "tail", None, "end");
    }

    #[test]
    fn runs_that_failed_alike_are_alike() {
        let like = |log: &str| likeness(&first_failure(log.lines()).unwrap());
        assert_eq!(like("test a::b ... FAILED\nx 1\n"), like("y\ntest a::b ... FAILED\nx 2\n"));
        assert_ne!(like("test a::b ... FAILED\n"), like("test a::c ... FAILED\n"));
        assert_eq!(
            like("/tmp/job-17/src/a.c:3:5: error: expected ';'\n"),
            like("/tmp/job-4/src/a.c:4:15: error: expected ';'\n")
        );
        assert_ne!(like("a.c:3:5: error: expected ';'\n"), like("b.c:3:5: error: expected ';'\n"));
        assert_eq!(like("panic: at 0x7f00\n"), like("panic: at 0x1000\n"));
    }

    #[test]
    fn colours_and_progress_are_not_shown() {
        is("\u{1b}[1m\u{1b}[31merror[E0001]\u{1b}[0m: x\u{1b}[K\n", "rustc", None, "error[E0001]: x");
        is("10%\r50%\rerror: full\n", "error", None, "error: full");
        is("\u{1b}]8;;http://x\u{7}error: link\n", "error", None, "error: link");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(log in "(?s).{0,400}") {
            let _ = first_failure(log.lines());
        }
    }
}
