//! `cargo xtask deploy-check`: looks at the files of deploy/ as far as that can be done without a cluster, a daemon or an
//! init system. What can't be done here is reported as not run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{self, End, Line};
use crate::{metadata, setup};

/// The time one tool may take.
const LIMIT: Duration = Duration::from_secs(3 * 60);
/// The most that `systemd-analyze security` may find against a unit, of 10.
const EXPOSURE: &[(&str, f64)] = &[("bellwether.service", 3.5), ("bellwether-backup.service", 2.5)];
/// Reads a Compose file and the schema out of a module's zip, and prints what the schema says against it.
const COMPOSE: &str = r#"
import json, sys, warnings, yaml, zipfile
from jsonschema import Draft202012Validator as Draft
warnings.simplefilter("ignore")
schema_zip, name, file = sys.argv[1:]
schema = json.loads(zipfile.ZipFile(schema_zip).read(name))
wrong = list(Draft(schema).iter_errors(yaml.safe_load(open(file))))
for one in wrong:
    print(f"{file}: {one.json_path}: {one.message}")
sys.exit(1 if wrong else 0)
"#;

/// What became of one look.
enum Came {
    Ok,
    NotRun(String),
    Wrong(String),
}

/// Does every look, prints each, and fails if one found something.
pub fn run() -> Result<ExitCode> {
    let deploy = metadata::root().join("deploy");
    // What can't be had is said below, each beside what was not looked at.
    let _ = setup::ensure("deploy");
    let tools = setup::path("deploy-check").map(|venv| venv.join("bin")).map_err(|why| format!("{why:#}"));
    let schema = setup::path("compose-go").map_err(|why| format!("{why:#}"));
    let mut wrong = 0;
    let mut tell = |what: &str, came: Came| match came {
        Came::Ok => println!("ok: {what}"),
        Came::NotRun(why) => println!("not run: {what}: {why}"),
        Came::Wrong(why) => {
            wrong += 1;
            println!("FAILED: {what}\n{why}");
        }
    };
    tell("systemd units: systemd-analyze verify", verify(&deploy.join("systemd"))?);
    for (unit, most) in EXPOSURE {
        let came = exposure(&deploy.join("systemd"), unit, *most)?;
        tell(&format!("{unit}: systemd-analyze security, at most {most}"), came);
    }
    let with = |name: &str, arguments: &[&str]| match &tools {
        Ok(bin) => asked(Command::new(bin.join(name)).args(arguments).current_dir(&deploy)),
        Err(why) => Came::NotRun(why.clone()),
    };
    tell("docker/Dockerfile: hadolint", with("hadolint", &["docker/Dockerfile"]));
    let compose = match &schema {
        Ok(zip) => {
            let zip = zip.display().to_string();
            let name = "github.com/compose-spec/compose-go/v2@v2.4.9/schema/compose-spec.json";
            with("python", &["-c", COMPOSE, &zip, name, "docker/compose.yaml"])
        }
        Err(why) => Came::NotRun(why.clone()),
    };
    tell("docker/compose.yaml: the schema of Compose", compose);
    for file in manifests(&deploy.join("kubernetes"))? {
        let name = format!("kubernetes/{file}");
        let came = with("kubernetes-validate", &["--strict", "--quiet", &name]);
        tell(&format!("{name}: the schemas of Kubernetes"), came);
    }
    tell("docker/Dockerfile: the image is built", Came::NotRun("needs a registry of images".into()));
    tell(
        "units and manifests in use",
        Came::NotRun("needs systemd as the first process, and a cluster".into()),
    );
    println!("deploy-check: {wrong} problems");
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a tool; what it says is shown if it found something.
fn asked(command: &mut Command) -> Came {
    let mut said = Vec::new();
    let end = process::stream(command, LIMIT, |line| match line {
        Line::Out(line) | Line::Err(line) => said.push(line),
    });
    match end {
        Ok(End::Exited(status)) if status.success() => Came::Ok,
        Ok(End::Exited(status)) => Came::Wrong(format!("{}\n{status}", said.join("\n"))),
        Ok(End::TimedOut) => Came::Wrong(format!("it took over {} s", LIMIT.as_secs())),
        Err(why) => Came::NotRun(format!("{why:#}")),
    }
}

/// The manifests that the kustomization names.
fn manifests(folder: &Path) -> Result<Vec<String>> {
    let list = std::fs::read_to_string(folder.join("kustomization.yaml")).context("kustomization.yaml")?;
    let named: Vec<String> = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .filter(|name| name.ends_with(".yaml"))
        .map(str::to_owned)
        .collect();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".yaml") && name != "kustomization.yaml" && !named.contains(&name) {
            bail!("deploy/kubernetes/{name} is not in kustomization.yaml");
        }
    }
    Ok(named)
}

/// Copies of the units with a program that is there, since this program is not installed where they are checked.
fn units(folder: &Path) -> Result<(tempfile::TempDir, Vec<PathBuf>)> {
    let copies = tempfile::tempdir()?;
    let mut units = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "service" || end == "timer") {
            let text = std::fs::read_to_string(&path)?.replace("/usr/bin/bellwether", "/bin/true");
            let copy = copies.path().join(path.file_name().context("a unit without a name")?);
            std::fs::write(&copy, text)?;
            units.push(copy);
        }
    }
    units.sort();
    Ok((copies, units))
}

fn analyze() -> Result<Command, Came> {
    match Path::new("/usr/bin/systemd-analyze").exists() {
        true => Ok(Command::new("/usr/bin/systemd-analyze")),
        false => Err(Came::NotRun("no systemd-analyze here (Debian: systemd)".into())),
    }
}

fn verify(folder: &Path) -> Result<Came> {
    let mut command = match analyze() {
        Ok(command) => command,
        Err(came) => return Ok(came),
    };
    let (_copies, units) = units(folder)?;
    // It only warns of what it does not know, and its exit status does not tell. Of the system's own units it warns too.
    let mut said = Vec::new();
    let end = process::stream(command.arg("verify").args(units), LIMIT, |line| match line {
        Line::Out(line) | Line::Err(line) => said.push(line),
    })?;
    said.retain(|line| line.contains("bellwether"));
    Ok(match end {
        End::Exited(status) if status.success() && said.is_empty() => Came::Ok,
        _ => Came::Wrong(said.join("\n")),
    })
}

fn exposure(folder: &Path, unit: &str, most: f64) -> Result<Came> {
    let mut command = match analyze() {
        Ok(command) => command,
        Err(came) => return Ok(came),
    };
    let (copies, _) = units(folder)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
    let threshold = format!("--threshold={}", (most * 10.0).round() as u32);
    command.args(["security", "--offline=true", "--no-pager", &threshold]).arg(copies.path().join(unit));
    Ok(asked(&mut command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_the_kustomization_does_not_name_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let list = "resources:\n  - a.yaml\nconfigMapGenerator:\n  - name: x\n";
        std::fs::write(dir.path().join("kustomization.yaml"), list).unwrap();
        std::fs::write(dir.path().join("a.yaml"), "").unwrap();
        assert_eq!(manifests(dir.path()).unwrap(), ["a.yaml"]);
        std::fs::write(dir.path().join("b.yaml"), "").unwrap();
        assert!(manifests(dir.path()).unwrap_err().to_string().contains("b.yaml"));
    }

    #[test]
    fn what_a_tool_finds_is_shown() {
        let shell = |script: &str| asked(Command::new("sh").args(["-c", script]));
        assert!(matches!(shell("echo fine"), Came::Ok));
        let Came::Wrong(said) = shell("echo found; echo it >&2; exit 3") else { panic!("not wrong") };
        assert!(said.contains("found") && said.contains("it") && said.contains('3'), "{said}");
        assert!(matches!(asked(&mut Command::new("/no/such/tool")), Came::NotRun(_)));
    }

    #[test]
    fn units_of_this_tree_and_a_bad_one() {
        if analyze().is_err() {
            println!("not run: no systemd-analyze here");
            return;
        }
        let ours = metadata::root().join("deploy/systemd");
        assert!(matches!(verify(&ours).unwrap(), Came::Ok));
        for (unit, most) in EXPOSURE {
            assert!(matches!(exposure(&ours, unit, *most).unwrap(), Came::Ok), "{unit}");
        }
        let dir = tempfile::tempdir().unwrap();
        let text = "[Service]\nExecStart=/usr/bin/bellwether\nProtectHom=yes\n";
        std::fs::write(dir.path().join("bellwether.service"), text).unwrap();
        let Came::Wrong(said) = verify(dir.path()).unwrap() else { panic!("not wrong") };
        assert!(said.contains("ProtectHom"), "{said}");
        assert!(matches!(exposure(dir.path(), "bellwether.service", 3.5).unwrap(), Came::Wrong(_)));
    }
}
