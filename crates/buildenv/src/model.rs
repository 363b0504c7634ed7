//! What a configuration holds, in types: environments, repos, hosts, builders, recipes and what they share.

mod builder;
mod environment;
mod hints;
mod host;
mod maintnerd;
mod mute;
mod notify;
mod outbox;
mod policy;
mod quotas;
mod recipe;
mod repo;
mod tries;

pub use builder::{Ancestor, Builder};
pub use environment::{
    Access, Acme, CONNECTIONS, Certificate, Dashboard, Environment, GithubLogin, Limit, LoginClient,
    ObjectStore, Oidc, PlainHttp, Reading, Retention, Secret, SecretSource, Tls,
};
pub use hints::{GerritMail, GithubHooks, Hints};
pub use host::{Host, Isolation, Limits, Pool, Trust};
pub use maintnerd::{GithubHook, Maintnerd, WatchedGit};
pub use mute::MuteFile;
pub use notify::{Alarms, Notify, Tell};
pub use outbox::{GerritServer, GithubPoster, GithubPosts, MailServer, Outbox, WebhookTarget};
pub(crate) use policy::Subject;
pub use policy::{Class, Classes, Rule, TryPolicy, When};
pub use quotas::Quotas;
pub use recipe::{Job, Part, Recipe, Results, Role, Step, StepWhen};
pub use repo::{Pair, Repo, SourceKind, TreeRules, Visibility};
pub use tries::Tries;
