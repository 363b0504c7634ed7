//! The recipes of docs/sharding.md, word for word as the page has them: each runs a small project of its kind on two machines.
//!
//! A project has the tests `a`, `b`, `c` and `z`, and `a` goes on once `z` has run elsewhere: so it is certain that two machines
//! ran them. `c` fails.

use std::path::Path;
use std::process::Command;

use dashboard::api::Outcome;
use store::Dialect;

use crate::outcomes::cause;
use crate::world::World;

/// The recipe under this heading of the page, with `names` put in as the page says, and what it calls itself.
fn recipe(heading: &str, names: &[(&str, &str)]) -> (String, String) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sharding.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) =
        page.split_once(&format!("\n### {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
    let block = section.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let mut block = block.unwrap_or_else(|| panic!("{heading} has no recipe")).to_owned();
    for (name, value) in names {
        assert!(
            section.contains(&format!("`{name}`")),
            "the page does not say that {name} is to be replaced"
        );
        assert!(block.contains(name), "{name} is not in {block}");
        block = block.replace(name, value);
    }
    let name = block.split_once("[recipe.").and_then(|(_, rest)| rest.split_once(']')).unwrap().0.to_owned();
    (name, block)
}

/// A project, and what comes of it.
struct Project<'a> {
    recipe: (String, String),
    /// Names and texts.
    files: Vec<(String, String)>,
    /// Variables beside `SHARED`, the directory in which tests note that they ran.
    env: Vec<(&'static str, String)>,
    /// The tests as the recipe lists them, and the ids of the results of each: `{}` is for the letter.
    listed: &'a str,
    results: &'a [&'a str],
    /// Further results.
    more: &'a [&'a str],
    /// With which state the test that fails exits.
    exit: u8,
}

const TESTS: [&str; 4] = ["a", "b", "c", "z"];

/// Runs it, and looks at what every project has to show.
async fn run(project: Project<'_>) {
    let world = World::new(Dialect::Sqlite).await;
    let shared = world.dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let (name, text) = &project.recipe;
    let mut env = project.env;
    env.push(("SHARED", shared.display().to_string()));
    let env: Vec<String> = env.iter().map(|(name, value)| format!("{name} = '{value}'")).collect();
    world.configure(&format!(
        "[host.h]\npool = \"local\"\ntrust = \"trusted\"\ncapacity = 2\nenv_pass = [\"PATH\"]\n\
         [repo.one]\nurl = \"https://example.com/one\"\nhorizon = 1\n\
         [builder.b]\nhost = \"h\"\nrecipe = \"{name}\"\nhelpers = 1\nenv = {{ {} }}\n{text}",
        env.join(", ")
    ));
    world.mirror.files.lock().unwrap().insert("one".to_owned(), project.files.into_iter().collect());
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    let log = world.log(&build.attempts[0]).await;
    let of = |pattern: &str, test: &str| pattern.replace("{}", test);
    // The first of the list that failed is named.
    let detail = format!("run: {}: exit status {}", of(project.listed, "c"), project.exit);
    assert_eq!(build.outcome, Some(Outcome::Failed), "{build:?}\n{log}");
    assert_eq!(cause(&build), ("exit", detail.as_str()), "{log}");
    assert_eq!(build.attempts[0].warnings, [""; 0], "{log}");
    // Each ran once, and the first on another machine than the last.
    let ran = TESTS.map(|test| std::fs::read_to_string(shared.join(test)).unwrap_or_default());
    assert!(ran.iter().all(|machines| machines.lines().count() == 1), "{ran:?}\n{log}");
    assert_ne!(ran[0], ran[3]);
    let told = build.attempts[0].spread.as_ref().unwrap();
    let [own, helper] = told.machines.as_slice() else { panic!("{told:?}") };
    assert_eq!((own.chunks, helper.chunks), (1, 3), "{told:?}");
    let firsts: Vec<_> = told.chunks.iter().map(|chunk| (chunk.first_test.clone(), chunk.tries)).collect();
    assert_eq!(firsts, TESTS.map(|test| (of(project.listed, test), 1)));
    // Each is known by itself, and what it said stands in the log in the order of the list.
    let results = world.dashboard.tests(&build.id).await.unwrap().tests;
    let mut found: Vec<_> = results.iter().map(|test| format!("{} {}", test.id, test.outcome)).collect();
    found.sort();
    let mut expected: Vec<_> = TESTS
        .iter()
        .flat_map(|test| project.results.iter().map(|pattern| (of(pattern, test), *test == "c")))
        .map(|(id, fails)| format!("{id} {}", if fails { "failed" } else { "ok" }))
        .chain(project.more.iter().copied().map(str::to_owned))
        .collect();
    expected.sort();
    assert_eq!(found, expected, "{log}");
    let place = |test: &str| {
        let id = of(project.results[0], test);
        results.iter().find(|result| result.id == id).unwrap().first_byte.unwrap()
    };
    assert!(TESTS.map(place).is_sorted(), "{log}");
}

fn file(name: &str, text: impl Into<String>) -> (String, String) {
    (name.to_owned(), text.into())
}

/// What a program says on its first line.
fn said(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let out = command
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("these tests need {program}: {error}"));
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().next().unwrap().to_owned()
}

/// A whole Go takes minutes to build: what is tried is where the recipe looks for what `make.bash` makes, and how it calls it. The
/// `go` here lists and runs four tests as `dist` does.
const MAKE_BASH: &str = r####"#!/bin/sh
mkdir -p ../bin && cat > ../bin/go <<'END'
#!/bin/sh
[ "$1 $2 $3 $4" = "tool dist test --no-rebuild" ] || { echo "usage: $*"; exit 64; }
shift 4
[ "$1" = --list ] && { echo a b c z | tr ' ' '\n'; exit; }
echo; echo '##### Testing packages.'
for t; do
    echo "$WORKDIR" >> "$SHARED/$t"
    n=0; [ $t = a ] && until [ -e "$SHARED/z" ] || [ $n -gt 600 ]; do n=$((n+1)); sleep 0.1; done
    if [ $t = c ]; then printf -- '--- FAIL: TestRun (0.00s)\nFAIL\nFAIL\tc\t0.1s\nFAIL\n'; bad=1; else printf "ok  \t$t\t0.1s\n"; fi
done
exit ${bad:-0}
END
chmod +x ../bin/go
"####;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shape_of_dist_test() {
    run(Project {
        recipe: recipe("Go: `dist test`", &[]),
        files: vec![file("src/make.bash", MAKE_BASH)],
        env: vec![],
        listed: "{}",
        results: &["{}"],
        more: &["c.TestRun failed"],
        exit: 1,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_test() {
    let go = |letter: &str| {
        format!(
            r#"package {letter}

import (
	"os"
	"testing"
	"time"
)

func TestRun(t *testing.T) {{
	shared := os.Getenv("SHARED")
	ran, err := os.OpenFile(shared+"/{letter}", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {{
		t.Fatal(err)
	}}
	ran.WriteString(os.Getenv("WORKDIR") + "\n")
	ran.Close()
	for n := 0; Name == "a" && n < 600; n++ {{
		if _, err := os.Stat(shared + "/z"); err == nil {{
			break
		}}
		time.Sleep(100 * time.Millisecond)
	}}
	if Name == "c" {{
		t.Error("it does not work")
	}}
}}
"#
        )
    };
    let mut files = vec![file("go.mod", "module example.com/m\n\ngo 1.21\n")];
    for letter in TESTS {
        files.push(file(
            &format!("{letter}/{letter}.go"),
            format!("package {letter}\n\nconst Name = \"{letter}\"\n"),
        ));
        files.push(file(&format!("{letter}/{letter}_test.go"), go(letter)));
    }
    // The machine's own cache: the standard library takes longer to compile than all else here.
    let env = vec![
        ("GOCACHE", said("go", &["env", "GOCACHE"])),
        ("GOFLAGS", "-mod=mod".to_owned()),
        ("GOPROXY", "off".to_owned()),
        ("GOTOOLCHAIN", "local".to_owned()),
    ];
    run(Project {
        recipe: recipe("`go test`", &[]),
        files,
        env,
        listed: "example.com/m/{}",
        results: &["example.com/m/{}.TestRun", "example.com/m/{}"],
        more: &[],
        exit: 1,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cargo_test() {
    let tests: String =
        TESTS.iter().map(|test| format!("    #[test]\n    fn {test}() {{ run(\"{test}\") }}\n")).collect();
    let source = format!(
        r#"#[cfg(test)]
mod tests {{
    use std::io::Write;

    fn run(name: &str) {{
        let shared = std::path::PathBuf::from(std::env::var_os("SHARED").unwrap());
        let mut ran = std::fs::OpenOptions::new().append(true).create(true).open(shared.join(name)).unwrap();
        writeln!(ran, "{{}}", std::env::var("WORKDIR").unwrap()).unwrap();
        for _ in 0..600 {{
            if name != "a" || shared.join("z").exists() {{
                break;
            }}
            std::thread::sleep(std::time::Duration::from_millis(100));
        }}
        assert_ne!(name, "c", "it does not work");
    }}

{tests}}}
"#
    );
    // Without rustup, which would look for its toolchains in the HOME of the job.
    let programs = Path::new(env!("CARGO")).parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    run(Project {
        recipe: recipe("`cargo test`", &[("CRATE", "several_tests")]),
        files: vec![
            file(
                "Cargo.toml",
                "[package]\nname = \"several-tests\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
            ),
            file("src/lib.rs", source),
        ],
        env: vec![("PATH", path), ("CARGO_NET_OFFLINE", "true".to_owned())],
        listed: "tests::{}",
        results: &["tests::{}"],
        more: &[],
        exit: 101,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pytest() {
    let source = |letter: &str| {
        format!(
            r#"import os, time

def test_run():
    shared = os.environ["SHARED"]
    with open(shared + "/{letter}", "a") as ran:
        print(os.environ["WORKDIR"], file=ran)
    for _ in range(600):
        if "{letter}" != "a" or os.path.exists(shared + "/z"):
            break
        time.sleep(0.1)
    assert "{letter}" != "c", "it does not work"
"#
        )
    };
    // No test has a network: what pip is to install is there already, as it sees, and it has a look at it all the same.
    let venv = testkit::component("pytest").unwrap().join("venv");
    let mut lib = std::fs::read_dir(venv.join("lib")).unwrap();
    let packages =
        lib.find_map(|entry| Some(entry.unwrap().path().join("site-packages")).filter(|at| at.is_dir()));
    let path = format!("{}:{}", venv.join("bin").display(), std::env::var("PATH").unwrap());
    let mut files: Vec<_> =
        TESTS.iter().map(|letter| file(&format!("tests/test_{letter}.py"), source(letter))).collect();
    files.push(file("requirements.txt", "pytest>=7\n"));
    run(Project {
        recipe: recipe("`pytest`", &[]),
        files,
        env: vec![
            ("PATH", path),
            ("PYTHONPATH", packages.unwrap().display().to_string()),
            ("PIP_NO_INDEX", "1".to_owned()),
        ],
        listed: "tests/test_{}.py::test_run",
        results: &["tests/test_{}.py::test_run"],
        more: &[],
        exit: 1,
    })
    .await;
}
