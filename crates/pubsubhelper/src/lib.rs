//! Hints that something happened somewhere: webhooks and mail in, a long poll out.
//!
//! GitHub's webhooks and Gerrit's mail become [`Event`]s, which are stored, then shown to everybody who waits. An event carries
//! no data: whoever hears it looks for themselves, so a false one costs a look, and a lost one costs time.
//!
//! Begin with [`Hub::open`], [`run`] and [`routes`], or with [`serve`]. What is served over HTTP and how large and slow it may be
//! is up to the port in front, which marks what came over TLS by [`OverTls`].
//!
//! # Against the original
//!
//! The JSON of events, `/waitevent`, `/recent`, the answers to webhooks and the replies to mail are the original's, for its
//! clients. What was decided otherwise:
//!
//! | the original | here |
//! |---|---|
//! | events are forgotten at a restart | they are stored before they are answered or shown |
//! | two events may have one time, and one of them is missed | times are unique and only grow; `/recent` still shows those of the time itself |
//! | whoever's wait ends as an event comes may miss it | they are told a time before it |
//! | within an hour any number is kept | 200,000 ([`Config::most_events`]), of 64 MiB together ([`Config::most_bytes`]); texts of an event have limits and no control characters |
//! | a webhook comes over TLS into this process | or from a proxy that is trusted ([`WebhookTls`]) |
//! | a webhook is at most 5 MiB | 25 MiB ([`Config::webhook_bytes`]), and all at once four times that: beyond it, what began first gives way |
//! | a webhook or a mail that comes again is a new event | it is none, for an hour ([`Config::replay_window`]): both are known by their signature, since anybody can write another id or another field around it |
//! | a webhook's body is read, whoever sends it | only with a signature to check it by |
//! | 200 whatever happens | 503 where the event can't be stored or too much comes at once, and 451 to mail, also where no name server answers: it may come again |
//! | any domain that ends with `google.com` signs | those of a list, exactly ([`SmtpConfig::signing_domains`]) |
//! | a mail's topmost fields are used, signed or not | those that are signed, unless [`SmtpConfig::unsigned_fields`] is on; and `From` has to be |
//! | a mail of which no field tells anything is an event | it is ignored |
//! | a signature's end is ignored | it is refused, unless [`SmtpConfig::refuse_expired`] is off |
//! | a line of more than 4096 bytes breaks the connection | of more than 64 KiB, with a reply |
//! | a mail ends with `.` after any end of line | only after CRLF, so that nobody sees another mail than other servers do |
//! | no STARTTLS | with the feature `tls`, where [`MailPort`] has a certificate |

#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "service"),
    allow(dead_code, reason = "only the service and the fuzzer use all of it")
)]

mod config;
mod dkim;
pub mod dns;
mod event;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "service")]
mod http;
#[cfg(feature = "service")]
mod hub;
#[cfg(feature = "service")]
mod kept;
mod mail;
mod rerequest;
#[cfg(feature = "service")]
mod seen;
#[cfg(feature = "service")]
mod serve;
mod session;
#[cfg(feature = "service")]
mod smtp;
mod webhook;

pub use config::{Config, SmtpConfig, SmtpLimits, TakeOver, WebhookTls};
pub use event::{BadTime, Event, GerritEvent, GithubEvent, parse_time};
#[cfg(feature = "service")]
pub use http::{router, routes, routes_within};
#[cfg(feature = "service")]
pub use hub::{Hint, Hub, OpenError, PublishError, Published, Replaced};
pub use rerequest::{Rerequest, Rerequests};
#[cfg(feature = "service")]
pub use serve::{Handles, ServeError, run, serve};
#[cfg(feature = "service")]
pub use smtp::MailPort;

/// Marks a request, among its extensions, as one that came over TLS into this process. The layer of the port sets it.
#[derive(Debug, Clone, Copy)]
pub struct OverTls;
