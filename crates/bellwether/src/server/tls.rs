//! What the configuration says of TLS, for the edge.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use buildenv::{Certificate, Config, PlainHttp, Tls};
use edge::tls::{AcmeSettings, SELF_SIGNED, Source};
use edge::{Edge, Limits, Plain, PlainRule};
use tokio::sync::watch;

use super::Door;

/// The folder below the data directory for what we make or are issued.
const DIR: &str = "tls";

pub(super) fn open(
    limits: Limits,
    tls: &Tls,
    config: watch::Receiver<Arc<Config>>,
    data: &Path,
) -> Result<Door> {
    let environment = config.borrow().environment().clone();
    let source = match &tls.certificate {
        Certificate::Files { cert, key } => Source::Files { cert: data.join(cert), key: data.join(key) },
        Certificate::SelfSigned => Source::SelfSigned { dir: data.join(DIR), names: names(&environment.url) },
        Certificate::Acme(acme) => Source::Acme(AcmeSettings {
            dir: data.join(DIR),
            domains: acme.domains.clone(),
            contact: acme.contact.clone(),
            directory: acme.directory.clone(),
            ca_file: acme.ca_file.as_ref().map(|file| data.join(file)),
        }),
    };
    let (opened, keeper) =
        edge::tls::Tls::open(source).with_context(|| format!("environment.{}.tls", environment.name))?;
    let told = match (&tls.certificate, opened.fingerprint()) {
        (Certificate::SelfSigned, Some(print)) => {
            let file = data.join(DIR).join(SELF_SIGNED);
            Some(format!(
                "signed by itself, SHA-256 {print}\n            clients: --ca-file {}",
                file.display()
            ))
        }
        (Certificate::Acme(acme), None) => {
            Some(format!("none yet; one for {} is asked for at {}", acme.domains.join(", "), acme.directory))
        }
        (_, print) => print.map(|print| format!("SHA-256 {print}")),
    };
    let edge = Edge::with_tls(limits, opened, rule(tls.plain, config));
    Ok(Door { edge, keeper: Some(keeper), told })
}

/// Who is answered without TLS: this machine and known proxies always, others if the configuration says so.
fn rule(plain: PlainHttp, config: watch::Receiver<Arc<Config>>) -> PlainRule {
    Arc::new(move |from| {
        let config = config.borrow();
        let proxy = || config.access().proxies.iter().any(|proxy| proxy.parse() == Ok(from));
        if plain == PlainHttp::Everywhere || from.is_loopback() || proxy() {
            return Plain::Answer;
        }
        let url = config.environment().url.trim_end_matches('/');
        match plain == PlainHttp::Redirect && url.starts_with("https://") {
            true => Plain::Redirect(url.into()),
            false => Plain::Refuse,
        }
    })
}

/// The names of a certificate that we make: the host of our address, and this machine's.
fn names(url: &str) -> Vec<String> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    };
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    if !host.is_empty() && !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_the_address_is_among_the_names() {
        for (url, last) in [
            ("https://ci.example.org", "ci.example.org"),
            ("https://ci.example.org:8119/x", "ci.example.org"),
            ("http://localhost:8119", "::1"),
            ("https://[2001:db8::1]:8119", "2001:db8::1"),
            ("", "::1"),
        ] {
            assert_eq!(names(url).last().map(String::as_str), Some(last), "{url}");
        }
    }

    #[test]
    fn plain_is_for_this_machine_and_its_proxies_unless_more_is_said() {
        let text = "[environment.dev]\nurl = \"https://ci.example\"\n[access]\nproxies = [\"10.0.0.7\"]\n";
        let sources = [buildenv::embedded("linux", "amd64"), buildenv::Source::server("server.toml", text)];
        let config = buildenv::load(&sources, &|_| Err(std::io::ErrorKind::NotFound.into()), None).unwrap();
        let (_sender, config) = watch::channel(Arc::new(config));
        let redirect = Plain::Redirect("https://ci.example".into());
        for (plain, elsewhere) in [
            (PlainHttp::Loopback, Plain::Refuse),
            (PlainHttp::Redirect, redirect),
            (PlainHttp::Everywhere, Plain::Answer),
        ] {
            let rule = rule(plain, config.clone());
            assert_eq!(rule("127.0.0.1".parse().unwrap()), Plain::Answer);
            assert_eq!(rule("::1".parse().unwrap()), Plain::Answer);
            assert_eq!(rule("10.0.0.7".parse().unwrap()), Plain::Answer);
            assert_eq!(rule("10.0.0.8".parse().unwrap()), elsewhere);
        }
    }
}
