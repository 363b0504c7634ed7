//! Arguments of the commands for an operator, which work on a server's state itself: backups and the audit log.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Sources;

/// Where a server's state is.
#[derive(Debug, Clone, Args)]
pub struct State {
    #[command(flatten)]
    pub sources: Sources,
    /// The server's data directory [default: as for up]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `backup`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Example:
  bellwether backup --config server.toml /backups/$(date +%F)

A server may run meanwhile: the backup shows one moment. It holds every row of the database, every log and every
artefact. Not in it, because they can be had again: mirrors, snapshots, what workers have on their disks; and not the
server file, its secrets and its admin token.")]
pub struct Backup {
    /// A new directory for it
    pub dir: PathBuf,
    #[command(flatten)]
    pub state: State,
}

/// Arguments of `restore`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Example:
  bellwether restore --config server.toml --data /srv/bellwether /backups/2026-11-25

The database must be empty and no server may run on the data directory. A backup of SQLite can be restored into
PostgreSQL, and the other way round. Builds that ran at the backup's moment are built again at the server's next start.")]
pub struct Restore {
    /// The backup
    pub dir: PathBuf,
    #[command(flatten)]
    pub state: State,
}

/// Arguments of `gc`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Example:
  bellwether gc --config server.toml --dry-run

A server does the same once a day, and may run meanwhile. What expires is shown no more from then on; its bytes go by the
first gc a day later, so that a backup that was begun before is whole. Builds and the audit log stay.")]
pub struct Gc {
    /// Only says what would go, and by which rule
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub state: State,
}

/// Subcommands of `audit`.
#[derive(Debug, Clone, Subcommand)]
pub enum Audit {
    /// Checks that no row was removed, moved or changed, and prints the last row's hash: keep it elsewhere, and give it
    /// to --hash next time, to see rows that were cut off at the end
    Verify(AuditVerify),
    /// Prints who did what
    List(AuditList),
}

/// Arguments of `audit verify`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exits 1 if a row is not as it was written.")]
pub struct AuditVerify {
    #[command(flatten)]
    pub state: State,
    /// A hash that was printed before and must still be in the chain: 64 hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = audit_hash)]
    pub hash: Option<String>,
}

/// Arguments of `audit list`.
#[derive(Debug, Clone, Args)]
pub struct AuditList {
    #[command(flatten)]
    pub state: State,
    /// Only rows after this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub after: i64,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    pub limit: u32,
}

/// A text that is no whole hash, as of a variable that came out empty, would be found in no chain or in any.
fn audit_hash(text: &str) -> Result<String, String> {
    let text = text.trim().to_ascii_lowercase();
    let whole = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if whole { Ok(text) } else { Err("a hash has 64 hexadecimal digits, as `audit verify` prints it".into()) }
}
