//! Arguments of `gomote`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Server;

/// Subcommands of `gomote`.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = "\
Examples:
  bellwether gomote create linux-arm64           a clean machine of that builder; prints its name
  bellwether gomote push ann-linux-arm64-0       this directory's repository, only what differs
  bellwether gomote run ann-linux-arm64-0 --dir app ./test.sh
  bellwether gomote ssh ann-linux-arm64-0        a shell there
  bellwether gomote gettar ann-linux-arm64-0 --dir app/logs | tar tz
  bellwether gomote destroy ann-linux-arm64-0

A machine is yours until you destroy it, or do not use it for half an hour. Where a name is wanted, - means the one in the
variable GOMOTE. Most is done on several machines at once too: NAME,NAME or @GROUP (see gomote group).")]
pub enum Gomote {
    /// Waits for machines and holds them; prints their names
    Create(Create),
    /// Has the machine of a build held for you, as the build left it, if the build fails; one that is done is built again
    Hold {
        #[command(flatten)]
        server: Server,
        /// The build
        build: String,
    },
    /// Lets go of builds whose machines were to be held for you; an admin, of anybody's
    Unhold {
        #[command(flatten)]
        server: Server,
        /// The builds
        #[arg(required = true, value_name = "BUILD")]
        builds: Vec<String>,
    },
    /// Lists the machines that you hold
    List {
        #[command(flatten)]
        server: Server,
        /// Those of everybody: whose each is, since when and until when; for admins, who can destroy any of them
        #[arg(long)]
        all: bool,
    },
    /// Groups of machines: where a machine is named, @GROUP means all of one
    #[command(subcommand)]
    Group(Group),
    /// Gives machines back
    Destroy {
        #[command(flatten)]
        server: Server,
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Says whether machines are still yours, and keeps them for another half an hour
    Ping {
        #[command(flatten)]
        server: Server,
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Runs a command; ends with its exit code
    Run(Run),
    /// Gives you a shell on a machine, or runs a command as in one; needs OpenSSH's client
    Ssh(Shell),
    /// Brings a directory to a machine: only files that differ are sent, and what is not here any more is removed there
    Push(Push),
    /// Writes one file
    Put(Put),
    /// Unpacks an archive (tar.gz)
    Puttar(Puttar),
    /// Makes the toolchain that a builder starts from ready, where it has one of its own
    Putbootstrap {
        #[command(flatten)]
        server: Server,
        /// The machine
        name: String,
    },
    /// Brings a directory as tar.gz
    Gettar(Gettar),
    /// Lists a directory
    Ls(Ls),
    /// Removes files and directories
    Rm {
        #[command(flatten)]
        server: Server,
        /// The machine
        name: String,
        /// What, from the work directory; . is all that is in it
        #[arg(required = true)]
        paths: Vec<String>,
    },
}

/// Subcommands of `gomote group`.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = "\
Examples:
  bellwether gomote create linux-arm64 --count 5 --group flaky
  bellwether gomote push @flaky
  bellwether gomote run @flaky --until 'FAIL: TestX' ./test.sh
  bellwether gomote destroy @flaky

Groups are kept on this machine, beneath ~/.config/bellwether; a machine that is not held any more is taken out.")]
pub enum Group {
    /// Lists groups, and their machines
    List(Server),
    /// Puts machines into a group, which is made if there is none
    Add {
        #[command(flatten)]
        server: Server,
        /// The group
        group: String,
        /// The machines
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Takes machines out of a group, and leaves them to you
    Remove {
        #[command(flatten)]
        server: Server,
        /// The group
        group: String,
        /// The machines
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Forgets a group, and leaves its machines to you
    Forget {
        #[command(flatten)]
        server: Server,
        /// The group
        group: String,
    },
}

/// Arguments of `gomote create`.
#[derive(Debug, Clone, Args)]
pub struct Create {
    #[command(flatten)]
    pub server: Server,
    /// The builder, or how its name begins if no other begins so
    #[arg(required_unless_present = "list")]
    pub builder: Option<String>,
    /// Prints the builders that there are
    #[arg(long)]
    pub list: bool,
    /// Puts them into a group
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// So many machines
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub count: u8,
}

/// Arguments of `gomote run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether gomote run NAME sh -c 'exit 7'              exits 7
  bellwether gomote run NAME -e GODEBUG=x --dir go/src ./make.bash
  bellwether gomote run NAME --until 'FAIL: TestX' ./flaky.sh     again and again, until its output says so

A command without a slash is found by the machine's PATH; ./NAME lies in --dir, another with a slash in the work directory.
Without --dir it starts in the work directory, one with a slash where it lies. The environment is the builder's. Exits with the command's own code; 128 + N if signal N
ended it; 2 if it could not be run.")]
pub struct Run {
    #[command(flatten)]
    pub server: Server,
    /// The machine
    pub name: String,
    /// A variable; may be given several times
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// What PATH is: elements with commas between them, of which $PATH is what it was and $WORKDIR the work directory; EMPTY:
    /// an empty PATH
    #[arg(long, value_name = "ELEMENT,…")]
    pub path: Option<String>,
    /// Where it runs, from the work directory
    #[arg(long, value_name = "DIR", default_value = "")]
    pub dir: String,
    /// Another builder of the machine's host, whose environment it gets
    #[arg(long, value_name = "BUILDER", default_value = "")]
    pub builderenv: String,
    /// Found by the machine's PATH, even if a file of that name lies in the work directory
    #[arg(long)]
    pub system: bool,
    /// Prints first what is run, with its environment
    #[arg(long)]
    pub debug: bool,
    /// Runs it again until its output matches this regular expression; ^ and $ are of a line
    #[arg(long, value_name = "REGEX")]
    pub until: Option<String>,
    /// With --until: gives up after so many runs
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "until")]
    pub at_most: u32,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_names = ["COMMAND", "ARGUMENT"])]
    pub command: Vec<String>,
}

/// Arguments of `gomote ssh`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether gomote ssh NAME                             a shell, in the work directory
  bellwether gomote ssh NAME make -C app test            a command, by a shell there
  config=$(bellwether gomote ssh --config NAME)
  sftp -F \"$config\" NAME                               files, by OpenSSH's own programs
  scp -F \"$config\" core NAME:
  rsync -e \"ssh -F $config\" -r app NAME:

A key is made for each machine and signed by the server for five minutes, for this machine and you; the configuration has it
signed anew when it is used. Only the pages' address of the server is needed.")]
pub struct Shell {
    #[command(flatten)]
    pub server: Server,
    /// Prints the path of a configuration for OpenSSH's programs, which know the machine by its name then
    #[arg(long)]
    pub config: bool,
    /// Has the key signed, if that was not done just now
    #[arg(long, hide = true)]
    pub renew: bool,
    /// Carries standard input to the server's door, and standard output back
    #[arg(long, hide = true)]
    pub tunnel: bool,
    /// The machine
    pub name: String,
    /// The command; the words are put together with spaces and read by a shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Arguments of `gomote push`.
#[derive(Debug, Clone, Args)]
pub struct Push {
    #[command(flatten)]
    pub server: Server,
    /// The machine
    pub name: String,
    /// A git work tree [default: this directory's]. What git ignores is not sent, and not removed there either
    pub dir: Option<PathBuf>,
    /// Where it lies there [default: the directory's name]
    #[arg(long, value_name = "DIR")]
    pub to: Option<String>,
    /// Says what would be sent and removed, and does nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `gomote put`.
#[derive(Debug, Clone, Args)]
pub struct Put {
    #[command(flatten)]
    pub server: Server,
    /// The machine
    pub name: String,
    /// The file; - reads it from stdin
    pub source: String,
    /// Where it lies there [default: the file's name]
    pub dest: Option<String>,
    /// Its permissions in octal digits [default: the file's own; 666 for stdin]
    #[arg(long, value_name = "OCTAL")]
    pub mode: Option<String>,
}

/// Arguments of `gomote puttar`.
#[derive(Debug, Clone, Args)]
pub struct Puttar {
    #[command(flatten)]
    pub server: Server,
    /// The machine
    pub name: String,
    /// The archive; - reads it from stdin
    #[arg(default_value = "-")]
    pub source: String,
    /// Where it is unpacked, from the work directory
    #[arg(long, value_name = "DIR", default_value = "")]
    pub dir: String,
}

/// Arguments of `gomote gettar`.
#[derive(Debug, Clone, Args)]
pub struct Gettar {
    #[command(flatten)]
    pub server: Server,
    /// The machine
    pub name: String,
    /// Which directory
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: String,
    /// The file to write; - is stdout [default: stdout if that is no terminal, else NAME.tar.gz]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<String>,
}

/// Arguments of `gomote ls`.
#[derive(Debug, Clone, Args)]
pub struct Ls {
    #[command(flatten)]
    pub server: Server,
    /// The machine
    pub name: String,
    /// Which directory
    #[arg(default_value = ".")]
    pub dir: String,
    /// Also what is in the directories beneath
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// With the SHA-1 of every file
    #[arg(short = 'd', long)]
    pub digest: bool,
    /// Directories to leave out, with commas between them
    #[arg(long, value_delimiter = ',')]
    pub skip: Vec<String>,
}
