//! Which logs look as if the commit were not to blame (spec/coordinator.md §6.1).

/// What such a log begins with.
const BEGINNINGS: [&str; 3] = ["exit status ", "timed out after ", "Failed to schedule "];
/// What is in it: no space left, tools that broke, networks that were away, names that could not be looked up.
const WITHIN: [&str; 13] = [
    "No space left on device",
    "fatal error: error in backend: IO failure on output stream",
    "Boffset: unknown state 0",
    "Bseek: unknown state 0",
    "error exporting repository: exit status",
    "remote error: User Is Over Quota",
    "fatal: remote did not send all necessary objects",
    "Failed to schedule \"",
    "lookup _xmpp-server._tcp.google.com",
    "lookup gmail.com",
    "lookup www.mit.edu",
    "undefined: runtime.SetMutexProfileFraction",
    "make.bat: The parameter is incorrect",
];
/// A log of fewer lines that ends by an exit status says nothing of a test.
const SHORT: usize = 20;

/// Whether it looks so.
pub(super) fn is_flaky(log: &str) -> bool {
    let ends = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
    let cloned =
        log.contains("destination path") && log.contains("already exists and is not an empty directory");
    ends(log.trim()) < 2
        || BEGINNINGS.iter().any(|beginning| log.starts_with(beginning))
        || WITHIN.iter().any(|phrase| log.contains(phrase))
        || (ends(log) < SHORT && log.contains("error: exit status"))
        || cloned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_flaky() {
        let long = "ok a\n".repeat(30);
        for flaky in [
            "",
            "killed\n",
            "\n\none\ntwo\n\n",
            &format!("timed out after 1h\n{long}"),
            &format!("{long}write /tmp/x: No space left on device\n"),
            &format!("{long}dial tcp: lookup gmail.com: no such host\n"),
            "a\nb\nc\nerror: exit status 1\n",
            &format!("{long}fatal: destination path 'go' already exists and is not an empty directory.\n"),
        ] {
            assert!(is_flaky(flaky), "{flaky}");
        }
        for sound in [&format!("{long}--- FAIL: TestX\nerror: exit status 1\n"), "a\nb\nc\n--- FAIL: TestX\n"]
        {
            assert!(!is_flaky(sound), "{sound}");
        }
    }
}
