//! Where machines dial in: `/reverse` and `/revdial`, the first requests of connections that are HTTP no longer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use buildenv::{Config, Host, Pool};
use coordinator::{Claim, Denied, Identities, Protocol, Reception, Registration};
use dashboard::Dashboard;
use edge::{Duplex, Taken, Takeover};
use futures::future::BoxFuture;
use http::HeaderMap;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use transport::routes::get;
use transport::{Role, Routes};

const REVERSE: &str = "/reverse";
const REVDIAL: &str = "/revdial";
/// The longest name of a host or a machine.
const NAME: usize = 255;

/// The longest secret or token that is looked at.
const SECRET: usize = 255;
/// Who a machine is must be found out within this time.
const IDENTIFY: Duration = Duration::from_secs(20);

/// Receives machines.
pub struct Door {
    pub config: watch::Receiver<Arc<Config>>,
    /// Knows the keys.
    pub dashboard: Dashboard,
    /// Knows the machines that have tokens of their own.
    pub identities: Identities,
    pub reception: Reception,
}

/// Why a machine is not received: a status of HTTP, and words for whoever set it up.
#[derive(Debug, PartialEq, Eq)]
struct Refused(u16, String);

impl Takeover for Door {
    fn paths(&self) -> &[&str] {
        &[REVERSE, REVDIAL]
    }

    fn take(&self, taken: Taken) -> BoxFuture<'static, ()> {
        let config = self.config.borrow().clone();
        let Taken { path, headers, peer, tls, stream } = taken;
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let safe = tls || is_near(&config, peer.ip());
        let reception = self.reception.clone();
        if !safe {
            let text = "a machine is received over TLS only: its key could be read on the way".to_owned();
            return Box::pin(refuse(stream, Refused(500, text)));
        }
        if path == REVDIAL {
            let id = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "revdial.dialer");
            let id = id.map(|(_, id)| id.into_owned()).unwrap_or_default();
            if !reception.knows(&id) {
                return Box::pin(refuse(stream, Refused(400, "no machine has this id".to_owned())));
            }
            return Box::pin(async move { reception.pick_up(&id, Box::new(stream)).await });
        }
        let is_key = |key: &str, host: &str| self.dashboard.is_builder_key(key, host);
        let said = said(&config, &headers, is_key);
        let identities = self.identities.clone();
        Box::pin(async move {
            let registered = match said {
                Ok((registration, shown, version)) => {
                    let from = peer.ip().to_canonical().to_string();
                    let known = identified(&config, &identities, &reception, registration, shown, from).await;
                    let fit = known
                        .and_then(|registration| new_enough(&reception, registration, &version))
                        .and_then(|registration| obeys_us(&reception, registration));
                    match fit {
                        Ok(registration) => alone(&reception, registration).await,
                        Err(refused) => Err(refused),
                    }
                }
                Err(refused) => Err(refused),
            };
            match registered {
                Ok(registration) => {
                    tracing::info!(%peer, host = registration.host, name = registration.name, "a machine registers");
                    let (host, name) = (registration.host.clone(), registration.name.clone());
                    let reason = reception.receive(registration, Box::new(stream)).await;
                    tracing::info!(%peer, host, name, reason, "a machine's connection has ended");
                }
                Err(refused) => {
                    tracing::warn!(%peer, status = refused.0, reason = refused.1, "a machine is not received");
                    refuse(stream, refused).await;
                }
            }
        })
    }
}

/// What a machine shows for what it says.
#[derive(Debug, PartialEq, Eq)]
enum ShownBy {
    /// The key of its host, found good.
    Key,
    /// A secret of its own, and the token that becomes its identity.
    Secret { secret: String, token: Option<String>, version: String },
}

/// Finds out who it is that registers.
async fn identified(
    config: &Config,
    identities: &Identities,
    reception: &Reception,
    registration: Registration,
    shown: ShownBy,
    from: String,
) -> Result<Registration, Refused> {
    let late =
        || Refused(503, "who this machine is could not be found out in time; it is to try again".into());
    let Registration { host, name, .. } = &registration;
    let registration = match shown {
        ShownBy::Key => {
            let Ok(Ok(has)) = tokio::time::timeout(IDENTIFY, identities.has(host, name)).await else {
                return Err(late());
            };
            let refused = has || !placed(config, host)?.keys;
            match refused.then(|| reception.key_refused(&registration, has)).flatten() {
                Some(words) => return Err(Refused(412, words)),
                None => registration,
            }
        }
        ShownBy::Secret { secret, token, version } => {
            let (host, name) = (host.clone(), name.clone());
            let claim = Claim { host, name, secret, bootstrap: token, from, version };
            match tokio::time::timeout(IDENTIFY, identities.identify(&claim)).await {
                Ok(Ok(identity)) => Registration { identity: Some(identity), ..registration },
                Ok(Err(Denied::Store(_))) | Err(_) => return Err(late()),
                Ok(Err(denied)) => return Err(Refused(412, denied.to_string())),
            }
        }
    };
    // Last: what is configured here is nothing to strangers.
    let least = placed(config, &registration.host)?.min_version;
    Ok(Registration { least, ..registration })
}

/// Whether a machine is what its host takes by what it says. What it is, is asked of it once it is here.
fn new_enough(
    reception: &Reception,
    registration: Registration,
    version: &str,
) -> Result<Registration, Refused> {
    let version = version.parse().ok();
    match version.and_then(|version| reception.too_old(&registration, version)) {
        Some(words) => Err(Refused(400, words)),
        None => Ok(registration),
    }
}

/// Whether a machine would start what this server orders.
fn obeys_us(reception: &Reception, registration: Registration) -> Result<Registration, Refused> {
    match reception.of_another_coordinator(&registration) {
        Some(words) => Err(Refused(412, words)),
        None => Ok(registration),
    }
}

/// Whether no other process of the same machine is here.
async fn alone(reception: &Reception, registration: Registration) -> Result<Registration, Refused> {
    match reception.doubled(&registration).await {
        Some(words) => Err(Refused(412, words)),
        None => Ok(registration),
    }
}

/// The host, if machines of it dial in.
fn placed<'a>(config: &'a Config, host: &str) -> Result<&'a Host, Refused> {
    match config.hosts().iter().find(|known| known.name.as_str() == host) {
        Some(known) if known.pool == Pool::Reverse => Ok(known),
        Some(other) => {
            let of = other.pool.as_str();
            Err(Refused(
                400,
                format!("host {host:?} is of pool {of} here: only pool reverse is dialled in to"),
            ))
        }
        None => Err(Refused(400, format!("host {host:?} is not configured here"))),
    }
}

/// Whether nobody reads on the way: from this machine, or by a proxy that we trust, which has TLS before it.
fn is_near(config: &Config, peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    peer.is_loopback() || config.access().proxies.iter().any(|proxy| proxy.parse() == Ok(peer))
}

/// Reads what a machine says of itself, in the order in which the original refuses.
fn said(
    config: &Config,
    headers: &HeaderMap,
    is_key: impl Fn(&str, &str) -> bool,
) -> Result<(Registration, ShownBy, String), Refused> {
    let within = |name: &str, longest: usize| {
        let value =
            headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).unwrap_or_default();
        (!value.is_empty() && value.len() <= longest).then(|| value.to_owned())
    };
    let text = |name: &str| within(name, NAME);
    let bad = |text: String| Refused(400, text);
    if headers.contains_key("x-go-builder-type") {
        return Err(bad("builders by name (-reverse) are received no longer: use -reverse-type".to_owned()));
    }
    let protocol = match text("x-revdial-version").as_deref() {
        None => Protocol::V1,
        Some("2") => Protocol::V2,
        Some(other) => return Err(bad(format!("revdial version {other:?} is not known here; 2 is"))),
    };
    let name = text("x-go-builder-hostname").ok_or_else(|| bad("X-Go-Builder-Hostname is missing".into()))?;
    let host = text("x-go-host-type").ok_or_else(|| bad("X-Go-Host-Type is missing".into()))?;
    let instance = text("x-bellwether-instance");
    let obeys = text("x-bellwether-order-key");
    let registration = Registration { host, name, instance, protocol, least: None, identity: None, obeys };
    let version = text("x-go-builder-version").unwrap_or_default();
    if headers.contains_key("x-bellwether-machine") {
        let secret = within("x-bellwether-machine", SECRET).unwrap_or_default();
        let token = within("x-bellwether-token", SECRET);
        return Ok((registration, ShownBy::Secret { secret, token, version: version.clone() }, version));
    }
    let key = text("x-go-builder-key").unwrap_or_default();
    let host = &registration.host;
    if !is_key(&key, host) {
        let words = "is not good; the server makes it from the key in dashboard.builder_key_file";
        return Err(Refused(412, format!("the key for host {host:?} {words}")));
    }
    placed(config, host)?;
    Ok((registration, ShownBy::Key, version))
}

async fn refuse(mut stream: Box<dyn Duplex>, refused: Refused) {
    let Refused(status, text) = refused;
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let answer = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{text}\n",
        reason.unwrap_or("Refused"),
        text.len() + 1,
    );
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        // Whoever is gone needs no answer.
        let _ = stream.shutdown().await;
    }
}

/// What is said to those who ask in another way: over HTTP/2, on a connection that was asked for something before, or
/// before TLS.
pub fn routes() -> Routes {
    let say = || async {
        let text = "a buildlet asks for this, as the first request of a connection of HTTP/1.1\n";
        (http::StatusCode::BAD_REQUEST, text)
    };
    Routes::new().route(REVERSE, get(Role::Anonymous, say)).route(REVDIAL, get(Role::Anonymous, say))
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
    fn a_machine_says_who_it_is_and_has_the_key_of_its_host() {
        let config = config("[host.arm]\npool = \"reverse\"\n[host.here]\npool = \"local\"\n");
        let read = |headers: &[(&'static str, &str)]| {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            said(&config, &headers.collect(), |key, host| key == format!("key of {host}"))
        };
        let name = ("x-go-builder-hostname", "box1");
        let arm = [name, ("x-go-host-type", "arm"), ("x-go-builder-key", "key of arm")];
        let (v1, shown, _) = read(&arm).unwrap();
        assert_eq!(shown, ShownBy::Key);
        assert_eq!((v1.host.as_str(), v1.name.as_str(), v1.instance), ("arm", "box1", None));
        assert_eq!(v1.protocol, Protocol::V1);
        let more = [("x-revdial-version", "2"), ("x-bellwether-instance", "i1")];
        let (v2, _, _) = read(&[&arm[..], &more].concat()).unwrap();
        // Who shows a secret has no key; a version is for people.
        let of_its_own =
            [name, ("x-go-host-type", "arm"), ("x-bellwether-machine", "s"), ("x-bellwether-token", "t")];
        let (_, shown, _) = read(&of_its_own).unwrap();
        let secret = ShownBy::Secret { secret: "s".into(), token: Some("t".into()), version: String::new() };
        assert_eq!(shown, secret);
        assert_eq!((v2.protocol, v2.instance.as_deref()), (Protocol::V2, Some("i1")));
        for (headers, status, said) in [
            (&[][..], 400, "X-Go-Builder-Hostname is missing"),
            (&[name], 400, "X-Go-Host-Type is missing"),
            (&[name, ("x-go-host-type", "arm")], 412, "is not good"),
            (&[name, ("x-go-host-type", "arm"), ("x-go-builder-key", "key of here")], 412, "is not good"),
            (&[name, ("x-go-host-type", "here"), ("x-go-builder-key", "key of here")], 400, "of pool local"),
            (&[name, ("x-go-host-type", "else"), ("x-go-builder-key", "key of else")], 400, "not configured"),
            (&[&arm[..], &[("x-revdial-version", "3")]].concat(), 400, "\"3\" is not known"),
            (&[("x-go-builder-type", "linux-amd64")], 400, "-reverse-type"),
            (&[("x-go-builder-hostname", &*"a".repeat(300))], 400, "X-Go-Builder-Hostname"),
        ] {
            let refused = read(headers).unwrap_err();
            assert!(refused.0 == status && refused.1.contains(said), "{headers:?}: {refused:?}");
        }
    }
}
