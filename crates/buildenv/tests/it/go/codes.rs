//! The policy codes of go-profile.md B.2, read from the tables and not from the configuration.

use buildenv::Class;

const D: &[&str] = &["build", "exp", "mobile", "pkgsite-metrics", "vulndb", "website"];

/// What is asked: a branch of a repository against one of Go's.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub repo: &'a str,
    pub branch: &'a str,
    pub go: &'a str,
}

/// Major and minor version of a release branch.
fn release(branch: &str) -> Option<(u32, u32)> {
    let (major, minor) = branch.strip_prefix("release-branch.go")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn at_least(branch: &str, minor: u32) -> bool {
    branch == "master" || branch.starts_with("dev.") || release(branch).is_some_and(|r| r >= (1, minor))
}

impl Case<'_> {
    fn masters(self) -> bool {
        self.branch == "master" && self.go == "master"
    }

    /// What holds for all builders. `minimum` is the lowest minor version of Go.
    fn allowed(self, builder: &str, minimum: u32) -> bool {
        for version in [self.branch, self.go].into_iter().filter_map(release) {
            let old = version.0 != 1 || version.1 < 11 || version.1 < minimum;
            if old || self.repo == "exp" || (self.repo == "pkgsite" && version.1 < 23) {
                return false;
            }
        }
        let boring = self.branch == "dev.boringcrypto" || self.branch.starts_with("dev.boringcrypto.");
        self.repo != "go" || !boring || builder == "linux-amd64" || builder.starts_with("windows-386")
    }

    /// The code of a builder's repositories.
    fn repos(self, code: &str) -> bool {
        if let Some((policy, condition)) = code.split_once(" & ") {
            let holds = match condition {
                "goBranch=master" => self.go == "master",
                "go<=1.22" => release(self.go).is_some_and(|(_, minor)| minor <= 22),
                other => panic!("{other}"),
            };
            return holds && self.repos(policy);
        }
        let inside = |name: &str| code.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        if let Some(inner) = inside("m") {
            return self.masters() && self.repos(inner);
        }
        if let Some(inner) = inside("xm") {
            return (self.repo == "go" || self.masters()) && self.repos(inner);
        }
        if let Some(list) = inside("only") {
            return list.split(',').any(|repo| repo == self.repo);
        }
        let without = |list: &[&str]| !D.contains(&self.repo) && !list.contains(&self.repo);
        let js = ["benchmarks", "debug", "perf", "talks", "tools", "tour", "website"];
        match code {
            "ALL" => true,
            "NONE" => false,
            "GO" => self.repo == "go",
            "JS" => without(&js) && (self.repo == "go" || self.masters()) && at_least(self.go, 21),
            "WASI" => self.repo != "pkgsite" && self.repos("JS"),
            "PLAN9" => {
                self.masters() && without(&["benchmarks", "review", "website", "vulndb", "vuln", "pkgsite"])
            }
            "DLT" => self.repos("xm(D)") && (self.repo != "go" || at_least(self.go, 21)),
            "ANDROID" => {
                let known = self.repo == "mobile" || without(&["blog", "talks", "review", "tour"]);
                known && (self.repo != "pkgsite" || at_least(self.go, 21))
            }
            "LOONG" => {
                self.repo == "go" || ["arch", "net", "sys"].contains(&self.repo) && self.branch == "master"
            }
            "PERF" => {
                self.repo == "benchmarks" || self.repo == "tools" && self.go.starts_with("release-branch")
            }
            default => self.default_with(default),
        }
    }

    /// `D`, and what is added to it or taken from it. Names of repositories have dashes only after a plus.
    fn default_with(self, code: &str) -> bool {
        let mut built = !D.contains(&self.repo);
        let more = code.strip_prefix('D').unwrap_or_else(|| panic!("{code}"));
        for at in more.match_indices(['+', '-']).map(|(at, _)| at) {
            let name = more[at + 1..].split(['+', '-']).next().unwrap();
            if name == self.repo {
                built = more[at..].starts_with('+');
            }
        }
        built
    }

    /// The code of the changes that a builder tries.
    fn tried(self, builder: &str, code: &str) -> bool {
        match code {
            "" => false,
            "DT" => self.repo != "grpc-review",
            "REL" => self.repo == "go" && self.branch.starts_with("release-branch."),
            "MISC" => self.compiled(builder),
            other => self.repos(other),
        }
    }

    fn compiled(self, builder: &str) -> bool {
        let parts: Vec<_> = builder.split('-').collect();
        let (os, arch) = (parts[2], parts[3]);
        match self.repo {
            "go" => true,
            _ if self.branch != "master" => false,
            "exp" | "mobile" => false,
            "benchmarks" => os != "plan9" && arch != "loong64",
            "build" => arch != "riscv64",
            "pkgsite" => os != "plan9" && os != "wasip1",
            "vuln" | "website" => os != "plan9",
            "vulndb" => os != "aix",
            _ => true,
        }
    }

    /// Whether a builder with this row builds the case.
    pub fn builds(self, row: &std::collections::BTreeMap<&str, &str>, class: Class) -> bool {
        let minimum = row["flags"].split_once("min=1.").map_or(0, |(_, minor)| minor.parse().unwrap());
        let wanted = match class {
            Class::PostSubmit => !row["flags"].contains("tryonly"),
            Class::Try => self.tried(row["builder"], row["try"]),
        };
        wanted && self.allowed(row["builder"], minimum) && self.repos(row["repos"])
    }
}

/// Tests of which some adjuster speaks, and some others.
pub const TESTS: &[&str] = &[
    "api",
    "reboot",
    "test:0_1",
    "go_test:cmd/go",
    "go_test:cmd/go/internal/load",
    "go_test:fmt",
    "doc_progs",
    "wiki",
    "bench_go1",
    "codewalk",
    "runtime:cpu124",
    "race",
    "moved_goroot",
];

/// Whether a test runs, by the code of a builder's adjuster.
pub fn runs_test(builder: &str, code: &str, test: &str, class: Class) -> bool {
    let tried = class == Class::Try;
    let (large, reboot) = (test.starts_with("test:"), test == "reboot");
    let drops = |code: &str| match code {
        "" => false,
        "fast" => tried && (large || reboot),
        "notest" => large || reboot,
        "noreboot" => reboot,
        "noapi" => reboot || test == "api",
        "mac" => {
            let tries = ["runtime:cpu124", "race", "moved_goroot"];
            let always = ["api", "doc_progs", "wiki", "bench_go1", "codewalk"];
            large || reboot || always.contains(&test) || tried && tries.contains(&test)
        }
        "p9" => test == "api" || test == "go_test:cmd/go",
        "wasm" => tried && (test.contains("/internal/") || reboot),
        other => panic!("{other}"),
    };
    let off = tried && test == "api" && builder != "linux-amd64";
    !off && !code.split('+').any(drops)
}
