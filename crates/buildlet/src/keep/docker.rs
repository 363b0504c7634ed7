//! Keeps containers: so many of one image, each with the key in a directory of its own, and a new one for each that has ended.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::{ToolError, run};
use crate::args::{duration, is_name};

/// Listing and removing take no longer.
const QUICK: Duration = Duration::from_secs(60);
/// Starting one may fetch its image first.
const START: Duration = Duration::from_secs(20 * 60);
/// After something failed it is tried again, but not at once.
const AFTER_ERROR: Duration = Duration::from_secs(10);
/// Where a container finds its key; original buildlets look there too.
const INSIDE: &str = "/buildkey";
const KEY: &str = "gobuildkey";

/// Keeps containers that each are a machine of a host.
#[derive(Debug, Clone, clap::Args)]
pub struct DockerArgs {
    /// How many
    #[arg(short = 'n', long = "count", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=99))]
    count: u16,
    /// Begins their names, which the coordinator sees; each has two digits after it
    #[arg(long, default_value = "builder", value_parser = name)]
    basename: String,
    /// The memory that each may use, as docker has it
    #[arg(long, default_value = "3g")]
    memory: String,
    /// The processors that each may use, as docker's --cpuset-cpus has them
    #[arg(long)]
    cpu: Option<String>,
    /// A file with the builder key for the host
    #[arg(long, value_name = "FILE", default_value = "/etc/gobuild.key")]
    key: PathBuf,
    /// Where each gets a copy of the key from, in a directory that is root's alone
    #[arg(long, value_name = "DIR", default_value = "/run/buildlet-keys")]
    key_dir: PathBuf,
    /// What they are made from; it starts a buildlet that dials out
    #[arg(long)]
    image: String,
    /// GO_BUILDER_ENV of each, for images that go by it
    #[arg(long, value_name = "VALUE")]
    env: Option<String>,
    /// Fetches the image anew before each start
    #[arg(long)]
    pull: bool,
    /// Another argument of `docker run`, before the image. May repeat
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    docker_arg: Vec<String>,
    /// The program that makes them, for example podman
    #[arg(long, default_value = "docker")]
    docker: String,
    /// How often it is looked whether one has ended
    #[arg(long, default_value = "1s", value_parser = duration, hide = true)]
    every: Duration,
}

fn name(text: &str) -> Result<String, String> {
    // What docker takes as a name, which begins a regular expression here as well.
    let plain = is_name(text) && !text.contains('.') && text.len() <= 60;
    if plain { Ok(text.to_owned()) } else { Err("expected at most 60 letters, digits, _ and -".to_owned()) }
}

/// What there is of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Container {
    name: String,
    state: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Remove(String),
    Start(String),
}

/// Keeps them, for ever. They go on when this ends, and are found again by their names.
pub(crate) async fn keep(args: DockerArgs) {
    loop {
        let pause = match step(&args).await {
            Ok(()) => args.every,
            Err(error) => {
                tracing::error!(%error, "trying again");
                AFTER_ERROR
            }
        };
        sleep(pause).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("the builder key in {}: {source}; name the file that has it with --key", file.display())]
    Key { file: PathBuf, source: io::Error },
    #[error("{}: {source}; name another directory with --key-dir", dir.display())]
    KeyDir { dir: PathBuf, source: io::Error },
}

async fn step(args: &DockerArgs) -> Result<(), StepError> {
    let listing =
        ["ps", "--all", "--no-trunc", "--format", "{{.Names}}\t{{.State}}", "--filter"].map(str::to_owned);
    let filter = format!("name=^/?{}[0-9][0-9]$", args.basename);
    let listed = run(&args.docker, &[&listing[..], &[filter]].concat(), QUICK).await?;
    for action in plan(&args.basename, args.count, &containers(&listed)) {
        match action {
            Action::Remove(name) => {
                tracing::info!(name, "removed, since it has ended");
                run(&args.docker, &["rm", "--force", "--volumes", &name].map(str::to_owned), QUICK).await?;
            }
            Action::Start(name) => {
                let dir = args.key_dir.join(&name);
                give_key(&args.key, &args.key_dir, &dir)?;
                run(&args.docker, &start(args, &name, &dir), START).await?;
                tracing::info!(name, image = args.image, "started");
            }
        }
    }
    Ok(())
}

/// Reads a listing.
fn containers(listed: &str) -> Vec<Container> {
    let rows = listed.lines().filter_map(|line| line.split_once('\t'));
    rows.map(|(name, state)| Container { name: name.to_owned(), state: state.trim().to_owned() }).collect()
}

/// Decides what to do: what has ended goes, and what is missing comes. One that is too many is left until it has ended.
fn plan(basename: &str, count: u16, there: &[Container]) -> Vec<Action> {
    // What was made and never ran is what is left of a start that failed, since starts are not done side by side.
    let over = |container: &Container| matches!(container.state.as_str(), "exited" | "dead" | "created");
    let ours = |name: &str| {
        name.strip_prefix(basename).is_some_and(|rest| rest.len() == 2 && rest.parse::<u8>().is_ok())
    };
    let ended = there.iter().filter(|container| over(container) && ours(&container.name));
    let mut actions: Vec<Action> = ended.map(|container| Action::Remove(container.name.clone())).collect();
    let wanted = (1..=count).map(|number| format!("{basename}{number:02}"));
    let missing =
        wanted.filter(|name| !there.iter().any(|container| container.name == *name && !over(container)));
    actions.extend(missing.map(Action::Start));
    actions
}

/// What starts one.
fn start(args: &DockerArgs, name: &str, key_dir: &Path) -> Vec<String> {
    let mut words: Vec<String> =
        ["run", "--detach", "--memory", &args.memory, "--name", name].map(str::to_owned).to_vec();
    words.extend(["--volume".to_owned(), format!("{}:{INSIDE}/", key_dir.display())]);
    let mut variables = vec![
        format!("HOSTNAME={name}"),
        format!("GO_BUILD_KEY_PATH={INSIDE}/{KEY}"),
        "GO_BUILD_KEY_DELETE_AFTER_READ=true".to_owned(),
    ];
    variables.extend(args.env.iter().map(|value| format!("GO_BUILDER_ENV={value}")));
    words.extend(variables.into_iter().flat_map(|variable| ["--env".to_owned(), variable]));
    words.push("--tmpfs=/workdir:rw,exec".to_owned());
    words.extend(args.cpu.iter().map(|cpu| format!("--cpuset-cpus={cpu}")));
    words.extend(args.pull.then(|| "--pull=always".to_owned()));
    words.extend(args.docker_arg.iter().cloned());
    words.push(args.image.clone());
    words
}

/// Writes the key where the container finds it, for nobody else to read.
fn give_key(key: &Path, all: &Path, dir: &Path) -> Result<(), StepError> {
    let text = std::fs::read(key).map_err(|source| StepError::Key { file: key.to_owned(), source })?;
    let private = || {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        for dir in [all, dir] {
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
        }
        let file = dir.join(KEY);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // New, so that nothing that was put in its place is written through.
        std::fs::File::options().write(true).create_new(true).mode(0o600).open(&file)?.write_all(&text)
    };
    private().map_err(|source| StepError::KeyDir { dir: dir.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(list: &[(&str, &str)]) -> Vec<Container> {
        let text: String = list.iter().map(|(name, state)| format!("{name}\t{state}\n")).collect();
        containers(&text)
    }

    fn done(actions: &[Action]) -> Vec<String> {
        let text = |action: &Action| match action {
            Action::Remove(name) => format!("-{name}"),
            Action::Start(name) => format!("+{name}"),
        };
        actions.iter().map(text).collect()
    }

    #[test]
    fn what_ended_goes_and_what_is_missing_comes() {
        let plan = |count, list: &[(&str, &str)]| done(&plan("b", count, &there(list)));
        assert_eq!(plan(2, &[]), ["+b01", "+b02"]);
        assert_eq!(plan(2, &[("b01", "running"), ("b02", "restarting")]), Vec::<String>::new());
        assert_eq!(plan(2, &[("b01", "exited"), ("b02", "paused")]), ["-b01", "+b01"]);
        assert_eq!(plan(1, &[("b01", "created")]), ["-b01", "+b01"]);
        // One that is too many, first at work and then not.
        assert_eq!(plan(1, &[("b01", "running"), ("b02", "running")]), Vec::<String>::new());
        assert_eq!(plan(1, &[("b01", "running"), ("b02", "dead")]), ["-b02"]);
        // Somebody else's.
        assert_eq!(
            plan(1, &[("b01", "running"), ("bob", "exited"), ("b001", "exited"), ("db", "exited")]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_key_is_written_for_its_container_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (key, all) = (dir.path().join("key"), dir.path().join("keys"));
        let error = give_key(&key, &all, &all.join("b01")).unwrap_err().to_string();
        assert!(error.contains("--key"), "{error}");
        std::fs::write(&key, "k\n").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        for _ in ["new", "again"] {
            give_key(&key, &all, &all.join("b01")).unwrap();
            let file = all.join("b01").join(KEY);
            assert_eq!((mode(&all), mode(&all.join("b01")), mode(&file)), (0o700, 0o700, 0o600));
            assert_eq!(std::fs::read_to_string(file).unwrap(), "k\n");
        }
        // A container that has put a link in the place of its key.
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "v").unwrap();
        let file = all.join("b01").join(KEY);
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&victim, &file).unwrap();
        give_key(&key, &all, &all.join("b01")).unwrap();
        assert_eq!(std::fs::read_to_string(victim).unwrap(), "v");
    }
}
