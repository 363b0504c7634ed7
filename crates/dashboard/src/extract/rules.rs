//! What the usual tools print when something fails, line by line.

/// How much a line says about why a build failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// It says that something before it failed.
    Echo,
    /// It has the word `error` in the right place.
    Word,
    /// A tool says what is wrong.
    Tool,
    /// A test runner names a test that failed.
    Test,
    /// A test runner begins to tell how that test failed.
    Report,
}

/// What a line was found to be.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) weight: Weight,
    pub(super) rule: &'static str,
    pub(super) test: Option<String>,
}

type Rule = fn(&str) -> Option<Found>;

const RULES: &[Rule] = &[libtest, go, pytest, unittest, tap, javascript, ctest, compilers, tools, words];

/// Finds the first rule that knows a line. Escape sequences are out already.
pub(super) fn find(line: &str) -> Option<Found> {
    RULES.iter().find_map(|rule| rule(line))
}

fn hit(weight: Weight, rule: &'static str) -> Option<Found> {
    Some(Found { weight, rule, test: None })
}

fn test(weight: Weight, rule: &'static str, name: &str) -> Option<Found> {
    Some(Found { weight, rule, test: Some(name.trim().to_owned()) })
}

fn libtest(line: &str) -> Option<Found> {
    if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
        return test(Weight::Report, "libtest", name);
    }
    if let Some((_, name)) = line.trim_start().strip_prefix("FAIL [").and_then(|rest| rest.split_once("s] "))
    {
        return test(Weight::Test, "nextest", name);
    }
    let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
    test(Weight::Test, "libtest", name)
}

fn go(line: &str) -> Option<Found> {
    if let Some(rest) = line.trim_start().strip_prefix("--- FAIL: ") {
        // A test's own lines come before it, or after it where tests run at once; both are shown.
        return test(Weight::Report, "go-test", rest.rsplit_once(" (").map_or(rest, |(name, _)| name));
    }
    if line.starts_with("panic: ") {
        return hit(Weight::Tool, "go-panic");
    }
    let (file, rest) = line.split_once(".go:")?;
    if file.contains(' ') && !file.starts_with("vet: ") {
        return None;
    }
    let mut numbers = rest.splitn(3, ':');
    let (row, column) = (numbers.next()?, numbers.next()?);
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if number(row) && number(column) && numbers.next().is_some() {
        hit(Weight::Tool, "go-build")
    } else {
        None
    }
}

fn pytest(line: &str) -> Option<Found> {
    if let Some(rest) = line.strip_prefix("FAILED ").or_else(|| line.strip_prefix("ERROR "))
        && rest.contains(".py")
        && rest.split(' ').next().is_some_and(|name| name.contains("::") || name.ends_with(".py"))
    {
        return test(Weight::Test, "pytest", rest.split(" - ").next().unwrap_or(rest));
    }
    let name = line.strip_prefix("____")?.trim_matches('_');
    let framed = name.starts_with(' ') && name.ends_with(' ') && line.ends_with("____");
    if framed && !name.trim().is_empty() { test(Weight::Report, "pytest", name) } else { None }
}

fn unittest(line: &str) -> Option<Found> {
    let rest = line.strip_prefix("FAIL: ").or_else(|| line.strip_prefix("ERROR: "))?;
    let (name, class) = rest.split_once(" (")?;
    if name.contains(' ') || !class.ends_with(')') { None } else { test(Weight::Report, "unittest", name) }
}

fn tap(line: &str) -> Option<Found> {
    let rest = line.trim_start().strip_prefix("not ok")?;
    let upper = rest.to_ascii_uppercase();
    if !rest.starts_with(' ') || upper.contains("# TODO") || upper.contains("# SKIP") {
        return None;
    }
    let name = rest.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    let name = name.strip_prefix("- ").unwrap_or(name);
    test(Weight::Report, "tap", name)
}

fn javascript(line: &str) -> Option<Found> {
    let trimmed = line.trim_start();
    if let Some(name) = trimmed.strip_prefix("✖ ").filter(|name| !name.starts_with("failing tests")) {
        return test(Weight::Test, "node-test", name.rsplit_once(" (").map_or(name, |(name, _)| name));
    }
    if let Some(name) = trimmed.strip_prefix("● ").filter(|_| trimmed.len() < line.len()) {
        return test(Weight::Report, "jest", name);
    }
    if line.starts_with("npm ERR! ") || line.starts_with("npm error ") {
        return hit(Weight::Word, "npm");
    }
    None
}

fn ctest(line: &str) -> Option<Found> {
    let rest = line
        .trim_start()
        .strip_suffix(" (Failed)")
        .or_else(|| line.trim_start().strip_suffix(" (Timeout)"))?;
    let (number, name) = rest.split_once(" - ")?;
    if number.bytes().all(|byte| byte.is_ascii_digit()) { test(Weight::Test, "ctest", name) } else { None }
}

fn compilers(line: &str) -> Option<Found> {
    if line.starts_with("error[E") && line.contains("]: ") {
        return hit(Weight::Tool, "rustc");
    }
    if let Some((place, _)) = line.split_once(": error: ").or_else(|| line.split_once(": fatal error: "))
        && place.rsplit(':').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
        && place.contains(':')
    {
        return hit(Weight::Tool, "cc");
    }
    if line.contains(": undefined reference to ") || line.contains("cannot find -l") {
        return hit(Weight::Tool, "ld");
    }
    if line.starts_with("CMake Error") {
        return hit(Weight::Tool, "cmake");
    }
    if line.contains(": error TS") {
        return hit(Weight::Tool, "tsc");
    }
    None
}

fn tools(line: &str) -> Option<Found> {
    if line == "Traceback (most recent call last):" {
        return hit(Weight::Tool, "python");
    }
    if line.starts_with("thread '") && line.contains(" panicked at ") {
        return hit(Weight::Tool, "panic");
    }
    if line.ends_with(": command not found") || line.ends_with(": not found") && line.contains("sh: ") {
        return hit(Weight::Word, "shell");
    }
    if line.contains("make") && line.contains(": *** ") {
        return hit(Weight::Echo, "make");
    }
    None
}

/// `error:` as a word at the beginning or after a blank, however it is written.
fn words(line: &str) -> Option<Found> {
    for word in ["error: ", "fatal: ", "fatal error: "] {
        let mut from = 0;
        while let Some(at) = find_ignoring_case(&line[from..], word).map(|at| from + at) {
            let free = line[..at].chars().next_back().is_none_or(|before| " ([\"'".contains(before));
            if free {
                return hit(Weight::Word, "error");
            }
            from = at + word.len();
        }
    }
    None
}

/// Finds an ASCII text; where it is found, `line` can be cut.
fn find_ignoring_case(line: &str, text: &str) -> Option<usize> {
    line.as_bytes().windows(text.len()).position(|part| part.eq_ignore_ascii_case(text.as_bytes()))
}
