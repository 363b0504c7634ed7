//! The people, machines and words of the demonstration.

/// The demonstration's server file: what gives the grid its columns.
pub const CONFIG: &str = r#"
[repo.flock]
url = "https://git.example/flock"
branches = ["main", "release-*"]
horizon = 1

[repo.flock.tree]
closers = ["linux-amd64", "linux-arm64", "lint"]
throttle_red = 25

[repo.tower]
url = "https://git.example/tower"
horizon = 1

[repo.pasture]
url = "https://git.example/pasture"
horizon = 1

[builder.linux-amd64]
host = "local"
recipe = "test"

[builder.linux-amd64-race]
host = "local"
recipe = "test"
repos = ["flock"]

[builder.linux-arm64]
host = "local"
recipe = "test"

[builder.freebsd-amd64]
host = "local"
recipe = "test"
repos = ["flock", "tower"]

[builder.darwin-arm64]
host = "local"
recipe = "test"

[builder.windows-amd64]
host = "local"
recipe = "test"

[builder.lint]
host = "local"
recipe = "test"

[builder.docs]
host = "local"
recipe = "test"
repos = ["flock", "pasture"]

[recipe.test]
run = "true"
"#;

/// What somebody has set by hand: repo, branch, who, status, why, and for how many seconds.
pub const TREES: [(&str, &str, &str, &str, &str, u64); 2] = [
    (
        "flock",
        "release-1",
        "chiara@flock.example",
        "closed",
        "1.4 is being cut; ask Chiara before you land",
        86_400,
    ),
    ("pasture", "main", "emeka@flock.example", "throttled", "the hedge is being moved, see #418", 10_800),
];

/// Who writes what.
pub const AUTHORS: [(&str, &str); 7] = [
    ("Ada Quist", "ada@flock.example"),
    ("Bram Okoye", "bram@flock.example"),
    ("Chiara Lund", "chiara@flock.example"),
    ("Dmitri Vale", "dmitri@flock.example"),
    ("Emeka Sato", "emeka@flock.example"),
    ("Farah Niemi", "farah@flock.example"),
    ("bellbot", "bot@flock.example"),
];

/// What is done to something.
pub const DEEDS: [&str; 12] = [
    "fix a race in",
    "speed up",
    "document",
    "split",
    "bound the memory of",
    "simplify",
    "test",
    "retry in",
    "log less in",
    "remove dead code from",
    "take a context in",
    "report errors of",
];

/// A repository's words: its packages, the tests in them, and how a failure looks in its language.
pub struct Words {
    /// Packages, or modules.
    pub packages: [&'static str; 6],
    /// Tests; the last one is the flaky one.
    pub tests: [&'static str; 6],
    /// The command of the step `build`.
    pub build: &'static str,
    /// The command of the step `test`.
    pub test: &'static str,
    /// How its tools talk.
    pub tongue: Tongue,
}

/// How tools talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tongue {
    /// `go test -v`
    Go,
    /// `cargo test`
    Cargo,
    /// `pytest`
    Pytest,
}

/// The words of a repository.
pub fn words(repo: &str) -> &'static Words {
    const FLOCK: Words = Words {
        packages: ["herd", "fence", "lease", "watch", "graze", "count"],
        tests: [
            "TestHerdSplitsEvenly",
            "TestFenceRefusesStaleToken",
            "TestLeaseExpires",
            "TestWatchWakesOnHint",
            "TestGrazeIsFair",
            "TestCountUnderLoad",
        ],
        build: "go build ./...",
        test: "go test -v ./...",
        tongue: Tongue::Go,
    };
    const TOWER: Words = Words {
        packages: ["ring", "tone", "clapper", "rope", "tower", "peal"],
        tests: [
            "ring::tests::rings_once",
            "tone::tests::is_a_fifth",
            "clapper::tests::does_not_stick",
            "rope::tests::holds_the_weight",
            "tower::tests::echoes",
            "peal::tests::keeps_time",
        ],
        build: "cargo build --locked",
        test: "cargo test --locked",
        tongue: Tongue::Cargo,
    };
    const PASTURE: Words = Words {
        packages: ["grass", "brook", "hedge", "gate", "barn", "weather"],
        tests: [
            "test_grass_grows",
            "test_brook_flows_down",
            "test_hedge_has_no_hole",
            "test_gate_closes",
            "test_barn_is_dry",
            "test_weather_changes",
        ],
        build: "python3 -m build --wheel",
        test: "python3 -m pytest -v",
        tongue: Tongue::Pytest,
    };
    match repo {
        "flock" => &FLOCK,
        "tower" => &TOWER,
        _ => &PASTURE,
    }
}

impl Words {
    /// The log of a build, up to the test that fails (`None`: none does), in `lines` lines of work before it.
    pub fn log(&self, failing: Option<usize>) -> String {
        let mut log = format!("$ {}\n$ {}\n", self.build, self.test);
        match self.tongue {
            Tongue::Go => self.go(&mut log, failing),
            Tongue::Cargo => self.cargo(&mut log, failing),
            Tongue::Pytest => self.pytest(&mut log, failing),
        }
        log
    }

    fn go(&self, log: &mut String, failing: Option<usize>) {
        for (n, (package, test)) in self.packages.iter().zip(self.tests).enumerate() {
            log.push_str(&format!("=== RUN   {test}\n"));
            if failing == Some(n) {
                log.push_str(&format!(
                    "    {package}_test.go:{}: got 3 sheep, want 4\n--- FAIL: {test} (0.4{n}s)\nFAIL\n\
                     FAIL\tgit.example/flock/{package}\t0.5{n}s\n",
                    40 + n * 17
                ));
            } else {
                log.push_str(&format!(
                    "--- PASS: {test} (0.1{n}s)\nPASS\nok  \tgit.example/flock/{package}\t0.3{n}s\n"
                ));
            }
        }
        if failing.is_some() {
            log.push_str("FAIL\n");
        }
    }

    fn cargo(&self, log: &mut String, failing: Option<usize>) {
        log.push_str("\u{1b}[1m\u{1b}[32m   Compiling\u{1b}[0m tower v0.4.2\n\u{1b}[1m\u{1b}[32m    Finished\u{1b}[0m `test` profile in 21.07s\n\nrunning 6 tests\n");
        for (n, test) in self.tests.iter().enumerate() {
            let said = if failing == Some(n) { "\u{1b}[31mFAILED\u{1b}[m" } else { "\u{1b}[32mok\u{1b}[m" };
            log.push_str(&format!("test {test} ... {said}\n"));
        }
        let Some(n) = failing else {
            return log.push_str("\ntest result: \u{1b}[32mok\u{1b}[m. 6 passed; 0 failed; 0 ignored\n");
        };
        let (test, package) = (self.tests[n], self.packages[n]);
        log.push_str(&format!(
            "\nfailures:\n\n---- {test} stdout ----\n\nthread '{test}' panicked at src/{package}.rs:{}:9:\n\
             assertion `left == right` failed\n  left: 3\n right: 4\n\n\nfailures:\n    {test}\n\n\
             test result: \u{1b}[31mFAILED\u{1b}[m. 5 passed; 1 failed; 0 ignored\n\n\u{1b}[1;31merror\u{1b}[0m: test failed, to rerun pass `--lib`\n",
            60 + n * 11
        ));
    }

    fn pytest(&self, log: &mut String, failing: Option<usize>) {
        log.push_str("===== test session starts =====\ncollected 6 items\n\n");
        for (n, (package, test)) in self.packages.iter().zip(self.tests).enumerate() {
            let said =
                if failing == Some(n) { "\u{1b}[31mFAILED\u{1b}[0m" } else { "\u{1b}[32mPASSED\u{1b}[0m" };
            log.push_str(&format!("tests/test_{package}.py::{test} {said}\n"));
        }
        let Some(n) = failing else { return log.push_str("\n===== 6 passed in 4.11s =====\n") };
        let (test, package) = (self.tests[n], self.packages[n]);
        log.push_str(&format!(
            "\n===== FAILURES =====\n____ {test} ____\n\n    def {test}():\n>       assert count() == 4\n\
             E       assert 3 == 4\n\ntests/test_{package}.py:{}: AssertionError\n\
             ===== short test summary info =====\nFAILED tests/test_{package}.py::{test} - assert 3 == 4\n\
             ===== 1 failed, 5 passed in 4.32s =====\n",
            12 + n * 9
        ));
    }
}
