//! What the helper is told.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::SecretString;

/// What the helper is told. [`Default`] is for a Gerrit of Google's and webhooks without a secret, which are all refused.
#[derive(Debug, Clone)]
pub struct Config {
    /// The secret that GitHub signs with. Without one every webhook is ignored.
    pub webhook_secret: Option<SecretString>,
    /// The largest body of a webhook, bytes; of larger ones no more than this is read, and they are ignored. 25 MiB, where
    /// GitHub itself stops at 25 MB.
    pub webhook_bytes: usize,
    /// Who may bring a webhook without TLS. [`WebhookTls::Required`] without proxies.
    pub webhook_tls: WebhookTls,
    /// Who is told that somebody pressed the button of a check. Nobody; such webhooks are ignored then.
    pub rerequests: Option<crate::Rerequests>,
    /// How long a webhook or a mail is remembered by its signature, so that it makes no second event. An hour.
    pub replay_window: Duration,
    /// How long a wait for an event lasts. 30 seconds.
    pub long_poll: Duration,
    /// The most events that are kept, however young. 200,000: an hour of 55 a second.
    pub most_events: u32,
    /// The most bytes that they take in memory, about. 64 MiB.
    pub most_bytes: usize,
    /// How long a write to the database may take. 10 seconds.
    pub write: Duration,
    /// Who this is, in words, for those who want its place. `pubsubhelper`.
    pub holder: String,
    /// How it comes by its place.
    pub take_over: TakeOver,
    /// Mail.
    pub smtp: SmtpConfig,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            webhook_secret: None,
            webhook_bytes: 25 << 20,
            webhook_tls: WebhookTls::default(),
            rerequests: None,
            replay_window: Duration::from_secs(3600),
            long_poll: Duration::from_secs(30),
            most_events: 200_000,
            most_bytes: 64 << 20,
            write: Duration::from_secs(10),
            holder: "pubsubhelper".into(),
            take_over: TakeOver::default(),
            smtp: SmtpConfig::default(),
        }
    }
}

/// How a hub comes by the place of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TakeOver {
    /// Only once that one has not renewed its lead in time: it may be alive on another machine.
    #[default]
    WhenOver,
    /// At once: the caller holds the data directory, so that one is dead.
    AtOnce,
}

/// Whether a webhook has to come over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookTls {
    /// It came over TLS into this process ([`OverTls`](crate::OverTls)), or from one of these addresses, whose
    /// `X-Forwarded-Proto` says so.
    Required {
        /// Addresses of proxies before us.
        proxies: Vec<IpAddr>,
    },
    /// It may come as it likes.
    NotAsked,
}

impl Default for WebhookTls {
    fn default() -> Self {
        WebhookTls::Required { proxies: Vec::new() }
    }
}

/// What the receiver of mail is told.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// Our host's name, as we say it. `localhost`.
    pub host: String,
    /// The one address that gets mail, compared exactly. `gopherbot@pubsubhelper.golang.org`.
    pub rcpt: String,
    /// Domains whose signature on a mail counts, compared exactly and in lower case. `google.com`.
    pub signing_domains: Vec<String>,
    /// The host in `MAIL FROM` of a mail that counts, in lower case. `gerritcodereview.bounces.google.com`.
    pub sender_host: String,
    /// Also believes fields of Gerrit's own that the signature does not cover, where each is there once. False. Some signers
    /// cover only the fields that every mail has; a false hint costs a look.
    pub unsigned_fields: bool,
    /// Ignores mail whose signature says that its time is over. True; the original does not look.
    pub refuse_expired: bool,
    /// How long the question for a signer's key may take. 15 seconds.
    pub dns: Duration,
    /// How long nothing may come, or an answer not be taken. 1 minute.
    pub idle: Duration,
    /// How long a connection may last. 10 minutes.
    pub session: Duration,
    /// The most connections at once. 64.
    pub sessions: usize,
    /// The most connections at once from one address, which of IPv6 is a /64. 16.
    pub sessions_per_address: usize,
    /// Sizes and numbers within a connection.
    pub limits: SmtpLimits,
}

impl Default for SmtpConfig {
    fn default() -> Self {
        SmtpConfig {
            host: "localhost".into(),
            rcpt: "gopherbot@pubsubhelper.golang.org".into(),
            signing_domains: vec!["google.com".into()],
            sender_host: "gerritcodereview.bounces.google.com".into(),
            unsigned_fields: false,
            refuse_expired: true,
            dns: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            session: Duration::from_secs(600),
            sessions: 64,
            sessions_per_address: 16,
            limits: SmtpLimits::default(),
        }
    }
}

/// Sizes and numbers within a connection for mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmtpLimits {
    /// The longest line, bytes with its end. 64 KiB; a longer one ends the connection.
    pub line: usize,
    /// The largest mail, bytes. 5 MiB; a larger one is taken and ignored.
    pub mail: u64,
    /// The largest size that a sender may announce, bytes; we say so. 10,240,000.
    pub announced: u64,
    /// The most bytes of a mail's header. 64 KiB; more, and the mail is taken and ignored.
    pub header: usize,
    /// The most fields of a mail's header. 500, as above.
    pub fields: usize,
    /// The most commands in one connection. 1,000.
    pub commands: u32,
}

impl Default for SmtpLimits {
    fn default() -> Self {
        SmtpLimits {
            line: 64 << 10,
            mail: 5 << 20,
            announced: 10_240_000,
            header: 64 << 10,
            fields: 500,
            commands: 1000,
        }
    }
}
