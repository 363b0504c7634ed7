//! How messages go out to the world, as the configuration has it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use buildenv::{Config, GithubPoster, SecretSource};
use coordinator::SystemClock;
use coordinator::outbox::gerrit::Gerrits;
use coordinator::outbox::github::Github;
use coordinator::outbox::mail::{Mailer, Settings};
use coordinator::outbox::webhook::{Privacy, Webhook, Webhooks};
use coordinator::outbox::{Channels, Kind};
use transport::Service;

/// The channels that the configuration has.
pub fn channels(config: &Config, data: &Path) -> Result<Channels> {
    let outbox = config.outbox();
    let mut channels = Channels::new();
    let mut clients = BTreeMap::new();
    for server in &outbox.gerrits {
        let place = format!("gerrit.{}", server.name);
        let password = secret(&server.password, &format!("{place}.password"), data)?;
        let client = gerrit::Client::new(gerrit::Options {
            service: Service::url(&server.url),
            login: Some(gerrit::Login { user: server.user.clone(), password: password.into() }),
            user_agent: user_agent(),
            seed: seed()?,
            limits: gerrit::Limits::default(),
        });
        clients.insert(server.name.clone(), client.with_context(|| place)?);
    }
    if !clients.is_empty() {
        channels.insert(Kind::Gerrit, Arc::new(Gerrits::new(clients)));
    }
    if let Some(client) = github(config, data)? {
        channels.insert(Kind::Github, Arc::new(Github::new(client)));
    }
    if let Some(mail) = &outbox.mail {
        let login = mail.login.as_ref().map(|(user, source)| {
            secret(source, "mail.password", data).map(|password| (user.clone(), password.into()))
        });
        let settings =
            Settings { smtp: mail.smtp.clone(), from: mail.from.clone(), login: login.transpose()? };
        channels.insert(Kind::Mail, Arc::new(Mailer::new(&settings).context("mail")?));
    }
    let mut webhooks = BTreeMap::new();
    for target in &outbox.webhooks {
        let place = format!("webhook.{}", target.name);
        let secret = secret(&target.secret, &format!("{place}.secret"), data)?;
        let privacy = if target.private { Privacy::May } else { Privacy::MayNot };
        let webhook = Webhook::new(&target.url, &secret, privacy).with_context(|| format!("{place}.url"))?;
        webhooks.insert(target.name.clone(), webhook);
    }
    if !webhooks.is_empty() {
        channels.insert(Kind::Webhook, Arc::new(Webhooks { webhooks, clock: Arc::new(SystemClock) }));
    }
    Ok(channels)
}

/// Who asks and answers GitHub, if the configuration has somebody.
pub fn github(config: &Config, data: &Path) -> Result<Option<github::Client>> {
    let Some(github) = &config.outbox().github else { return Ok(None) };
    let (token, app) = match &github.login {
        GithubPoster::Token(source) => (Some(secret(source, "github_posts.token", data)?), None),
        GithubPoster::App { app, installation, key_file } => {
            let file = SecretSource::File(key_file.clone());
            let key = secret(&file, "github_posts.app_key", data)?;
            let app = github::App::new(app, *installation, &key);
            (None, Some(app.with_context(|| format!("github_posts.app_key_file {key_file}"))?))
        }
    };
    let options = github::Options {
        service: Service::url(&github.api),
        token: token.map(Into::into),
        user_agent: user_agent(),
        clock: Arc::new(github::SystemClock),
        seed: seed()?,
        // The outbox waits better: its messages are kept. So does who looks again and again.
        limits: github::Limits { patience: std::time::Duration::from_secs(60), ..github::Limits::default() },
    };
    let client = match app {
        Some(app) => github::Client::of_app(options, app),
        None => github::Client::new(options),
    };
    client.map(Some).context("github_posts")
}

fn user_agent() -> String {
    format!("bellwether/{}", env!("CARGO_PKG_VERSION"))
}

/// Of the jitter of a client's waits.
fn seed() -> Result<u64> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).context("the operating system gives no randomness")?;
    Ok(u64::from_le_bytes(seed))
}

/// Reads the secret of a key, `KEY_file` or `KEY_env`.
fn secret(source: &SecretSource, key: &str, data: &Path) -> Result<String> {
    let (name, read) = match source {
        SecretSource::Env(variable) => {
            (format!("{key}_env {variable}"), std::env::var(variable).map_err(anyhow::Error::from))
        }
        SecretSource::File(file) => {
            let path = data.join(file);
            let name = format!("{key}_file {}", path.display());
            (name, std::fs::read_to_string(path).map_err(anyhow::Error::from))
        }
    };
    let text = read.with_context(|| name.clone())?;
    let text = text.trim();
    ensure!(!text.is_empty(), "{name} is empty");
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let sources = [buildenv::embedded("linux", "amd64"), buildenv::Source::server("server.toml", text)];
        let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        buildenv::load(&sources, &none, None).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn there_is_a_channel_for_what_is_configured_and_a_secret_that_is_missing_is_named() {
        let data = tempfile::tempdir().unwrap();
        assert!(channels(&config(""), data.path()).unwrap().is_empty());
        let text = "[gerrit.main]\nurl = \"https://review.example.org\"\nuser = \"ci\"\npassword_file = \"pw\"\n\
                    [github_posts]\ntoken_file = \"pw\"\n\
                    [mail]\nsmtp = \"smtp://127.0.0.1:2525\"\nfrom = \"ci@example.org\"\nuser = \"ci\"\npassword_file = \"pw\"\n\
                    [webhook.chat]\nurl = \"https://chat.example.org/x\"\nsecret_file = \"pw\"\n";
        let config = self::config(text);
        let error = format!("{:#}", channels(&config, data.path()).err().unwrap());
        assert!(error.starts_with("gerrit.main.password_file "), "{error}");
        std::fs::write(data.path().join("pw"), "s3cr3t\n").unwrap();
        let made = channels(&config, data.path()).unwrap();
        assert_eq!(made.keys().copied().collect::<Vec<_>>(), Kind::ALL);
        let inner = self::config(&text.replace("https://chat.example.org", "http://127.0.0.1:1"));
        let error = format!("{:#}", channels(&inner, data.path()).err().unwrap());
        assert!(error.starts_with("webhook.chat.url") && error.contains("private = true"), "{error}");
    }
}
