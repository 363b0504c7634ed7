//! `import`: reads files of another system, writes what they become, and says what they did not.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use import::{DUMP, Finding, Imported, Options, SourceFile, System, Verdict, recognize, translate};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::client::print_json;
use crate::args::Import;

/// What Python may take to parse a file.
const PARSE_LIMIT: Duration = Duration::from_secs(30);
/// Files looked at in a folder at most.
const MOST_FILES: usize = 200;

pub async fn run(args: &Import) -> Result<ExitCode> {
    let found = files(args)?;
    let from = system(args, &found)?;
    let mut sources = Vec::new();
    for (path, text) in found.into_iter().filter(|(path, text)| args.from.is_some() || is(path, text, from)) {
        let name = path.display().to_string();
        let text = if from == System::Buildbot { syntax_tree(&path, &text).await? } else { text };
        sources.push(SourceFile { name, text });
    }
    let options = Options { of: args.of.clone(), repo: Some(args.repo.clone()) };
    let imported = translate(&sources, from, &options)?;
    let project = match args.server {
        Some(_) => imported.project.clone(),
        None => format!("{}{}", imported.project, as_comments(&imported.server)),
    };
    if let Some(file) = &args.output {
        write(file, &project, args.force)?;
    }
    if let Some(file) = args.server.as_ref().filter(|_| !imported.server.is_empty()) {
        write(file, &imported.server, args.force)?;
    }
    // Nothing that could be built is nothing to go on with.
    let code = if imported.builders == 0 { ExitCode::from(1) } else { ExitCode::SUCCESS };
    if args.json {
        print_json(&json!({
            "from": from, "builders": imported.builders, "project": project, "server": imported.server,
            "findings": imported.findings, "problems": imported.problems,
            "carried": imported.count(Verdict::Carried), "meaningless": imported.count(Verdict::Meaningless),
            "open": imported.count(Verdict::Open),
        }))?;
        return Ok(code);
    }
    if args.output.is_none() {
        print!("{project}");
    }
    tell(args, from, &imported);
    Ok(code)
}

fn tell(args: &Import, from: System, imported: &Imported) {
    let said = |one: &&Finding| args.all || one.verdict == Verdict::Open;
    for one in imported.findings.iter().filter(said) {
        eprintln!("{one}");
    }
    for problem in &imported.problems {
        eprintln!("{problem}");
    }
    eprintln!(
        "{from}: {} builders; {} keys carried over, {} without meaning here, {} could not be (above)",
        imported.builders,
        imported.count(Verdict::Carried),
        imported.count(Verdict::Meaningless),
        imported.count(Verdict::Open)
    );
    if let Some(file) = &args.output {
        let server = args.server.as_ref().filter(|_| !imported.server.is_empty());
        let check = match server {
            Some(server) => format!("--config {} {}={}", server.display(), args.repo, file.display()),
            None => file.display().to_string(),
        };
        eprintln!("wrote {}; look at it, then `bellwether config check {check}`", file.display());
        if server.is_none() && !imported.server.is_empty() {
            eprintln!(
                "the builders ask for hosts or secrets of the server's file: see its end, or give --server FILE"
            );
        }
    }
}

/// The files that are meant, with their texts.
fn files(args: &Import) -> Result<Vec<(PathBuf, String)>> {
    let mut paths = Vec::new();
    for path in &args.paths {
        match path.is_dir() {
            true => look(path, &mut paths)?,
            false => paths.push(path.clone()),
        }
    }
    if paths.is_empty() {
        bail!(
            "nothing to import in {}: looked for .github/workflows/*.yml, .gitlab-ci.yml, .zuul.yaml, zuul.yaml, \
             zuul.d/*.yaml, .zuul.d/*.yaml, .prow.yaml and master.cfg; name the file",
            args.paths[0].display()
        );
    }
    let mut files = Vec::new();
    for path in paths {
        let size = std::fs::metadata(&path).with_context(|| format!("{}", path.display()))?.len();
        if size > import::MAX_FILE as u64 {
            bail!("{}: over {} bytes; split it", path.display(), import::MAX_FILE);
        }
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let text =
            String::from_utf8(bytes).with_context(|| format!("{}: this is no UTF-8", path.display()))?;
        files.push((path, text));
    }
    Ok(files)
}

fn look(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for name in [".gitlab-ci.yml", ".zuul.yaml", "zuul.yaml", ".prow.yaml", "master.cfg"] {
        let path = dir.join(name);
        if path.is_file() {
            paths.push(path);
        }
    }
    for name in [".github/workflows", "zuul.d", ".zuul.d", ".prow"] {
        let Ok(entries) = std::fs::read_dir(dir.join(name)) else { continue };
        let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        found.retain(|path| {
            path.is_file() && path.extension().is_some_and(|end| end == "yml" || end == "yaml")
        });
        found.sort();
        paths.extend(found);
    }
    if paths.len() > MOST_FILES {
        bail!("{} has over {MOST_FILES} files to import; name those that are meant", dir.display());
    }
    Ok(())
}

fn is(path: &Path, text: &str, system: System) -> bool {
    recognize(&path.display().to_string(), text) == Some(system)
}

/// Whose files they are. A repository that has those of several systems is asked about.
fn system(args: &Import, files: &[(PathBuf, String)]) -> Result<System> {
    if let Some(from) = args.from {
        return Ok(from);
    }
    let mut found: Vec<System> = Vec::new();
    for (path, text) in files {
        match recognize(&path.display().to_string(), text) {
            Some(system) if !found.contains(&system) => found.push(system),
            Some(_) => {}
            None => {
                let names = System::ALL.map(System::as_str).join(", ");
                bail!(
                    "{}: neither name nor keys tell whose file it is; give --from: {names}",
                    path.display()
                );
            }
        }
    }
    match found.as_slice() {
        [one] => Ok(*one),
        many => {
            let names: Vec<_> = many.iter().map(|one| one.as_str()).collect();
            bail!("there are files of several systems; name the files of one: {}", names.join(", "))
        }
    }
}

/// The syntax tree of a Python program, made by the machine's own `python3`, which does not run it.
async fn syntax_tree(path: &Path, text: &str) -> Result<String> {
    let mut python = tokio::process::Command::new("python3")
        .args(["-I", "-c", DUMP])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("Buildbot's master.cfg is Python and is parsed, not run, by `python3`, which could not be started: install it")?;
    let mut stdin = python.stdin.take().context("python3 has no standard input")?;
    let text = text.to_owned();
    let whole = async {
        // Python reads all before it writes anything.
        stdin.write_all(text.as_bytes()).await?;
        drop(stdin);
        python.wait_with_output().await
    };
    let output = tokio::time::timeout(PARSE_LIMIT, whole).await.with_context(|| {
        format!("{}: python3 took over {} s to parse it", path.display(), PARSE_LIMIT.as_secs())
    })??;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{}: python3 could not parse it: {}",
            path.display(),
            why.lines().last().unwrap_or("no reason given")
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("{}: python3 printed no UTF-8", path.display()))
}

fn as_comments(server: &str) -> String {
    if server.is_empty() {
        return String::new();
    }
    let server = server.trim_start_matches("# ");
    let lines: Vec<String> = server.lines().map(|line| format!("# {line}").trim_end().to_owned()).collect();
    format!("\n{}\n", lines.join("\n"))
}

fn write(file: &Path, text: &str, force: bool) -> Result<()> {
    if file.exists() && !force {
        bail!("{} is there already: name another, or overwrite it with --force", file.display());
    }
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
