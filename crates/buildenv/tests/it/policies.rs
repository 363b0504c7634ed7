//! The original's policies, said in a file: spec/coordinator.md §7.5, row by row.

use buildenv::{Class, Config, plan};

use crate::{load, name};

fn config() -> Config {
    load(include_str!("../policies.toml"))
}

/// What a builder builds: `both`, `post`, `try` or `none`. `at` is the Go branch.
fn builds(config: &Config, builder: &str, repo: &str, branch: &str, at: &str) -> &'static str {
    let go = (repo != "go").then_some(at);
    let has = |class| {
        let plan = plan(config, &name(repo), branch, go, class);
        assert_eq!(plan.builds.len() + plan.left_out.len(), config.builders().len());
        plan.builds.iter().any(|p| p.builder.name.as_str() == builder)
    };
    match (has(Class::PostSubmit), has(Class::Try)) {
        (true, true) => "both",
        (true, false) => "post",
        (false, true) => "try",
        (false, false) => "none",
    }
}

/// `BUILDERS[@1.N]: REPOS = WANT`, one row a line; x/ repositories are on master.
const TABLE: &str = "
linux-amd64: go net sys website mobile exp build vulndb = both
linux-amd64@1.99: exp = none
linux-amd64-ssacheck: net = none
linux-amd64-ssacheck@1.99: net = none
linux-386-softfloat: crypto = post
linux-386-softfloat@1.99: crypto = post
android-amd64-emu: mobile = both
android-amd64-emu: go crypto net sync sys text time tools = post
android-amd64-emu: website build = none
android-386-emu: go mobile crypto net = post
android-386-emu: build = none
linux-loong64-3a5000: go arch net sys = post
linux-loong64-3a5000@1.99: go net sys = post
linux-loong64-3a5000: crypto = none
openbsd-amd64-72: go = both
openbsd-amd64-72@1.99: go = both
freebsd-amd64-13_0 freebsd-386-13_0: go net = post
freebsd-amd64-13_0 freebsd-386-13_0 freebsd-amd64-12_3: mobile exp = none
freebsd-amd64-12_3: go net = both
freebsd-386-12_3: go net = post
netbsd-amd64-9_3: go net = post
netbsd-amd64-9_3: sys = both
aix-ppc64: go net term = post
aix-ppc64: mobile exp = none
linux-amd64-nocgo: mobile build perf = none
linux-amd64-nocgo: exp = post
ios-arm64-corellium: go = post
ios-arm64-corellium: net = none
ios-arm64-corellium@1.22: go = none
linux-amd64-androidemu: mobile = both
linux-amd64-androidemu: go net = none
linux-amd64-race: go net exp = both
darwin-amd64-race: go = post
darwin-amd64-race: net = none
linux-amd64-longtest: go net exp build vulndb = post
linux-amd64-longtest@1.99: go = both
linux-amd64-longtest@1.99: net = none
darwin-amd64-longtest: go net = post
darwin-amd64-longtest@1.99: go = post
darwin-amd64-longtest@1.99: net = none
darwin-amd64-longtest@1.21: go = post
darwin-amd64-longtest@1.20: go = none
windows-amd64-longtest: go net exp = post
windows-amd64-longtest@1.99: go = both
windows-amd64-longtest: mobile = none
linux-386-longtest: go net = post
linux-386-longtest: exp mobile build = none
windows-386-2016: exp = none
windows-amd64-2016: exp build = both
darwin-amd64-11_0: go exp build = post
darwin-amd64-10_15: go net exp build = none
darwin-amd64-10_15@1.22: go net = post
darwin-amd64-10_15@1.23: go net = none
linux-amd64-sid: build = none
linux-amd64-sid@1.22 freebsd-amd64-13_0@1.22: pkgsite = none
linux-amd64-sid@1.23: pkgsite = post
linux-amd64@1.20: pkgsite-metrics = both
linux-amd64@1.10: go net = none
linux-amd64-perf: benchmarks = post
linux-amd64-perf: tools = none
linux-amd64-perf@1.22: tools = post
linux-amd64-vmx: go net = none
plan9-386: go net exp mobile = none
plan9-amd64-0intro: go net = post
plan9-amd64-0intro: exp mobile = none
plan9-amd64-0intro@1.99: go net = none
plan9-arm: go = post
plan9-arm: exp mobile = none
linux-amd64-staticlockranking: go = post
linux-amd64-staticlockranking: net = none
linux-amd64-newinliner: go = both
linux-amd64-newinliner: tools = none
linux-amd64-newinliner@1.22: go = none
js-wasm-node18 wasip1-wasm-wasmtime: go = both
wasip1-wasm-wasmer: go = post
js-wasm-node18 wasip1-wasm-wasmtime wasip1-wasm-wasmer: net sys = post
js-wasm-node18: pkgsite = post
wasip1-wasm-wasmer: pkgsite = none
js-wasm-node18 wasip1-wasm-wasmer: build tools = none
js-wasm-node18@1.22: net = none
js-wasm-node18@1.20: go = none
linux-mips-rtrk openbsd-mips64-jsing: go net sys = post
linux-mips-rtrk openbsd-mips64-jsing@1.22: go crypto = none
misc-compile-netbsd-386 misc-compile-plan9-386: go net = try
misc-compile-netbsd-386: benchmarks = try
misc-compile-plan9-386: benchmarks exp build = none
misc-compile-openbsd-ppc64-go1.22@1.21: go = none
misc-compile-openbsd-ppc64-go1.22@1.22: go = try
";

#[test]
fn the_table_of_the_original_holds() {
    let config = config();
    let mut rows = 0;
    for row in TABLE.lines().filter(|l| !l.is_empty()) {
        let (who, rest) = row.split_once(": ").unwrap();
        let (repos, want) = rest.split_once(" = ").unwrap();
        let last = who.split_once('@').map(|(_, at)| at);
        for builder in who.split(' ') {
            let (builder, at) = builder.split_once('@').map_or((builder, last), |(b, at)| (b, Some(at)));
            let go = at.map_or("master".to_string(), |at| format!("release-branch.go{at}"));
            assert!(config.builders().iter().any(|b| b.name.as_str() == builder), "{builder}");
            for repo in repos.split(' ') {
                let branch = if repo == "go" { go.as_str() } else { "master" };
                assert_eq!(builds(&config, builder, repo, branch, &go), want, "{builder} {repo}: {row}");
                rows += 1;
            }
        }
    }
    assert!(rows > 150, "{rows}");
}

fn tries(config: &Config, repo: &str, branch: &str) -> Vec<String> {
    let go = (repo != "go").then_some("master");
    let plan = plan(config, &name(repo), branch, go, Class::Try);
    let names = plan.builds.iter().map(|p| p.builder.name.to_string());
    names.filter(|n| !n.starts_with("misc-compile")).collect()
}

#[test]
fn the_try_sets_of_the_original_hold() {
    let config = config();
    let go = "freebsd-amd64-12_3 js-wasm-node18 linux-386 linux-amd64 linux-amd64-boringcrypto linux-amd64-newinliner linux-amd64-race linux-arm64 openbsd-amd64-72 wasip1-wasm-wasmtime windows-386-2016 windows-amd64-2016";
    assert_eq!(tries(&config, "go", "master").join(" "), go);
    let release = "freebsd-amd64-12_3 js-wasm-node18 linux-386 linux-386-longtest linux-amd64 linux-amd64-boringcrypto linux-amd64-longtest linux-amd64-race linux-arm64 linux-arm64-longtest openbsd-amd64-72 wasip1-wasm-wasmtime windows-386-2016 windows-amd64-2016 windows-amd64-longtest";
    assert_eq!(tries(&config, "go", "release-branch.go1.22").join(" "), release);
    assert_eq!(tries(&config, "go", "release-branch.go1.21").join(" "), release);
    let mobile = "android-amd64-emu linux-amd64 linux-amd64-androidemu linux-amd64-race";
    assert_eq!(tries(&config, "mobile", "master").join(" "), mobile);
    let sys = "freebsd-386-13_0 freebsd-amd64-12_3 freebsd-amd64-13_0 linux-386 linux-amd64 linux-amd64-boringcrypto linux-amd64-race linux-arm64 netbsd-amd64-9_3 openbsd-386-72 openbsd-amd64-72 windows-386-2016 windows-amd64-2016";
    assert_eq!(tries(&config, "sys", "master").join(" "), sys);
    assert_eq!(tries(&config, "exp", "master").join(" "), "linux-amd64 linux-amd64-race windows-amd64-2016");
    assert_eq!(tries(&config, "website", "master").join(" "), "linux-amd64 linux-amd64-race");
    assert_eq!(tries(&config, "grpc-review", "master").join(" "), "");
}

#[test]
fn boringcrypto_is_built_by_two_only() {
    let config = config();
    let plan = plan(&config, &name("go"), "dev.boringcrypto.go1.8", None, Class::PostSubmit);
    let names: Vec<_> = plan.builds.iter().map(|p| p.builder.name.as_str()).collect();
    assert_eq!(names, ["linux-amd64", "windows-386-2016"]);
    let left = plan.left_out.iter().find(|l| l.builder.name.as_str() == "linux-386").unwrap();
    assert_eq!(left.reason, "policy says build = \"never\" (server.toml:10)");
}

#[test]
fn tests_are_adjusted_by_class() {
    let config = config();
    let runs =
        |builder, test, class| config.builder(&name("go"), &name(builder)).unwrap().runs_test(test, class);
    assert!(runs("linux-amd64", "api", Class::PostSubmit) && runs("linux-amd64", "api", Class::Try));
    assert!(
        runs("freebsd-amd64-12_3", "api", Class::PostSubmit)
            && !runs("freebsd-amd64-12_3", "api", Class::Try)
    );
    assert!(runs("linux-amd64", "reboot", Class::Try) && !runs("linux-amd64-race", "reboot", Class::Try));
    for test in ["test:foo", "reboot", "api", "codewalk"] {
        assert!(!runs("darwin-amd64-10_15", test, Class::PostSubmit));
    }
    assert!(
        runs("darwin-amd64-10_15", "race", Class::PostSubmit)
            && !runs("darwin-amd64-10_15", "race", Class::Try)
    );
}

#[test]
fn short_names_find_their_builders() {
    let config = config();
    let asked = |name: &'static str| -> Vec<_> {
        config.builders_by_alias(name).map(|b| b.name.as_str()).collect()
    };
    assert_eq!(asked("longtest"), ["linux-amd64-longtest"]);
    assert_eq!(asked("linux-amd64"), ["linux-amd64"]);
    assert_eq!(asked("plan9-arm"), ["plan9-386", "plan9-arm"], "a builder's name, and another's short name");
    assert!(asked("js").is_empty());
    assert_eq!(config.known_missing().len(), 2);
}
