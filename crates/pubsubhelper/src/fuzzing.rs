//! Bytes from anybody, as mail and as a webhook: functions that panic where a promise is broken.
//!
//! The tests below run them on the seeds of `fuzz/seeds`, on seeds that were changed a little and on random bytes. No program has
//! them in it.

use crate::dkim::{self, Rule};
use crate::dns::{DnsError, Txt};
use crate::smtp::session::{Mail, Session, Step, Terms};
use crate::{Event, GithubEvent, SmtpLimits, mail, webhook};

/// Every name has this text.
struct Always(Vec<u8>);

#[async_trait::async_trait]
impl Txt for Always {
    async fn txt(&self, _: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        Ok(vec![self.0.clone()])
    }
}

/// What is said, and what is brought.
fn talk<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<Mail>) {
    let limits = SmtpLimits { line: 200, mail: 2000, header: 1000, commands: 30, ..SmtpLimits::default() };
    let terms = Terms { host: "h".into(), rcpt: "a@b".into(), limits, tls: true };
    let (mut session, mut out, mut mails) = (Session::new(terms), Vec::new(), Vec::new());
    for piece in pieces {
        session.push(piece);
        loop {
            match session.step(&mut out) {
                Step::More => break,
                Step::Close => return (out, mails),
                Step::StartTls => session.secured(),
                Step::Mail(mail) => {
                    mails.push(mail);
                    session.delivered(true, &mut out);
                }
            }
        }
    }
    (out, mails)
}

/// A connection for mail: it goes the same way however its bytes are cut, and a header that is taken apart is whole.
pub fn mail(data: &[u8]) {
    let whole = talk(std::iter::once(data));
    // What comes together with STARTTLS is dropped: there the pieces matter.
    let starts = String::from_utf8_lossy(&whole.0).contains("220 2.0.0 Ready");
    for size in [1, 7, 64] {
        assert!(starts || talk(data.chunks(size)) == whole, "in pieces of {size} it is another");
    }
    for mail in whole.1 {
        let Ok(header) = mail.header else { continue };
        let Ok(fields) = mail::fields(&header, 50) else { continue };
        assert!(fields.len() <= 50);
        let mut again: Vec<u8> = fields.iter().flat_map(|one| [one.whole, b"\r\n"].concat()).collect();
        again.extend(b"\r\n");
        assert_eq!(again, header);
        let signed: Vec<_> = fields.iter().rev().step_by(2).copied().collect();
        if let Some(event) = mail::gerrit(&mail::with_unsigned(&fields, signed)) {
            holds(&Event { gerrit: Some(event), ..Event::default() });
        }
        let domains = ["google.com".to_owned()];
        let rule = Rule { domains: &domains, now: None };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let verified = runtime.block_on(dkim::verify(&fields, &rule, &Always(header.clone())));
        assert!(verified.is_err(), "nobody signs with what stands in the mail");
    }
}

/// The body of a webhook, the JSON of an event, and a time: what is read is written so that it is read as the same.
pub fn webhook(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(event) = webhook::event(data) {
        let GithubEvent { repo_owner, repo, .. } = &event;
        assert!(!repo_owner.is_empty() && !repo.is_empty() && !repo.contains('/'));
        holds(&Event { github: Some(event), ..Event::default() });
    }
    if let Ok(event) = Event::from_json(&text) {
        holds(&event);
    }
    if let Ok(time) = crate::parse_time(&text) {
        assert_eq!(crate::parse_time(&time.to_string()), Ok(time));
    }
    if let Ok(signature) = webhook::Signature::read(&text) {
        assert!(
            signature.verify(&"s3cr3t".into(), data).is_err(),
            "nobody signs with what stands in the body"
        );
    }
}

fn holds(event: &Event) {
    assert_eq!(Event::from_json(&event.to_json()).expect("what was written is read"), *event);
}

#[cfg(test)]
mod tests {
    use testkit::hold;

    #[test]
    fn mail_of_any_kind_is_read_or_refused() {
        hold("mail", super::mail);
    }

    #[test]
    fn webhooks_of_any_kind_are_read_or_refused() {
        hold("webhook", super::webhook);
    }
}
