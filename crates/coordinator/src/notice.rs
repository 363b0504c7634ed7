//! What is told to people who are named in the configuration, `[notify.NAME]`: mail and webhooks, through the outbox.

use buildenv::Notify;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use store::outbox::LONGEST_KEY;
use store::{StoreError, Tx};

use crate::clock::Clock;
use crate::outbox::mail::Mail;
use crate::outbox::{Message, fit, webhook};

/// The longest text of one, bytes.
const LONGEST: usize = 16 << 10;

/// Something that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// What it is: the same notice has the same key, and is told to each once.
    pub key: String,
    /// A line.
    pub title: String,
    /// For people.
    pub text: String,
    /// For programs.
    pub body: Value,
}

impl Notice {
    /// The messages of it, by these rules.
    fn messages<'a>(&self, rules: impl Iterator<Item = &'a Notify>) -> Vec<Message> {
        let mut messages = Vec::new();
        for rule in rules {
            if !rule.mail.is_empty() {
                let mail = Mail {
                    to: rule.mail.clone(),
                    subject: format!("[bellwether] {}", self.title),
                    text: fit(&self.text, LONGEST),
                };
                messages.push(mail.message(&short(format!("{}/{}/mail", self.key, rule.name))));
            }
            for name in &rule.webhooks {
                let key = short(format!("{}/{}/webhook/{name}", self.key, rule.name));
                let mut body = self.body.clone();
                if let Some(body) = body.as_object_mut() {
                    body.insert("title".into(), self.title.clone().into());
                    body.insert("text".into(), fit(&self.text, LONGEST).into());
                }
                messages.push(webhook::message(&key, name, body));
            }
        }
        messages
    }

    /// The key of it for something that there is once.
    pub fn key_of(&self, what: &str) -> String {
        short(format!("{}/{what}", self.key))
    }

    /// Puts it into the outbox, for each whom these rules name.
    ///
    /// The transaction must be one of the leading coordinator, and the one of what is told.
    ///
    /// # Errors
    /// The database's.
    pub async fn put<'a>(
        &self,
        tx: &mut Tx,
        clock: &dyn Clock,
        rules: impl Iterator<Item = &'a Notify>,
    ) -> Result<(), StoreError> {
        for message in self.messages(rules) {
            message.put(tx, clock).await?;
        }
        Ok(())
    }
}

/// A key that is not too long for the outbox, whatever names are in it.
fn short(key: String) -> String {
    if key.len() <= LONGEST_KEY {
        return key;
    }
    let digest = hex::encode(Sha256::digest(&key));
    format!("{}~{}", fit(&key, LONGEST_KEY - 33), &digest[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_is_cut_and_stays_another() {
        assert_eq!(short("a/b".into()), "a/b");
        let (one, two) = (short("ä".repeat(400) + "1"), short("ä".repeat(400) + "2"));
        assert!(one != two && one.len() <= LONGEST_KEY, "{}", one.len());
    }
}
