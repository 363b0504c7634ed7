//! `init`: writes down the recipe that is found in a project's files.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use buildenv::Found;
use serde_json::json;

use super::client::print_json;
use crate::args::Init;
use crate::system::composed::PROJECT_FILE;

/// Folders deeper than this are not looked at.
const DEPTH: usize = 4;
/// The most files that are looked at.
const FILES: usize = 20_000;

pub fn run(args: &Init) -> Result<ExitCode> {
    let dir = args.dir.canonicalize().with_context(|| format!("{}", args.dir.display()))?;
    let mut paths = Vec::new();
    list(&dir, "", 0, &mut paths)?;
    let read = |path: &str| {
        let file = dir.join(path);
        let small = std::fs::metadata(&file).is_ok_and(|found| found.is_file() && found.len() < 2 << 20);
        small
            .then(|| std::fs::read(&file).ok())
            .flatten()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let found = buildenv::detect(&paths, &read);
    if found.is_empty() {
        bail!(
            "nothing in {} tells how to build it (looked for Cargo, Go, npm, Python, CMake and Make). \
             Write {PROJECT_FILE} by hand: docs/CONFIG.md has an example of ten lines",
            dir.display()
        );
    }
    let text = buildenv::to_toml(&found, "");
    let file = dir.join(PROJECT_FILE);
    if args.print {
        match args.json {
            true => print_json(&as_json(&file, &text, &found, false))?,
            false => print!("{text}"),
        }
        return Ok(ExitCode::SUCCESS);
    }
    if file.exists() && !args.force {
        bail!(
            "{} is there already: look at what would be written with --print, or overwrite it with --force",
            file.display()
        );
    }
    std::fs::write(&file, &text).with_context(|| format!("writing {}", file.display()))?;
    if args.json {
        print_json(&as_json(&file, &text, &found, true))?;
        return Ok(ExitCode::SUCCESS);
    }
    for project in &found {
        let place = if project.dir.is_empty() { "." } else { &project.dir };
        eprintln!(
            "{}: {} in {place}, builder {}",
            project.manifest,
            project.kind.as_str(),
            project.builder_name
        );
    }
    eprintln!("wrote {}; commit it, then `bellwether up --once`", file.display());
    Ok(ExitCode::SUCCESS)
}

fn as_json(file: &Path, text: &str, found: &[Found], written: bool) -> serde_json::Value {
    let one = |project: &Found| {
        json!({
            "manifest": project.manifest, "kind": project.kind.as_str(), "dir": project.dir,
            "builder": project.builder_name.as_str(),
        })
    };
    let found: Vec<_> = found.iter().map(one).collect();
    json!({"file": file.display().to_string(), "written": written, "text": text, "found": found})
}

fn list(dir: &Path, below: &str, depth: usize, paths: &mut Vec<String>) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    for entry in entries.flatten() {
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if name == ".git" || paths.len() >= FILES {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        // Links are not followed: they may lead out, or round in a circle.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < DEPTH => list(&entry.path(), &path, depth + 1, paths)?,
            Ok(kind) if kind.is_file() => paths.push(path),
            _ => {}
        }
    }
    Ok(())
}
