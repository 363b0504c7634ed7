//! Where messages go out to the world: reviews, checks, mail, webhooks.

use super::SecretSource;
use crate::fields::Fields;

/// Where messages go out to the world.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outbox {
    /// Gerrits that are posted to.
    pub gerrits: Vec<GerritServer>,
    /// GitHub, if it is posted to.
    pub github: Option<GithubPosts>,
    /// The mail server, if mail is sent.
    pub mail: Option<MailServer>,
    /// Webhooks that are told.
    pub webhooks: Vec<WebhookTarget>,
}

/// A Gerrit that is posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GerritServer {
    /// Its name here.
    pub name: String,
    /// Its address.
    pub url: String,
    /// By what host the log of what is known names its projects.
    pub host: String,
    /// Who posts.
    pub user: String,
    /// Their HTTP password.
    pub password: SecretSource,
}

/// GitHub, as it is posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubPosts {
    /// Its API.
    pub api: String,
    /// By what it knows who posts.
    pub login: GithubPoster,
    /// Whether it is an app that posts, which may make check runs.
    pub checks: bool,
}

/// By what GitHub knows who posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GithubPoster {
    /// A token that lasts.
    Token(SecretSource),
    /// An app's installation, whose tokens last an hour.
    App {
        /// Its client id, or its number.
        app: String,
        /// The number of its installation.
        installation: u64,
        /// The file with its private key.
        key_file: String,
    },
}

/// The mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Its address.
    pub smtp: String,
    /// Who sends.
    pub from: String,
    /// By what it knows us.
    pub login: Option<(String, SecretSource)>,
}

/// A webhook that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    /// Its name here.
    pub name: String,
    /// Its address.
    pub url: String,
    /// By what it knows that it is us.
    pub secret: SecretSource,
    /// Whether it may be at an address of this machine or of a private network.
    pub private: bool,
}

/// Where a secret is. That it has one place was checked.
fn place(file: Option<String>, variable: Option<String>) -> SecretSource {
    file.map_or_else(|| SecretSource::Env(variable.unwrap_or_default()), SecretSource::File)
}

impl GerritServer {
    pub(crate) fn read(name: String, f: Fields<'_>) -> Self {
        let url = f.owned("url").unwrap_or_default();
        let of_url = url.split_once("://").map_or(&*url, |(_, rest)| rest).split('/').next();
        Self {
            name,
            host: f.owned("host").or(of_url.map(str::to_owned)).unwrap_or_default(),
            url,
            user: f.owned("user").unwrap_or_default(),
            password: place(f.owned("password_file"), f.owned("password_env")),
        }
    }
}

impl GithubPosts {
    pub(crate) fn read(f: Fields<'_>) -> Self {
        let api = f.owned("api").unwrap_or_else(|| "https://api.github.com".into());
        let login = match f.owned("app") {
            Some(app) => GithubPoster::App {
                app,
                installation: f.int("installation").unwrap_or_default(),
                key_file: f.owned("app_key_file").unwrap_or_default(),
            },
            None => GithubPoster::Token(place(f.owned("token_file"), f.owned("token_env"))),
        };
        Self { api, login, checks: f.flag("checks") }
    }
}

impl MailServer {
    pub(crate) fn read(f: Fields<'_>) -> Self {
        Self {
            smtp: f.owned("smtp").unwrap_or_default(),
            from: f.owned("from").unwrap_or_default(),
            login: f
                .owned("user")
                .map(|user| (user, place(f.owned("password_file"), f.owned("password_env")))),
        }
    }
}

impl WebhookTarget {
    pub(crate) fn read(name: String, f: Fields<'_>) -> Self {
        Self {
            name,
            url: f.owned("url").unwrap_or_default(),
            secret: place(f.owned("secret_file"), f.owned("secret_env")),
            private: f.flag("private"),
        }
    }
}
