//! Environments, and the small sections: limits, secrets, access, dashboard.

use std::time::Duration;

use crate::facts::Facts;
use crate::fields::Fields;
use crate::name::{EnvironmentName, LimitName, RepoName, SecretName};
use crate::pattern::Patterns;
use crate::source::Location;

/// How many connections there may be at once where nothing is said.
pub const CONNECTIONS: usize = 10_000;

/// How many machines one person may have at once where nothing is said; `gomote create --count` asks for no more.
const GOMOTES: usize = 50;

/// Where this system runs: what differs between production, staging and development.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// Whether it is production.
    pub production: bool,
    /// The address that people and workers use.
    pub url: String,
    /// Address and port to listen on.
    pub listen: String,
    /// At most so many connections at once.
    pub connections: usize,
    /// TLS on the same port.
    pub tls: Option<Tls>,
    /// Shells on machines that people hold.
    pub ssh: Ssh,
    /// `sqlite:FILE` or `postgres://…`.
    pub database: String,
    /// `file:DIR`, `s3://…` or `gs://…`.
    pub objects: String,
    /// How the bucket of `objects` is reached.
    pub object_store: ObjectStore,
    /// Whether repositories are pushed to their mirrors.
    pub push_mirrors: bool,
    /// Which builders run here, by [`Builder::full_name`](crate::Builder::full_name).
    pub builders: Patterns,
    /// Pools whose builders run here whatever their names.
    pub builders_on: Vec<String>,
    /// At most so many builds at once.
    pub max_builds: Option<u32>,
    /// Whether the commit that broke a builder is looked for.
    pub bisect: bool,
    /// At most so many machines for one person at once: held, waited for, and those of builds that are to be held if they fail.
    pub max_gomotes: usize,
    /// Settings of machine pools.
    pub cloud: Vec<(String, String)>,
    /// Where it was said.
    pub at: Location,
    pub(crate) facts: Facts,
}

impl Environment {
    pub(crate) fn read(name: EnvironmentName, f: Fields<'_>, at: Location, facts: Facts) -> Self {
        let production = f.bool("production").unwrap_or(name.as_str() == "prod");
        let text = |key, default: &str| f.text(key).unwrap_or(default).to_string();
        Self {
            url: text("url", "http://localhost:8119"),
            listen: text("listen", "127.0.0.1:8119"),
            connections: f.int("connections").unwrap_or(CONNECTIONS),
            tls: f.table("tls").map(Tls::read),
            ssh: f.table("ssh").map(Ssh::read).unwrap_or_default(),
            database: text("database", "sqlite:bellwether.db"),
            objects: text("objects", "file:objects"),
            object_store: f.table("object_store").map(ObjectStore::read).unwrap_or_default(),
            push_mirrors: f.bool("push_mirrors").unwrap_or(production),
            builders: f.patterns("builders"),
            builders_on: f.texts("builders_on"),
            max_builds: f.limit("max_builds"),
            bisect: f.bool("bisect").unwrap_or(true),
            max_gomotes: f.int("max_gomotes").unwrap_or(GOMOTES),
            cloud: f.vars("cloud"),
            name,
            production,
            at,
            facts,
        }
    }
}

impl Environment {
    /// HOST:PORT at which people reach the port of SSH, if there is one: as configured, or the host of the URL with the port that is
    /// listened on.
    #[must_use]
    pub fn ssh_address(&self) -> Option<String> {
        let port = self.ssh.listen.as_deref()?.rsplit_once(':')?.1;
        let host = match &self.ssh.address {
            Some(address)
                if address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) =>
            {
                return Some(address.clone());
            }
            Some(host) => host.as_str(),
            None => {
                let (_, rest) = self.url.split_once("://")?;
                let authority = rest.split('/').next().unwrap_or_default();
                match authority.rsplit_once(':') {
                    Some((host, port)) if port.parse::<u16>().is_ok() => host,
                    _ => authority,
                }
            }
        };
        Some(format!("{host}:{port}"))
    }
}

/// Shells on machines that people hold. They are had by way of the pages' port, whatever is said here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ssh {
    /// Address and port to listen on besides.
    pub listen: Option<String>,
    /// HOST or HOST:PORT at which people reach that.
    pub address: Option<String>,
    /// Whether what is to be seen of each session is kept.
    pub record: bool,
}

impl Ssh {
    fn read(f: Fields<'_>) -> Ssh {
        Ssh {
            listen: f.owned("listen"),
            address: f.owned("address"),
            record: f.bool("record").unwrap_or(false),
        }
    }
}

/// TLS on the one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Where the certificate comes from.
    pub certificate: Certificate,
    /// Who is answered without TLS, besides this machine and known proxies.
    pub plain: PlainHttp,
}

/// Where a certificate comes from. Files are absolute, or under the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// From files that somebody else renews.
    Files {
        /// The chain.
        cert: String,
        /// Its key.
        key: String,
    },
    /// Of our own making.
    SelfSigned,
    /// Issued by an authority.
    Acme(Acme),
}

/// What an authority is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// The names.
    pub domains: Vec<String>,
    /// Whom it may write to.
    pub contact: Vec<String>,
    /// Its directory.
    pub directory: String,
    /// By which the directory itself is known, if not by the well-known authorities.
    pub ca_file: Option<String>,
}

/// Who is answered without TLS where there is TLS, besides this machine and known proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainHttp {
    /// Nobody.
    #[default]
    Loopback,
    /// Everybody.
    Everywhere,
    /// Nobody; they are sent to the environment's address.
    Redirect,
}

impl Tls {
    /// That there is one source, with all that it needs, was checked.
    fn read(f: Fields<'_>) -> Self {
        let directory = "https://acme-v02.api.letsencrypt.org/directory";
        let files = || Certificate::Files {
            cert: f.owned("cert_file").unwrap_or_default(),
            key: f.owned("key_file").unwrap_or_default(),
        };
        let acme = |acme: Fields<'_>| Acme {
            domains: acme.texts("domains"),
            contact: acme.texts("contact"),
            directory: acme.owned("directory").unwrap_or_else(|| directory.into()),
            ca_file: acme.owned("ca_file"),
        };
        let certificate = match f.table("acme") {
            Some(table) => Certificate::Acme(acme(table)),
            None if f.flag("self_signed") => Certificate::SelfSigned,
            None => files(),
        };
        let plain = match f.text("plain") {
            Some("everywhere") => PlainHttp::Everywhere,
            Some("redirect") => PlainHttp::Redirect,
            _ => PlainHttp::Loopback,
        };
        Self { certificate, plain }
    }
}

/// How a bucket is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectStore {
    /// Where it is asked.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Whether an endpoint on another machine may be without TLS.
    pub allow_http: bool,
    /// The id of our access key, and where its secret is found.
    pub key: Option<(String, SecretSource)>,
    /// The file with a service account's key.
    pub service_account_file: Option<String>,
    /// The file with more authorities.
    pub authorities_file: Option<String>,
}

impl ObjectStore {
    fn read(f: Fields<'_>) -> Self {
        let secret = f.owned("secret_key_file").map(SecretSource::File);
        let secret = secret.or_else(|| f.owned("secret_key_env").map(SecretSource::Env));
        Self {
            endpoint: f.owned("endpoint"),
            region: f.owned("region"),
            allow_http: f.bool("allow_http").unwrap_or(false),
            key: f.owned("key_id").zip(secret),
            service_account_file: f.owned("service_account_file"),
            authorities_file: f.owned("authorities_file"),
        }
    }
}

/// A limit that several builders share.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Its name.
    pub name: LimitName,
    /// At most so many builds at once.
    pub max: u32,
    /// Where it was said.
    pub at: Location,
}

impl Limit {
    pub(crate) fn read(name: LimitName, f: Fields<'_>, at: Location) -> Self {
        Self { name, max: f.int("max").unwrap_or(1), at }
    }
}

/// Where a secret's value is found. Reading it is the caller's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, absolute or under the data directory.
    File(String),
    /// A variable of the server.
    Env(String),
}

/// A secret for named builders.
#[derive(Debug, Clone)]
pub struct Secret {
    /// Its name.
    pub name: SecretName,
    /// Where its value is found.
    pub source: SecretSource,
    /// The variable in which a job finds it.
    pub variable: String,
    /// Who gets it: `BUILDER` or `REPO:BUILDER`.
    pub builders: Vec<String>,
    /// Where it exists; empty means everywhere.
    pub environments: Vec<EnvironmentName>,
    /// Where it was said.
    pub at: Location,
}

impl Secret {
    pub(crate) fn read(name: SecretName, f: Fields<'_>, at: Location) -> Self {
        let file = f.owned("file").map(SecretSource::File);
        let source = file.unwrap_or_else(|| SecretSource::Env(f.owned("env").unwrap_or_default()));
        let capitals = || name.as_str().to_ascii_uppercase().replace(['-', '.'], "_");
        Self {
            variable: f.owned("as").unwrap_or_else(capitals),
            builders: f.texts("builders"),
            environments: f.names("environments"),
            name,
            source,
            at,
        }
    }
}

/// Who may read public repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// Everyone.
    #[default]
    Anonymous,
    /// Only those who say who they are.
    Developer,
}

/// Who may what, and how people sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Who may read public repositories.
    pub read: Reading,
    /// Requests that a stranger's address may make in a second, in the long run.
    pub strangers_per_second: u32,
    /// Requests that it may make at once.
    pub strangers_burst: u32,
    /// Addresses whose `X-Forwarded-For` is believed.
    pub proxies: Vec<String>,
    /// How long somebody stays signed in.
    pub session: Duration,
    /// Signing in by OpenID Connect.
    pub oidc: Option<Oidc>,
    /// Signing in by GitHub.
    pub github: Option<GithubLogin>,
}

impl Access {
    pub(crate) fn read(f: Fields<'_>) -> Self {
        Self {
            read: match f.text("read") {
                Some("developer") => Reading::Developer,
                _ => Reading::Anonymous,
            },
            strangers_per_second: f.int("strangers_per_second").unwrap_or(100),
            strangers_burst: f.int("strangers_burst").unwrap_or(1000),
            proxies: f.texts("proxies"),
            session: f.duration("session").unwrap_or(Duration::from_secs(7 * 86_400)),
            oidc: f.table("oidc").map(Oidc::read),
            github: f.table("github").map(GithubLogin::read),
        }
    }
}

/// What we are to somebody who signs people in for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginClient {
    /// Our id there.
    pub client_id: String,
    /// Where our secret there is found.
    pub client_secret: SecretSource,
    /// Group, organisation or person, and the role that comes with it.
    pub roles: Vec<(String, String)>,
}

impl LoginClient {
    fn read(f: Fields<'_>) -> Self {
        let file = f.owned("client_secret_file").map(SecretSource::File);
        let env = || SecretSource::Env(f.owned("client_secret_env").unwrap_or_default());
        Self {
            client_id: f.owned("client_id").unwrap_or_default(),
            client_secret: file.unwrap_or_else(env),
            roles: f.vars("roles"),
        }
    }
}

/// Signing in by OpenID Connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// Who signs people in.
    pub issuer: String,
    /// What we are there.
    pub client: LoginClient,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The claim with a person's groups.
    pub groups_claim: String,
}

impl Oidc {
    fn read(f: Fields<'_>) -> Self {
        let scopes = f.texts("scopes");
        let usual = || ["openid", "profile", "email"].map(str::to_owned).to_vec();
        Self {
            issuer: f.owned("issuer").unwrap_or_default(),
            client: LoginClient::read(f),
            scopes: if scopes.is_empty() { usual() } else { scopes },
            groups_claim: f.owned("groups_claim").unwrap_or_else(|| "groups".into()),
        }
    }
}

/// Signing in by GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubLogin {
    /// Where people are sent.
    pub url: String,
    /// Where is asked who they are.
    pub api: String,
    /// What we are there.
    pub client: LoginClient,
}

impl GithubLogin {
    fn read(f: Fields<'_>) -> Self {
        Self {
            url: f.owned("url").unwrap_or_else(|| "https://github.com".into()),
            api: f.owned("api").unwrap_or_else(|| "https://api.github.com".into()),
            client: LoginClient::read(f),
        }
    }
}

/// Settings of the original's dashboard API.
#[derive(Debug, Clone, Default)]
pub struct Dashboard {
    /// The repository shown without a package path.
    pub main: Option<RepoName>,
    /// Branches that the overview leaves out.
    pub hidden_branches: Patterns,
    /// The file with the master key of those who post, relative to the data directory.
    pub builder_key_file: Option<String>,
}

/// How long what is kept. Nothing goes that has no age.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Logs.
    pub logs: Option<Duration>,
    /// Artefacts.
    pub artifacts: Option<Duration>,
    /// Test results.
    pub tests: Option<Duration>,
    /// All three, of builds that did not end well.
    pub failed: Option<Duration>,
    /// Branches of which all is kept.
    pub branches: Patterns,
    /// So many of the newest green builds of each builder on each branch are kept.
    pub last_green: u32,
    /// Built trees of revisions that are no head.
    pub snapshots: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self::read(Fields(&crate::tree::Table::default()))
    }
}

impl Retention {
    pub(crate) fn read(f: Fields<'_>) -> Self {
        Self {
            logs: f.duration("logs"),
            artifacts: f.duration("artifacts"),
            tests: f.duration("tests"),
            failed: f.duration("failed"),
            branches: f.patterns("branches"),
            last_green: f.int("last_green").unwrap_or(1),
            snapshots: f.duration("snapshots"),
        }
    }
}
