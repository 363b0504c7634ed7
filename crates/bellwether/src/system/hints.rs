//! pubsubhelper, as the configuration has it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::extract::Request;
use buildenv::{Config, SecretSource};
use coordinator::Press;
use edge::Edge;
use pubsubhelper::dns::Resolver;
use pubsubhelper::{Hub, MailPort, Replaced, Rerequest, Rerequests, SmtpConfig, TakeOver, WebhookTls};
use store::{DatabaseUrl, Db};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::data;
use super::running::Running;

/// How long GitHub waits for it that a button's press is taken: it gives up after ten seconds.
const TAKEN: Duration = Duration::from_secs(8);

/// Opens the hub, if a forge is named. Who pressed the button of a check is told to `presses`.
pub async fn open(
    config: &Config,
    db: Db,
    url: &DatabaseUrl,
    data: &Path,
    presses: Option<mpsc::Sender<Press>>,
) -> Result<Option<Hub>> {
    if !config.hints().names_a_forge() {
        return Ok(None);
    }
    let mut told = settings(config, url, data)?;
    told.rerequests = presses.map(|to| Rerequests(Arc::new(move |one| Box::pin(press(to.clone(), one)))));
    Hub::open(told, db).await.map(Some).context("starting pubsubhelper")
}

/// Hands a press on; whether it is written down.
async fn press(to: mpsc::Sender<Press>, one: Rerequest) -> bool {
    let (done, written) = oneshot::channel();
    let Rerequest { repo, commit, external_id: run, by, delivery: id } = one;
    let told = async {
        let press = Press { repo, commit, run, by, id, done };
        to.send(press).await.is_ok() && written.await.is_ok()
    };
    tokio::time::timeout(TAKEN, told).await.unwrap_or(false)
}

fn settings(config: &Config, url: &DatabaseUrl, data: &Path) -> Result<pubsubhelper::Config> {
    let hints = config.hints();
    let webhook_secret = hints.github.as_ref().map(|github| secret(&github.secret, data)).transpose()?;
    let webhook_tls = match hints.github.as_ref().is_some_and(|github| github.plain) {
        true => WebhookTls::NotAsked,
        false => {
            let proxies = config.access().proxies.iter().filter_map(|proxy| proxy.parse().ok());
            WebhookTls::Required { proxies: proxies.collect() }
        }
    };
    let smtp = hints.gerrit.as_ref().map_or_else(SmtpConfig::default, |gerrit| SmtpConfig {
        host: gerrit.host.clone().unwrap_or_else(|| host(&config.environment().url)),
        rcpt: gerrit.rcpt.clone(),
        signing_domains: gerrit.signing_domains.clone(),
        sender_host: gerrit.sender_host.clone(),
        unsigned_fields: gerrit.unsigned_fields,
        ..SmtpConfig::default()
    });
    Ok(pubsubhelper::Config {
        webhook_secret: webhook_secret.map(Into::into),
        webhook_tls,
        smtp,
        holder: format!("pid {} on {}", std::process::id(), data::host_name()),
        take_over: match url {
            // The data directory is ours alone, so whoever was before is dead.
            DatabaseUrl::Sqlite(_) => TakeOver::AtOnce,
            DatabaseUrl::Postgres(_) => TakeOver::WhenOver,
        },
        ..pubsubhelper::Config::default()
    })
}

fn secret(source: &SecretSource, data: &Path) -> Result<String> {
    let (name, read) = match source {
        SecretSource::Env(variable) => {
            let name = format!("pubsubhelper.github.secret_env {variable}");
            (name, std::env::var(variable).map_err(anyhow::Error::from))
        }
        SecretSource::File(file) => {
            let path = data.join(file);
            let name = format!("pubsubhelper.github.secret_file {}", path.display());
            (name, std::fs::read_to_string(path).map_err(anyhow::Error::from))
        }
    };
    let secret = read.with_context(|| name.clone())?.trim().to_owned();
    if secret.is_empty() {
        bail!("{name} is empty: anybody could sign with it");
    }
    Ok(secret)
}

/// The host of an address.
fn host(url: &str) -> String {
    let host = url.parse::<http::Uri>().ok().and_then(|url| url.host().map(str::to_owned));
    host.unwrap_or_else(|| "localhost".into())
}

/// Tells pubsubhelper which requests came over TLS.
pub fn marked(router: Router) -> Router {
    router.layer(axum::middleware::map_request(|mut request: Request| async move {
        if request.extensions().get::<edge::OverTls>().is_some() {
            request.extensions_mut().insert(pubsubhelper::OverTls);
        }
        request
    }))
}

/// The port for mail, at which STARTTLS is offered where the edge has TLS.
pub async fn mail(listener: TcpListener, edge: &Edge) -> Result<MailPort> {
    let resolver = Resolver::of_system().await.context("reading where names are looked up")?;
    #[cfg(not(feature = "full"))]
    let _ = edge;
    Ok(MailPort {
        listener,
        txt: Arc::new(resolver),
        #[cfg(feature = "full")]
        tls: edge.acceptor(),
    })
}

/// Lets a hub take what comes.
pub fn run(hub: Hub, mail: Option<MailPort>) -> Running<Replaced> {
    Running::start("pubsubhelper", move |stop| async move { pubsubhelper::run(&hub, mail, stop).await })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let sources = [buildenv::embedded("linux", "amd64"), buildenv::Source::server("server.toml", text)];
        buildenv::load(&sources, &|_| Err(std::io::ErrorKind::NotFound.into()), None)
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn what_is_configured_is_what_pubsubhelper_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite("x".into());
        let of = |text: &str| settings(&config(text), &url, dir.path());
        assert!(!config("").hints().names_a_forge());
        let mail = "[environment.dev]\nurl = \"https://ci.example:8119\"\n\
            [pubsubhelper.gerrit]\nlisten = \"[::]:25\"\nrcpt = \"bot@ci.example\"\n";
        let told = of(mail).unwrap();
        assert!(config(mail).hints().names_a_forge() && told.webhook_secret.is_none());
        assert_eq!((&*told.smtp.host, &*told.smtp.rcpt), ("ci.example", "bot@ci.example"));
        assert_eq!(told.smtp.signing_domains, ["google.com"]);
        let own = of(&format!("{mail}sender_host = \"Gerrit.example\"\nsigning_domains = \"A.example\"\n"))
            .unwrap();
        assert_eq!((&*own.smtp.sender_host, &*own.smtp.signing_domains[0]), ("gerrit.example", "a.example"));
        let hooks = "[access]\nproxies = [\"10.0.0.7\"]\n[pubsubhelper.github]\nsecret_file = \"hook\"\n";
        let error = format!("{:#}", of(hooks).unwrap_err());
        assert!(error.contains("secret_file") && error.contains("hook"), "{error}");
        std::fs::write(dir.path().join("hook"), " \n").unwrap();
        assert!(of(hooks).unwrap_err().to_string().contains("is empty"));
        std::fs::write(dir.path().join("hook"), "s3cr3t\n").unwrap();
        let told = of(hooks).unwrap();
        assert!(told.webhook_secret.is_some());
        assert_eq!(told.webhook_tls, WebhookTls::Required { proxies: vec!["10.0.0.7".parse().unwrap()] });
        assert_eq!(of(&format!("{hooks}plain = true\n")).unwrap().webhook_tls, WebhookTls::NotAsked);
    }
}
