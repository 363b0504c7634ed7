//! Where to listen, and whether that is safe enough to be done.
//!
//! Whoever may ask a buildlet owns its account. So a port has a password, and is one of this machine alone, unless the operator
//! says otherwise in so many words. A certificate, a key and a password from a cloud's own server are such words too: somebody
//! made the machine to be reached by them.

use std::net::SocketAddr;

use crate::args::{Args, Listen};
use crate::metadata::Metadata;

/// Why nothing is listened on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// Anybody could ask.
    #[error(
        "{0} has no password, and whoever reaches it could run commands here: give one with --password-file, \
         or say --allow-no-password if that is what you want"
    )]
    NoPassword(SocketAddr),
    /// Other machines could ask.
    #[error(
        "{0} is reached by other machines: listen on 127.0.0.1, or dial out with --reverse-type, \
         or say --allow-public if that is what you want"
    )]
    Public(SocketAddr),
    /// A cloud's machine without what a public port needs.
    #[error(
        "this cloud gave the machine no password, certificate and key together, so {0} is not listened on: set the attributes \
         password, tls-cert and tls-key, or choose an address with --listen"
    )]
    Cloud(SocketAddr),
    /// One of two.
    #[error("a certificate needs its key, and a key its certificate: there is only the {0}")]
    Half(&'static str),
    /// Nobody asks for it there.
    #[error("TLS is for ports: leave --tls-cert and --tls-key away, or --listen on one")]
    UnixTls,
}

/// What a certificate proves, both in PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// What is listened on, and who may ask there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) listen: Listen,
    pub(crate) password: Option<String>,
    pub(crate) identity: Option<Identity>,
}

/// Decides by what the operator has said and what the machine was told, whose files were read into `told`.
pub(crate) fn plan(args: &Args, told: Metadata) -> Result<Plan, ListenError> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let password = given(told.password);
    let identity = match (given(told.tls_cert), given(told.tls_key)) {
        (Some(cert), Some(key)) => Some(Identity { cert, key }),
        (None, None) => None,
        (Some(_), None) => return Err(ListenError::Half("certificate")),
        (None, Some(_)) => return Err(ListenError::Half("key")),
    };
    let address = match &args.listen {
        Listen::Unix(_) if identity.is_some() => return Err(ListenError::UnixTls),
        Listen::Unix(_) => return Ok(Plan { listen: args.listen.clone(), password, identity }),
        Listen::Tcp(address) => *address,
        Listen::Auto if told.cloud => {
            let port = if identity.is_some() { 443 } else { 80 };
            let address = SocketAddr::from(([0, 0, 0, 0], port));
            let guarded = identity.is_some() && password.is_some();
            if !guarded && !(args.allow_public && (password.is_some() || args.allow_no_password)) {
                return Err(ListenError::Cloud(address));
            }
            return Ok(Plan { listen: Listen::Tcp(address), password, identity });
        }
        Listen::Auto => SocketAddr::from(([127, 0, 0, 1], 5936)),
    };
    if password.is_none() && !args.allow_no_password {
        return Err(ListenError::NoPassword(address));
    }
    if is_public(address) && !args.allow_public {
        return Err(ListenError::Public(address));
    }
    Ok(Plan { listen: Listen::Tcp(address), password, identity })
}

/// Whether other machines reach an address.
pub(crate) fn is_public(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn plan_of(flags: &str, told: &str) -> Result<Plan, ListenError> {
        let words = std::iter::once("buildlet").chain(flags.split_whitespace());
        let cli = <Cli as clap::Parser>::try_parse_from(words).unwrap();
        let has = |word: &str| told.split_whitespace().any(|w| w == word).then(|| word.to_owned());
        let metadata = Metadata {
            cloud: has("cloud").is_some(),
            password: has("password").or_else(|| has("empty").map(|_| String::new())),
            tls_cert: has("cert"),
            tls_key: has("key"),
        };
        plan(&cli.args, metadata)
    }

    #[test]
    fn what_is_safe_is_listened_on() {
        for (flags, told, want) in [
            ("", "password", "127.0.0.1:5936"),
            ("", "password cert key", "127.0.0.1:5936"),
            ("--allow-no-password", "", "127.0.0.1:5936"),
            ("--listen localhost:80", "password", "127.0.0.1:80"),
            ("--listen [::1]:80", "password", "[::1]:80"),
            ("--listen unix:/s", "", "unix:/s"),
            ("--listen :80 --allow-public", "password", "0.0.0.0:80"),
            ("--listen :80 --allow-public --allow-no-password", "", "0.0.0.0:80"),
            ("", "cloud password cert key", "0.0.0.0:443"),
            ("--allow-public", "cloud password", "0.0.0.0:80"),
        ] {
            assert_eq!(plan_of(flags, told).unwrap().listen.to_string(), want, "{flags} / {told}");
        }
        let plan = plan_of("", "cloud password cert key").unwrap();
        assert_eq!((plan.password.as_deref(), plan.identity.is_some()), (Some("password"), true));
    }

    #[test]
    fn what_is_not_is_refused_with_its_remedy() {
        for (flags, told, want) in [
            ("", "", "--allow-no-password"),
            ("", "empty", "--password-file"),
            ("--listen 127.0.0.1:80", "cert key", "--allow-no-password"),
            ("--listen :80", "password", "--allow-public"),
            ("--listen 0.0.0.0:80", "password cert key", "--allow-public"),
            ("--listen [::]:80", "password", "--allow-public"),
            ("--listen 10.0.0.1:80", "password", "--allow-public"),
            ("--listen [::ffff:10.0.0.1]:80", "password", "--allow-public"),
            ("--listen :80 --allow-public", "", "--allow-no-password"),
            ("--listen :80 --allow-no-password", "", "--allow-public"),
            ("", "cloud", "tls-cert"),
            ("", "cloud password", "tls-cert"),
            ("", "cloud cert key", "password"),
            ("--allow-public", "cloud", "password"),
            ("", "password cert", "only the certificate"),
            ("", "password key", "only the key"),
            ("--listen unix:/s", "cert key", "TLS is for ports"),
        ] {
            let error = plan_of(flags, told).unwrap_err().to_string();
            assert!(error.contains(want), "{flags} / {told}: {error}");
        }
    }
}
