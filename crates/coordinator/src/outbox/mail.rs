//! Mail, by the SMTP server of the server file.

use std::time::Duration;

use futures::future::BoxFuture;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{Channel, Delivered, Delivery, Failure, Kind, Message, fit};

/// How long the server may take for each of its answers.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest text of a mail, bytes.
const LONGEST: usize = 256 << 10;
/// The longest subject, bytes.
const LONGEST_SUBJECT: usize = 300;
/// The most people of one mail.
const MOST: usize = 50;

/// A mail to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Whom to. All of them see each other.
    pub to: Vec<String>,
    /// Its subject. What is longer than 300 bytes is cut.
    pub subject: String,
    /// Its text. What is longer than 256 KiB is cut.
    pub text: String,
}

impl Mail {
    /// Makes the message of it.
    #[must_use]
    pub fn message(&self, key: &str) -> Message {
        Message::of(key, Kind::Mail, fit(&self.to.join(", "), 900), self)
    }
}

/// How mail is sent, as the server file says.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `smtp://HOST[:PORT]` (25; STARTTLS with `?tls=required`) or `smtps://HOST[:PORT]` (465).
    pub smtp: String,
    /// Who sends: `ci@example.org` or `CI <ci@example.org>`.
    pub from: String,
    /// By what the server knows us, if it wants to.
    pub login: Option<(String, SecretString)>,
}

/// Why mail can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum BadMail {
    /// No address of a server.
    #[error(
        "{0:?} is no SMTP server: it must be smtp://HOST:PORT, smtp://HOST:PORT?tls=required or smtps://HOST:PORT, without a user"
    )]
    Server(String),
    /// No address of a person.
    #[error("{0:?} is no address of mail: {1}")]
    From(String, String),
    /// A password would go over the network as it is.
    #[error("{0:?} would carry the password in the clear: use smtps:// or ?tls=required")]
    Plain(String),
    /// TLS is not built in.
    #[error("{0:?} needs TLS, which this program was built without")]
    NoTls(String),
}

/// Sends mail.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// Makes one; nothing is connected to yet.
    ///
    /// # Errors
    /// See [`BadMail`].
    pub fn new(settings: &Settings) -> Result<Self, BadMail> {
        let Settings { smtp, from, login } = settings;
        let from: Mailbox = from
            .parse()
            .map_err(|error: lettre::address::AddressError| BadMail::From(from.clone(), error.to_string()))?;
        let bad = || BadMail::Server(smtp.clone());
        let (scheme, rest) = smtp.split_once("://").ok_or_else(bad)?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let place = place.trim_end_matches('/');
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().map_err(|_| bad())?)),
            None => (place, None),
        };
        if host.is_empty() || host.contains(['@', '/', ' ']) {
            return Err(bad());
        }
        let builder = match (scheme, query) {
            ("smtp", "") => {
                if login.is_some() && !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
                    return Err(BadMail::Plain(smtp.clone()));
                }
                let host = host.trim_start_matches('[').trim_end_matches(']');
                AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(port.unwrap_or(25))
            }
            ("smtp", "tls=required") | ("smtps", "") => encrypted(smtp)?,
            _ => return Err(bad()),
        };
        let mut builder = builder.timeout(Some(PATIENCE));
        if let Some((user, password)) = login {
            builder =
                builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(Self { transport: builder.build(), from })
    }

    async fn send(&self, delivery: Delivery<'_>) -> Result<Delivered, Failure> {
        let mail: Mail = delivery.read()?;
        if mail.to.is_empty() || mail.to.len() > MOST {
            return Err(Failure::never(format!(
                "a mail to {} people is not sent: 1 to {MOST}",
                mail.to.len()
            )));
        }
        let domain = self.from.email.domain();
        let subject: String = fit(&mail.subject, LONGEST_SUBJECT)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .subject(subject)
            // The same for each attempt: who gets it twice shows it once.
            .message_id(Some(format!("<{}@{domain}>", delivery.marker)))
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".into(),
            ))
            .header(ContentType::TEXT_PLAIN);
        for to in &mail.to {
            let to: Mailbox = to
                .parse()
                .map_err(|error| Failure::never(format!("{to:?} is no address of mail: {error}")))?;
            builder = builder.to(to);
        }
        let message =
            builder.body(fit(&mail.text, LONGEST)).map_err(|error| Failure::never(error.to_string()))?;
        match self.transport.send(message).await {
            Ok(_) => Ok(Delivered::Now),
            Err(error) => Err(failure(&error)),
        }
    }
}

#[cfg(feature = "tls")]
fn encrypted(smtp: &str) -> Result<lettre::transport::smtp::AsyncSmtpTransportBuilder, BadMail> {
    AsyncSmtpTransport::<Tokio1Executor>::from_url(smtp).map_err(|_| BadMail::Server(smtp.to_owned()))
}

#[cfg(not(feature = "tls"))]
fn encrypted(smtp: &str) -> Result<lettre::transport::smtp::AsyncSmtpTransportBuilder, BadMail> {
    Err(BadMail::NoTls(smtp.to_owned()))
}

fn failure(error: &lettre::transport::smtp::Error) -> Failure {
    let message = format!("the mail server: {}", reason(error));
    // 535 is a wrong password, which a person may mend; another 5xx its word that it does not take this mail.
    let code = error.status().map(u16::from);
    if error.is_permanent() && !matches!(code, Some(530 | 534 | 535)) {
        Failure::never(message)
    } else {
        Failure::later(message)
    }
}

/// An error with its causes.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

impl Channel for Mailer {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Result<Delivered, Failure>> {
        Box::pin(self.send(delivery))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_goes_to_no_other_machine_in_the_clear() {
        let made = |smtp: &str, login: bool| {
            let login = login.then(|| ("ci".to_owned(), "s3cr3t".into()));
            Mailer::new(&Settings { smtp: smtp.into(), from: "CI <ci@example.org>".into(), login })
                .map(|_| ())
        };
        assert!(
            made("smtp://mail.example.org", false).is_ok() && made("smtp://127.0.0.1:2525", true).is_ok()
        );
        assert!(matches!(made("smtp://mail.example.org:25", true), Err(BadMail::Plain(_))));
        for bad in
            ["", "mail.example.org", "smtp://", "smtp://u:p@h", "http://h", "smtp://h:x", "smtp://h?tls=off"]
        {
            assert!(matches!(made(bad, false), Err(BadMail::Server(_))), "{bad}");
        }
        #[cfg(feature = "tls")]
        assert!(
            made("smtps://mail.example.org", true).is_ok() && made("smtp://h:587?tls=required", true).is_ok()
        );
        let settings = Settings { smtp: "smtp://h".into(), from: "nobody".into(), login: None };
        assert!(matches!(Mailer::new(&settings), Err(BadMail::From(..))));
    }
}
