//! Arguments of `import`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether import .                                  the workflows, pipelines or jobs found in this repository
  bellwether import .github/workflows/ci.yml --output bellwether.toml
  bellwether import master.cfg --output bellwether.toml --server bellwether-server.toml
  bellwether import jobs.yaml --from prow --of kubernetes/test-infra

What could not be carried over is said on standard error, with file, line and what to do; with --all also what was, and
what has no meaning here. It exits 1 if no builder came of it. Python is needed for Buildbot only: it parses master.cfg, and never runs it.")]
pub struct Import {
    /// Files of one system, or a repository's folder, in which they are looked for
    #[arg(value_name = "FILE|DIR", required = true)]
    pub paths: Vec<PathBuf>,
    /// Whose files they are, where their names and keys do not tell: github, gitlab, buildbot, zuul, prow
    #[arg(long, value_name = "SYSTEM")]
    pub from: Option<import::System>,
    /// Writes the project file here [default: prints it]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Writes a draft of what belongs in the server's file here [default: as comments at the project file's end]
    #[arg(long, value_name = "FILE")]
    pub server: Option<PathBuf>,
    /// Overwrites files that are there
    #[arg(long)]
    pub force: bool,
    /// The repository's name in the server's file
    #[arg(long, value_name = "NAME", default_value = "this")]
    pub repo: String,
    /// Prow: whose jobs, where the files have those of several repositories
    #[arg(long, value_name = "ORG/REPO")]
    pub of: Option<String>,
    /// Says of every key what became of it
    #[arg(long)]
    pub all: bool,
    /// Prints JSON: both texts, and what became of every key
    #[arg(long)]
    pub json: bool,
}
