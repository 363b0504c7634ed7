//! Hints that something happened somewhere: webhooks and mail in, a long poll out.

#![forbid(unsafe_code)]

mod config;
mod dkim;
pub mod dns;
mod event;
mod http;
mod hub;
mod kept;
mod mail;
mod seen;
mod serve;
mod smtp;
mod webhook;

pub use config::{Config, SmtpConfig, SmtpLimits, WebhookTls};
pub use event::{BadTime, Event, GerritEvent, GithubEvent, parse_time};
pub use http::{router, routes, routes_within};
pub use hub::{Hint, Hub, PublishError, Published};
pub use serve::{Handles, run, serve};
pub use smtp::MailPort;

/// Marks a request, among its extensions, as one that came over TLS into this process. The layer of the port sets it.
#[derive(Debug, Clone, Copy)]
pub struct OverTls;
