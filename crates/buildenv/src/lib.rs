//! Configuration: environments, repositories, hosts, builders and recipes, read from TOML.
//!
//! [`load()`] turns sources into a checked [`Config`], or into every problem with file, line and column. [`plan()`]
//! answers which builders build a commit and why each other one does not, [`toolchain_pairs`] against which
//! branches of its toolchain a branch is built, [`explain()`] where each value comes from. [`mod@detect`] finds a recipe
//! for a tree without configuration. Everything here is a pure function of its arguments: nothing is read but
//! through them, nothing waits, no secret's value is ever seen.

#![forbid(unsafe_code)]

mod address;
mod cells;
mod check;
mod config;
pub mod detect;
mod diff;
mod embedded;
mod expand;
mod explain;
mod facts;
mod fields;
mod load;
mod model;
pub mod name;
mod pattern;
mod plan;
mod problem;
mod quantity;
mod revision;
mod schema;
mod source;
mod syntax;
mod tree;
mod values;

pub use address::RepoAddress;
pub use cells::{Asked, Cell, Change, ChangeKind, cells, diff_cells};
pub use config::{Config, Project};
pub use detect::{Found, FoundStep, ProjectKind, detect, to_toml};
pub use diff::diff_keys;
pub use embedded::{BUILT_IN, ENV_PASS, embedded, repo_source, this_machine};
pub use explain::{Explained, explain, explainable, explained};
pub use facts::Fact;
pub use load::{load, load_with_projects};
pub use model::{
    Access, Acme, Alarms, Ancestor, Builder, CONNECTIONS, Certificate, Class, Classes, Dashboard,
    Environment, GerritMail, GerritServer, GithubHook, GithubHooks, GithubLogin, GithubPoster, GithubPosts,
    Hints, Host, Isolation, Job, Limit, Limits, LoginClient, MailServer, Maintnerd, MuteFile, Notify,
    ObjectStore, Oidc, Outbox, Pair, Part, PlainHttp, Pool, Quotas, Reading, Recipe, Repo, Results,
    Retention, Role, Rule, Secret, SecretSource, SourceKind, Step, StepWhen, Tell, Tls, TreeRules, Tries,
    Trust, TryPolicy, Visibility, WatchedGit, WebhookTarget, When,
};
pub use name::{
    BuilderName, EnvironmentName, HostName, LimitName, NameError, RecipeName, RepoName, SecretName,
    check_name,
};
pub use pattern::{Pattern, PatternError, Patterns};
pub use plan::{LeftOut, Plan, Planned, plan, toolchain_pairs};
pub use problem::{Problem, Problems};
pub use quantity::{Version, parse_duration, parse_size, show_duration};
pub use revision::{Commit, Revision, RevisionError};
pub use schema::{all_keys, keys_without_effect, reference};
pub use source::{Kind, Location, Source};
pub use tree::{quote, show_key};
