//! Arguments of `maintnerd`.

use std::path::PathBuf;

use clap::Args;

use super::Sources;

/// Arguments of `maintnerd`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether maintnerd --data DIR                       writes the log in a folder, and serves it
  bellwether maintnerd --watch-github golang/go --github-token-file FILE
  bellwether maintnerd --data DIR --store gs://BUCKET   writes it in a bucket; DIR has a copy
  bellwether maintnerd --follow https://HOST/logs       answers from a log that another serves

Clients of the original read http://ADDR/logs; its programs ask by gRPC on the same port.")]
pub struct Maintnerd {
    /// Where the log lies, or with --follow what was fetched of it [default: maintnerd in the state directory]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where the log lies in place of DIR, which has a copy then: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `file:DIR`. A bucket
    /// with a log of the original is gone on with. How a bucket is reached is said by the variables `AWS_...` and `GOOGLE_...`, or
    /// by `object_store` in the server file
    #[arg(long, value_name = "URL", conflicts_with = "follow")]
    pub store: Option<String>,
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6343")]
    pub listen: String,
    /// Writes no log, and follows the one whose index is there
    #[arg(long, value_name = "URL")]
    pub follow: Option<String>,
    /// With --follow: answers from what was fetched before where the other server can't be reached
    #[arg(long, requires = "follow")]
    pub or_kept: bool,
    /// Where copies of the sealed segments are, such as `https://storage.googleapis.com/BUCKET`, from which the original's
    /// clients fetch with less work; a segment has to be there as soon as it is sealed
    #[arg(long, value_name = "URL", conflicts_with = "follow")]
    pub sealed_at: Option<String>,
    /// The Gerrit that is asked which changes wait to be tried, such as `https://go-review.googlesource.com`
    #[arg(long, value_name = "URL")]
    pub gerrit: Option<String>,
    /// A repo of GitHub that is watched; several are separated by commas
    #[arg(long, value_name = "OWNER/REPO", value_delimiter = ',', conflicts_with = "follow")]
    pub watch_github: Vec<String>,
    /// A project of a Gerrit that is watched, by git at https://HOST/PROJECT; several are separated by commas
    #[arg(long, value_name = "HOST/PROJECT", value_delimiter = ',', conflicts_with = "follow")]
    pub watch_gerrit: Vec<String>,
    /// The file with GitHub's token, or with USER:TOKEN
    #[arg(long, value_name = "FILE")]
    pub github_token_file: Option<PathBuf>,
    /// GitHub's API
    #[arg(long, value_name = "URL", default_value = "https://api.github.com")]
    pub github_api: String,
    /// Where the webhook of these repos goes, as GitHub's settings have it: its failed deliveries are asked for. The token must be one
    /// that may read webhooks
    #[arg(long, value_name = "URL", requires = "watch_github")]
    pub github_hook: Option<String>,
    /// How often they are asked for, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "github_hook")]
    pub github_hook_every: u64,
    /// The pubsubhelper whose hints are heard
    #[arg(long, value_name = "URL", conflicts_with = "follow")]
    pub pubsub: Option<String>,
    /// The project that releases are made of
    #[arg(long, value_name = "HOST/PROJECT", default_value = "go.googlesource.com/go")]
    pub home: String,
    /// Reading is for those who show the token in this file; with --follow it is shown to the other server too
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Takes mutations from standard input, one in hexadecimal to a line, for tests
    #[arg(long, hide = true, conflicts_with = "follow")]
    pub from_stdin: bool,
    /// What segments grow to, for tests
    #[arg(long, value_name = "BYTES", hide = true)]
    pub segment: Option<u64>,
    #[command(flatten)]
    pub sources: Sources,
}
