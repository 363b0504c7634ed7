//! Arguments of `machines`.

use clap::{Args, Subcommand};

use super::Server;

/// Arguments of `machines`.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  bellwether machines                                               what each does, and who has set it aside
  bellwether machines set-aside mac-1 --reason 'disk swap' --for 2h
  bellwether machines drain mac-1                                   it finishes what it does, and is given nothing more
  bellwether machines resume mac-1

A machine that dials in goes by what it calls itself, and is set aside whichever process of that name comes; one that the
server has made goes by its id."
)]
pub struct Machines {
    /// What to do; without it, lists them
    #[command(subcommand)]
    pub order: Option<MachineOrder>,
    #[command(flatten)]
    pub server: Server,
}

/// Orders about a machine.
#[derive(Debug, Clone, Subcommand)]
pub enum MachineOrder {
    /// Lets a machine finish what it does, and gives it nothing more until `resume`
    Drain(DrainMachine),
    /// Keeps a machine from work, with a reason and an end; it finishes what it does, unless --now
    SetAside(SetAsideMachine),
    /// Lets a machine work again; one that the server has set aside by itself is cleaned first
    Resume(ResumeMachine),
}

/// Arguments of `machines drain`.
#[derive(Debug, Clone, Args)]
pub struct DrainMachine {
    #[command(flatten)]
    pub server: Server,
    /// What it calls itself, or its id
    pub name: String,
    /// Its host, where several have a machine of that name or it is not here
    #[arg(long)]
    pub host: Option<String>,
    /// Why; everybody who waits for it reads that
    #[arg(long, default_value = "drained")]
    pub reason: String,
    /// What it does is lost at once, and tried again elsewhere
    #[arg(long)]
    pub now: bool,
}

/// Arguments of `machines set-aside`.
#[derive(Debug, Clone, Args)]
pub struct SetAsideMachine {
    #[command(flatten)]
    pub server: Server,
    /// What it calls itself, or its id
    pub name: String,
    /// Its host, where several have a machine of that name or it is not here
    #[arg(long)]
    pub host: Option<String>,
    /// Why; everybody who waits for it reads that
    #[arg(long)]
    pub reason: String,
    /// It ends by itself after so long, such as 90m, 2h or 1d [default: only when it is resumed]
    #[arg(long = "for", value_name = "TIME")]
    pub lasts: Option<String>,
    /// What it does is lost at once, and tried again elsewhere
    #[arg(long)]
    pub now: bool,
}

/// Arguments of `machines resume`.
#[derive(Debug, Clone, Args)]
pub struct ResumeMachine {
    #[command(flatten)]
    pub server: Server,
    /// What it calls itself, or its id
    pub name: String,
    /// Its host, where several have a machine of that name
    #[arg(long)]
    pub host: Option<String>,
}
