//! `doctor`: looks at this machine and at the server, and says what is wrong and what to do.

use std::process::{Command, ExitCode};

use anyhow::Result;

use serde::Serialize;

use super::client::{Remote, print_json};
use crate::args::Doctor;
use crate::system::data::{self, has_program};

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    level: &'static str,
    said: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

pub async fn run(args: &Doctor) -> Result<ExitCode> {
    let mut findings = vec![git(), disk(args)?, control_groups()];
    for (tool, what) in [
        ("cargo", "Cargo projects"),
        ("go", "Go projects"),
        ("npm", "npm projects"),
        ("python3", "Python projects"),
        ("cmake", "CMake projects"),
        ("make", "Make projects"),
    ] {
        if !has_program(tool) {
            findings.push(note(tool, format!("not found: {what} can't be built by workers of this machine")));
        }
    }
    findings.extend(server(args).await?);
    let bad = findings.iter().any(|finding| finding.level == "bad");
    if args.server.json {
        print_json(&findings)?;
    } else {
        for finding in &findings {
            println!("{:5} {:10} {}", finding.level, finding.what, finding.said);
            if let Some(remedy) = &finding.remedy {
                println!("                 → {remedy}");
            }
        }
    }
    Ok(if bad { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn good(what: &'static str, said: impl Into<String>) -> Finding {
    Finding { what, level: "ok", said: said.into(), remedy: None }
}

fn note(what: &'static str, said: impl Into<String>) -> Finding {
    Finding { what, level: "note", said: said.into(), remedy: None }
}

fn bad(what: &'static str, said: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { what, level: "bad", said: said.into(), remedy: Some(remedy.into()) }
}

fn git() -> Finding {
    let output = Command::new("git").arg("--version").output();
    let Ok(output) = output else {
        return bad("git", "not found", "install git 2.39 or newer");
    };
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= (2, 39) => good("git", text),
        _ => bad("git", format!("{text} is too old"), "install git 2.39 or newer"),
    }
}

fn disk(args: &Doctor) -> Result<Finding> {
    let dir = args.server.data.clone().map_or_else(data::default_dir, Ok)?;
    let dir = std::path::absolute(&dir).unwrap_or(dir);
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(&dir);
    let Ok(space) = rustix::fs::statvfs(there) else {
        return Ok(bad(
            "disk",
            format!("{} can't be looked at", dir.display()),
            "choose another directory with --data",
        ));
    };
    let free = space.f_bavail * space.f_frsize;
    let said = format!("{:.1} GiB free at {}", free as f64 / f64::from(1 << 30), dir.display());
    Ok(match free {
        free if free < 1 << 30 => bad("disk", said, "free some, or choose another directory with --data"),
        _ => good("disk", said),
    })
}

fn control_groups() -> Finding {
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    if controllers.contains("memory") && controllers.contains("pids") {
        return good("limits", "the kernel's control groups have memory and pids");
    }
    if std::path::Path::new("/sys/fs/cgroup/memory").is_dir() {
        return good("limits", "the kernel's control groups (version 1) have memory");
    }
    note("limits", "no control groups with memory and pids: workers hold limits by watching their processes")
}

async fn server(args: &Doctor) -> Result<Vec<Finding>> {
    let remote = Remote::new(&args.server)?;
    let status = match remote.api.get_status().await {
        Ok(status) => status,
        Err(transport::CallError::Unreachable { .. }) => {
            return Ok(vec![note("server", format!("none answers at {}", remote.url))]);
        }
        Err(error) => return Ok(vec![bad("server", error.to_string(), "look at the server's own output")]),
    };
    let mut findings = vec![good(
        "server",
        format!(
            "{} runs {} builds, {} wait, {} workers",
            remote.url,
            status.running.len(),
            status.queued.len(),
            status.workers.len()
        ),
    )];
    for worker in status.workers.iter().filter(|worker| worker.state == "set_aside") {
        let reason = worker.reason.clone().unwrap_or_default();
        findings.push(bad(
            "worker",
            format!("{} is set aside: {reason}", worker.worker),
            "end its process; a new one is made when it is needed",
        ));
    }
    for repo in remote.api.list_repos().await.unwrap_or_default() {
        if repo.state == dashboard::api::RepoState::Blocked {
            findings.push(bad(
                "repo",
                format!("{}: {}", repo.name, repo.reason.unwrap_or_default()),
                "mend its address or its credentials in the configuration",
            ));
        }
    }
    Ok(findings)
}
