//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod api;
mod gomote;
mod hints;
mod import;
mod log;
mod machines;
mod maintnerd;
mod query;
mod simulate;
mod state;
mod tools;
mod tree;
mod watchflakes;

pub use api::Events;
pub use gomote::{Create, Gettar, Gomote, Group, Ls, Push, Put, Puttar, Run, Shell};
pub use hints::Pubsubhelper;
pub use import::Import;
pub use log::{DigestLog, Log, MutationLog, RecoverLog, Replayed, StatsLog, TailLog, VerifyLog};
pub use machines::{DrainMachine, MachineOrder, Machines, ResumeMachine, SetAsideMachine};
pub use maintnerd::Maintnerd;
pub use query::Query;
pub use simulate::{Replay, Simulate, Size};
pub use state::{Audit, AuditList, AuditVerify, Backup, Gc, Restore, State};
pub use tools::{Fetchlogs, Greplogs, Retrybuilds};
pub use tree::{OneTree, SetTree, Tree};
pub use watchflakes::Watchflakes;

/// Builds every commit on every machine that matters, and tells early whether the tree is good.
#[derive(Debug, Parser)]
#[command(
    name = "bellwether",
    version,
    max_term_width = 110,
    after_help = "\
Exit codes: 0 all is well; 1 something was built and is not ok; 2 the command could not do its work.

First steps:
  bellwether up            build the repository of this directory, and go on with each new commit
  bellwether up --once .   build what is due, print a table, end
  bellwether init          write down the recipe that was found, to change it"
)]
pub struct Cli {
    /// Says more; twice: everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Writes the server's own log as JSON lines
    #[arg(long, global = true)]
    pub log_json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts the whole system here: mirrors, dashboard, coordinator, local workers
    Up(Up),
    /// Starts pubsubhelper alone: tells whoever waits what happens at a forge, by webhooks and mail
    Pubsubhelper(Pubsubhelper),
    /// Writes bellwether.toml for a project, from the files found in it
    Init(Init),
    /// Turns the configuration of another system into bellwether.toml, and says line by line what it could not
    Import(Import),
    /// Checks, explains and plans from configuration files
    #[command(subcommand)]
    Config(Config),
    /// Lists builds
    Builds(Builds),
    /// Prints a build's log; or looks at a mutation log
    Log(Log),
    /// Builds any commit, or the uncommitted tree of this directory, and shows its log
    Build(Build),
    /// Says why a build or a builder waits
    Why(Why),
    /// Prints what happens to builds and branches
    Events(Events),
    /// Prints the OpenAPI document of the API
    Api,
    /// Queues a build that is done once more
    Retry(OneBuild),
    /// Queues builds again that failed in some way: by text, test, machine, builder, commit
    Retrybuilds(Retrybuilds),
    /// Finds lines in the logs of all builds
    Greplogs(Greplogs),
    /// Fetches the logs of what failed into a folder, and later what has come since
    Fetchlogs(Fetchlogs),
    /// Posts failures on the issues that collect them, by rules in those issues; prints what it would post
    Watchflakes(Watchflakes),
    /// Ends a build, or takes it out of the queue
    Cancel(Cancel),
    /// Says whether branches are open for changes; opens, throttles and closes them
    #[command(subcommand)]
    Tree(Tree),
    /// Prints a script that re-runs exactly the failing step of a build here
    Repro(Repro),
    /// Holds a clean machine of a builder for you: put files there, run commands, bring results
    #[command(subcommand)]
    Gomote(Gomote),
    /// Lists machines; sets one aside with a reason and an end, drains it, lets it work again
    Machines(Machines),
    /// Serves the state of a project: a mutation log, and answers about what it says
    Maintnerd(Maintnerd),
    /// Asks the state of a project by SQL; runs `bellwether-query`, which is built apart
    #[command(disable_help_flag = true)]
    Query(Query),
    /// Checks the scheduler: days of generated load in virtual time against its invariants
    Simulate(Simulate),
    /// Looks at this machine and at the server, and says what is wrong and what to do
    Doctor(Doctor),
    /// Copies a server's state, which may be in use, into a new directory
    Backup(Backup),
    /// Puts a backup into an empty database
    Restore(Restore),
    /// Lets go what is kept no more by the rules of `[retention]`, or says what would go
    Gc(Gc),
    /// Checks and prints the log of who did what
    #[command(subcommand)]
    Audit(Audit),
    /// Makes, lists and revokes what programs and machines show to the server
    #[command(subcommand)]
    Token(Token),
    /// Prints a new link by which a browser signs in, once
    Login(Login),
    /// Prints completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Runs the worker agent (the same as the small binary `buildlet`)
    Buildlet(Box<buildlet::Args>),
}

/// Where configuration comes from.
#[derive(Debug, Clone, Args)]
pub struct Sources {
    /// The server file; without it the embedded defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The environment, where the server file has more than one
    #[arg(long = "env", value_name = "NAME")]
    pub environment: Option<String>,
}

/// Arguments of `up`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether up                                    this directory's repository, until Ctrl-C
  bellwether up --once ~/src/app                   what is due, then a table; again: builds nothing
  bellwether up --once --horizon 5 URL PATH        the newest five commits of each of two
  bellwether up --config server.toml --env staging what a server file says

The first Ctrl-C lets what runs finish, a second one ends at once; the next start goes on from there.")]
pub struct Up {
    /// Repositories to build: addresses, or paths of git repositories (or one folder with a bellwether-server.toml).
    /// Without any: the repositories of --config, else the repository of this directory
    #[arg(value_name = "URL|PATH")]
    pub repos: Vec<String>,
    #[command(flatten)]
    pub sources: Sources,
    /// Where state is kept [default: $XDG_STATE_HOME/bellwether, else ~/.local/state/bellwether]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8119]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Builds what is due, prints a table, ends; exits 0 only if all are ok
    #[arg(long)]
    pub once: bool,
    /// With --once: prints JSON instead of the table
    #[arg(long, requires = "once")]
    pub json: bool,
    /// Shows 30 days of made-up history, in a data directory of its own that is removed at the end
    #[arg(long, conflicts_with_all = ["once", "repos", "config", "data"])]
    pub demo: bool,
    /// How many first-parent commits back to fill, for repositories that do not say
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub horizon: u32,
    /// Ends this process as kill -9 would when POINT is reached for the Nth time (`before_running:1`), for tests
    #[arg(long, value_name = "POINT:N", hide = true)]
    pub die_at: Option<String>,
}

/// Arguments of `init`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Example:
  bellwether init --print   what would be written; then `bellwether init`, commit it, `bellwether up --once`")]
pub struct Init {
    /// The project
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Prints it instead of writing the file
    #[arg(long)]
    pub print: bool,
    /// Overwrites a file that is there
    #[arg(long)]
    pub force: bool,
    /// Prints JSON: what was found, and the file's text
    #[arg(long)]
    pub json: bool,
}

/// Subcommands of `config`.
#[derive(Debug, Clone, Subcommand)]
pub enum Config {
    /// Checks files as a whole: every problem with file, line and column
    Check(ConfigFiles),
    /// Says where the value of each key of a builder, host, recipe or repo comes from
    Explain {
        /// Such as builder.linux, repo.go, host.local
        what: String,
        #[command(flatten)]
        files: ConfigFiles,
    },
    /// Prints which builds a commit on a branch would get, and why each other builder is left out
    Plan(Plan),
    /// Has a running server read its files again; if anything in them is wrong, it says all of it and changes nothing
    Reload(Server),
}

/// Arguments of `config plan`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether config plan                                        the repository of this directory
  bellwether config plan --config server.toml sync@master       one branch of one repository
  bellwether config plan --config server.toml sync@master --toolchain-branch release-branch.go1.24
  bellwether config plan --diff OLD NEW                         what a change of the server file changes

Nobody is asked which branches there are: without a name, those that the files name are planned, and a note says what
they leave open.")]
pub struct Plan {
    /// Repos, each with its branch or with those that the files name [default: every repo]; a text with '=' or '/', or
    /// that ends in .toml, is a project's file, as for `config check`
    #[arg(value_name = "REPO[@BRANCH]|[NAME=]FILE")]
    pub what: Vec<String>,
    #[command(flatten)]
    pub sources: Sources,
    /// The repo; the same as REPO
    #[arg(long)]
    pub repo: Option<String>,
    /// The branch, for repos that are given without
    #[arg(long)]
    pub branch: Option<String>,
    /// A branch that the toolchain has, against which the repo is built if they are paired; may be given several times
    #[arg(long, value_name = "BRANCH")]
    pub toolchain_branch: Vec<String>,
    /// Plans a try run of a pending change
    #[arg(long = "try")]
    pub trial: bool,
    /// Compares two server files
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with = "config")]
    pub diff: Option<Vec<PathBuf>>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Which files to read.
#[derive(Debug, Clone, Args)]
pub struct ConfigFiles {
    #[command(flatten)]
    pub sources: Sources,
    /// A project's bellwether.toml, as NAME=FILE or FILE [default: ./bellwether.toml if there]
    #[arg(value_name = "[NAME=]FILE")]
    pub projects: Vec<String>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// How a running server is reached.
#[derive(Debug, Clone, Args)]
pub struct Server {
    /// The server
    #[arg(long, value_name = "URL", env = "BELLWETHER_SERVER", default_value = "http://127.0.0.1:8119")]
    pub server: String,
    /// The server's data directory, for its token [default: as for up; or set BELLWETHER_TOKEN]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Certificates in PEM that an https server may have, or be vouched for by, beside the well-known authorities
    #[arg(long, value_name = "FILE", env = "BELLWETHER_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `builds`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Example:
  bellwether builds --repo app --outcome failed --limit 5")]
pub struct Builds {
    #[command(flatten)]
    pub server: Server,
    /// Of this repo
    #[arg(long)]
    pub repo: Option<String>,
    /// Of this builder
    #[arg(long)]
    pub builder: Option<String>,
    /// Of this commit, 40 digits
    #[arg(long)]
    pub commit: Option<String>,
    /// Ended like this: ok, failed, infra_failed, cancelled, skipped
    #[arg(long)]
    pub outcome: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 30)]
    pub limit: u32,
}

/// Arguments of `build`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether build app@v1.2 --builder linux   a tag, a branch or a commit
  bellwether build --dirty --builder linux    what I have not committed yet; index and branches stay as they are

Exits 0 if the build is ok, 1 if it is not.")]
pub struct Build {
    #[command(flatten)]
    pub server: Server,
    /// REPO, or REPO@REV with a branch, a tag or a commit
    #[arg(value_name = "REPO[@REV]", required_unless_present = "dirty")]
    pub what: Option<String>,
    /// The uncommitted tree of this directory
    #[arg(long, conflicts_with = "what")]
    pub dirty: bool,
    /// On which builder
    #[arg(long)]
    pub builder: String,
    /// With --dirty: the repo's name on the server [default: this directory's name]
    #[arg(long, requires = "dirty")]
    pub repo: Option<String>,
    /// Builds again what is built already
    #[arg(long)]
    pub again: bool,
    /// Returns at once, without the log
    #[arg(long)]
    pub no_wait: bool,
}

/// Arguments of `why`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether why BUILD      state, since when, how many are ahead, what it waits for by name
  bellwether why BUILDER    all that waits for a builder, and what runs on it
  bellwether why app:test   the same, of one repository")]
pub struct Why {
    #[command(flatten)]
    pub server: Server,
    /// A build, or a builder as BUILDER or REPO:BUILDER
    pub what: String,
}

/// A build.
#[derive(Debug, Clone, Args)]
pub struct OneBuild {
    #[command(flatten)]
    pub server: Server,
    /// The build
    pub build: String,
}

/// Arguments of `cancel`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A cancelled build stays so until `bellwether retry BUILD`. Exits 1 if it had ended before.")]
pub struct Cancel {
    #[command(flatten)]
    pub server: Server,
    /// The build
    pub build: String,
    /// Why
    #[arg(long, default_value = "")]
    pub reason: String,
}

/// Arguments of `repro`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Example:
  bellwether repro BUILD >again.sh && sh again.sh   exits as the failing step did")]
pub struct Repro {
    #[command(flatten)]
    pub server: Server,
    /// The build
    pub build: String,
}

/// Arguments of `doctor`.
#[derive(Debug, Clone, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub server: Server,
}

/// Subcommands of `token`.
#[derive(Debug, Clone, Subcommand)]
pub enum Token {
    /// Makes a token and prints it: the only time it is shown
    Create(TokenCreate),
    /// Lists tokens, without what is secret of them
    List(TokenList),
    /// Ends a token
    Revoke(TokenRevoke),
    /// Prints the key by which a machine of a host dials in, made from the server's master key
    Derive(TokenDerive),
}

/// Arguments of `token derive`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The key is the one that the original's genbuilderkey prints: whoever has it can dial in as a machine of that host. It can't
be revoked but with the master key, and all keys with it.

Example:
  bellwether token derive linux-arm64 --key-file data/builder-key > key     for `bellwether buildlet --key-file key`")]
pub struct TokenDerive {
    /// The host's name, as in the configuration
    pub host: String,
    /// The file with the master key, which dashboard.builder_key_file names
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
}

/// Arguments of `token create`.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  bellwether token create ada --role developer --expires 90d
  bellwether token create mac-1 --role builder --repo app     a machine that may fetch a private repository
  bellwether token create machine mac-1 --host macos          a machine that dials in: for `bellwether buildlet --token-file`"
)]
pub struct TokenCreate {
    /// A token of another kind
    #[command(subcommand)]
    pub kind: Option<CreateKind>,
    #[command(flatten)]
    pub server: Server,
    /// Its name, for the list and the audit log
    #[arg(required = true)]
    pub name: Option<String>,
    /// What it may do: reader, developer, builder, admin or service
    #[arg(long, default_value = "developer")]
    pub role: String,
    /// Only about this repo; may be given several times
    #[arg(long)]
    pub repo: Vec<String>,
    /// Ends by itself after so long, such as 12h or 90d
    #[arg(long, value_name = "DURATION")]
    pub expires: Option<String>,
}

/// Kinds of tokens that are made in another way.
#[derive(Debug, Clone, Subcommand)]
pub enum CreateKind {
    /// Makes a token by which one machine joins, once: it has an identity of its own from then on
    Machine(MachineCreate),
}

/// Arguments of `token create machine`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Example:
  bellwether token create machine mac-1 --host macos > token      for `bellwether buildlet --hostname mac-1 --token-file token`")]
pub struct MachineCreate {
    #[command(flatten)]
    pub server: Server,
    /// What the machine calls itself (its --hostname)
    pub name: String,
    /// The host that it is of, of pool reverse in the configuration
    #[arg(long)]
    pub host: String,
    /// The machine has to use it within this time, such as 1h or 7d
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub expires: String,
}

/// Arguments of `token list`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TokenList {
    /// Tokens of another kind
    #[command(subcommand)]
    pub kind: Option<ListKind>,
    #[command(flatten)]
    pub server: Server,
}

/// Kinds of tokens that are listed apart.
#[derive(Debug, Clone, Subcommand)]
pub enum ListKind {
    /// Lists the tokens of machines, with when and from where each machine registered last
    Machine(Server),
}

/// Arguments of `token revoke`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct TokenRevoke {
    /// A token of another kind
    #[command(subcommand)]
    pub kind: Option<RevokeKind>,
    #[command(flatten)]
    pub server: Server,
    /// The token's name
    #[arg(required = true)]
    pub name: Option<String>,
}

/// Kinds of tokens that are revoked in another way.
#[derive(Debug, Clone, Subcommand)]
pub enum RevokeKind {
    /// Ends a machine's token: the machine is cut off, and what it builds goes elsewhere
    Machine(MachineRevoke),
}

/// Arguments of `token revoke machine`.
#[derive(Debug, Clone, Args)]
pub struct MachineRevoke {
    #[command(flatten)]
    pub server: Server,
    /// The machine's name
    pub name: String,
}

/// Arguments of `login`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Example:
  bellwether login                                  for yourself, as admin
  bellwether login --person ada --role developer    for somebody else")]
pub struct Login {
    #[command(flatten)]
    pub server: Server,
    /// Who is signed in by it [default: who asks]
    #[arg(long)]
    pub person: Option<String>,
    /// What they may do: reader, developer or admin [default: admin]
    #[arg(long)]
    pub role: Option<String>,
}
