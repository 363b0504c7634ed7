//! Making the worker as if nobody had been here, and proving it.
//!
//! The proof: the helper plants a file in the work directory, TMPDIR, HOME and `/dev/shm` and leaves a process
//! behind, in the way a job would, before anything is removed; all of it must be gone after. Where jobs have a user of their own,
//! nothing that is this user's may be left on the machine: no process, no file where everybody may write, and no key.

#[cfg_attr(windows, path = "wipe/no_shm.rs")]
mod shm;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use crate::agent::Agent;
use crate::exec::{home, job_environment, tmpdir, tree};
use crate::removal::empty_dir;
use crate::sandbox::{LOCKED, SHM, Setup};
use crate::user::{JobUser, traces};
use crate::wire::WipeReport;
pub(crate) use shm::now as shm_now;

/// Ends everything, removes everything, checks; an agent that is not clean after it is set aside.
pub(crate) async fn wipe(agent: &Agent) -> io::Result<WipeReport> {
    let settings = &agent.table.settings;
    let workdir = agent.workdir();
    std::fs::create_dir_all(workdir)?;
    let mut report = WipeReport::default();
    agent.table.end_commands("killed:wipe").await;
    let mut ended = Vec::new();
    if let Some(user) = &settings.user {
        // They have the same rights as what proves that they are gone, and could hinder it.
        agent.table.end_all(|| agent.table.everything(), &mut ended).await;
        // A job may do with the directory what it wants but move it.
        crate::user::apart::give(user, workdir)?;
    }

    let places = places(agent);
    match agent.table.make_places() {
        // Nothing is planted there then; what matters is that the disk is emptied.
        Err(error) if crate::http::is_full(&error) => {}
        made => made?,
    }
    let canary = agent.canary();
    let looker = Looker::start(agent, &canary)?;
    let planted = plant(agent, &canary, places.iter().map(|(_, place)| place.as_path())).await?;

    let everything = || {
        let mut found = agent.table.everything();
        found.retain(|process| Some(process.pid) != looker.pid());
        found
    };
    let all_ended = agent.table.end_all(everything, &mut ended).await;
    ended.retain(|left| Some(left.pid) != planted.map(|p| p.pid.cast_unsigned()));
    report.leftovers = ended;
    if !all_ended {
        report.problems.push("some processes do not end".to_owned());
    }
    let dir = workdir.to_owned();
    let shared = (!settings.namespaces).then(|| agent.shm_before());
    let removed = match settings.user.clone() {
        Some(user) => tokio::task::spawn_blocking(move || empty_as(&user, &dir, all_ended)),
        None => tokio::task::spawn_blocking(move || {
            let mut problems = empty_dir(&dir)?;
            if let Some(before) = shared {
                problems.extend(shm::empty(&before)?);
            }
            Ok(problems)
        }),
    };
    report.problems.extend(removed.await.map_err(io::Error::other)??);
    agent.table.forget_commands()?;

    let process_gone = match planted {
        Some(planted) => tree::process(planted.pid).is_none_or(|p| p.zombie || p.start != planted.start),
        None => false,
    };
    report.canaries = BTreeMap::from([("process".to_owned(), process_gone)]);
    for (name, place) in places {
        report.canaries.insert(name.to_owned(), is_gone(&place.join(&canary)));
    }
    report.canaries.insert("locked".to_owned(), is_gone(&workdir.join(format!("{canary}{LOCKED}"))));
    if settings.user.is_some() {
        let mut command = helper(agent);
        command.arg("--forget").arg(&canary);
        let gone = match output(command).await {
            Ok(said) => said == "gone",
            // A job can lock up what is its user's.
            Err(error) => {
                report.problems.push(format!("keys of the job's user stay: {error}"));
                false
            }
        };
        report.canaries.insert("keys".to_owned(), gone);
    }
    report.canaries.insert("shm".to_owned(), looker.look(&canary).await?);
    let empty = std::fs::read_dir(workdir)?.next().is_none();
    report.clean =
        empty && all_ended && report.problems.is_empty() && report.canaries.values().all(|gone| *gone);
    match report.clean {
        true => agent.take_back(),
        false => agent.put_aside(&left(&report)),
    }
    Ok(report)
}

/// Where files are planted: the work directory first.
fn places(agent: &Agent) -> Vec<(&'static str, PathBuf)> {
    let workdir = agent.workdir();
    let mut places =
        vec![("workdir", workdir.to_owned()), ("tmpdir", tmpdir(workdir)), ("home", home(workdir))];
    if agent.table.settings.user.is_some() {
        // Where everybody may write; without a user for jobs, what is theirs there could not be told from what is not.
        places.extend([("tmp", "/tmp".into()), ("var_tmp", "/var/tmp".into())]);
    }
    places
}

fn is_gone(file: &Path) -> bool {
    file.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Empties the work directory and every other place of what is a job's.
fn empty_as(user: &JobUser, workdir: &Path, all_ended: bool) -> io::Result<Vec<String>> {
    let mut problems = {
        let _rights = crate::user::of(Some(user))?;
        empty_dir(workdir)?
    };
    if all_ended && !problems.is_empty() {
        // What an agent without --job-user has left there is root's. With no job alive, nothing can change under our hands.
        problems = empty_dir(workdir)?;
    }
    problems.extend(traces::clear(user, workdir)?);
    Ok(problems)
}

/// Says what a wipe left.
fn left(report: &WipeReport) -> String {
    let kept: Vec<_> =
        report.canaries.iter().filter(|(_, gone)| !**gone).map(|(place, _)| place.as_str()).collect();
    let kept = (!kept.is_empty()).then(|| format!("what was planted in {} is still there", kept.join(", ")));
    let problems = (!report.problems.is_empty()).then(|| report.problems.join("; "));
    let said: Vec<_> = kept.into_iter().chain(problems).collect();
    format!(
        "the wipe left something: {}",
        if said.is_empty() { "a process or a file".into() } else { said.join("; ") }
    )
}

fn helper(agent: &Agent) -> std::process::Command {
    let settings = &agent.table.settings;
    let setup = Setup { namespaces: settings.namespaces, user: settings.user.clone(), ..Setup::default() };
    let mut command = settings.reexec.command(&setup);
    // Without a reaper of orphans, what it leaves behind is found by this alone.
    let marker = if cfg!(target_os = "linux") { None } else { Some("wipe") };
    command
        .env_clear()
        .envs(job_environment(&settings.environment, &settings.workdir, marker, &[], &[]))
        .current_dir(&settings.workdir)
        .stdin(Stdio::null());
    command
}

/// Runs the helper to its end and returns what it printed.
async fn output(mut command: std::process::Command) -> io::Result<String> {
    let run = move || said(command.stderr(Stdio::piped()).output()?);
    tokio::task::spawn_blocking(run).await.map_err(io::Error::other)?
}

/// What a helper printed, if it went well.
fn said(output: Output) -> io::Result<String> {
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(io::Error::other(format!("the sandbox helper: {text}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

async fn plant(
    agent: &Agent,
    canary: &str,
    places: impl Iterator<Item = &Path>,
) -> io::Result<Option<tree::Process>> {
    let mut command = helper(agent);
    command.arg("--plant").arg(canary).args(places);
    let pid = output(command).await?.parse::<i32>().map_err(io::Error::other)?;
    Ok(tree::process(pid))
}

/// Who looks into the next job's `/dev/shm`: a helper that is set apart only once it is told to, as a job is;
/// nobody, where jobs share the machine's.
struct Looker(Option<Child>);

impl Looker {
    /// Starts the helper, so that it is there when it is needed.
    fn start(agent: &Agent, canary: &str) -> io::Result<Self> {
        if !agent.table.settings.namespaces {
            return Ok(Self(None));
        }
        let mut command = helper(agent);
        command.arg("--look").arg(canary).stdin(Stdio::piped());
        Ok(Self(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)))
    }

    fn pid(&self) -> Option<i32> {
        self.0.as_ref().map(|child| child.id().cast_signed())
    }

    /// Says whether the next job's `/dev/shm` is without our file.
    async fn look(mut self, canary: &str) -> io::Result<bool> {
        let here = Path::new(SHM).join(canary).exists();
        let Some(mut child) = self.0.take() else { return Ok(!here) };
        let run = move || {
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(b".")?;
            }
            child.wait_with_output()
        };
        let said = said(tokio::task::spawn_blocking(run).await.map_err(io::Error::other)??)?;
        Ok(said == "gone" && !here)
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // The wipe has failed; nobody needs to know more.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}
