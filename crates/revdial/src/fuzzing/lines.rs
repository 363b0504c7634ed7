//! Version 2: the head that opens a connection, and the lines of a control connection in both roles.

use std::sync::{Arc, Mutex, PoisonError};

use super::run;
use super::wire::Wire;
use crate::head;
use crate::v2::line::{Lines, Message, send};
use crate::v2::{Pickups, dialer, listener};

/// What stands behind a head, of which not a byte may be read with it.
const BEHIND: &[u8] = b"behind";

/// Reads a head, and lines in both roles.
///
/// The first byte says how many bytes come at once.
pub fn v2(data: &[u8]) {
    let Some((how, text)) = data.split_first() else { return };
    let at_once = [1, 3, 100, 1 << 20][usize::from(how % 4)];
    run(async {
        opened(text, at_once).await;
        let whole = lines(text, 1 << 20).await;
        assert_eq!(lines(text, at_once).await, whole, "it depends on how the bytes come");
        for message in &whole {
            let mut line = Vec::new();
            // A line that would be too long is not sent.
            if send(&mut line, message).await.is_ok() {
                assert_eq!(lines(&line, 1 << 20).await, std::slice::from_ref(message));
            }
        }
        asked_for(text, at_once, &whole).await;
        answered(text, at_once).await;
    });
}

/// A head that is there ends at its empty line, and with what is behind it nothing happens.
async fn opened(text: &[u8], at_once: usize) {
    let comes = [text, BEHIND].concat();
    let mut wire = Wire::new(&comes, &[at_once]);
    let Ok(answer) = head::open(&mut wire, "/reverse", &[("X-A", "b")]).await else { return };
    let read = &comes[..comes.len() - wire.comes.len()];
    assert!(read.ends_with(b"\r\n\r\n") || read.ends_with(b"\n\n"), "more or less than a head was read");
    let _there_or_not = answer.header("x-a");
}

/// All lines up to the first that is none.
async fn lines(text: &[u8], at_once: usize) -> Vec<Message> {
    let mut lines = Lines::new(Wire::new(text, &[at_once]));
    let mut all = Vec::new();
    while let Ok(message) = lines.next().await {
        all.push(message);
    }
    all
}

/// A listener makes the connections that were asked for and no others.
async fn asked_for(text: &[u8], at_once: usize, lines: &[Message]) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let (_listener, control) = listener(
        Wire::new(text, &[at_once]),
        Arc::new(move |path| {
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(path);
            Box::pin(async { Err::<(), _>(std::io::Error::other("no way \u{1}\n\"")) })
        }),
    );
    control.run().await;
    let wanted: Vec<&str> = lines
        .iter()
        .filter(|line| line.command == "conn-ready")
        .map(|line| line.conn_path.as_str())
        .collect();
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    // What failed is told with its path, and a line that would be too long for that ends it all.
    let long = wanted.iter().any(|path| path.len() > 500);
    assert!(
        *asked == wanted || long && wanted.iter().zip(asked.iter()).all(|(wanted, asked)| wanted == asked)
    );
}

/// A dialer ends with the connection, and whoever waits is told.
async fn answered(text: &[u8], at_once: usize) {
    let pickups: Pickups<()> = Pickups::default();
    let (dialer, control) = dialer(Wire::new(text, &[at_once]), "/revdial", "id".into(), &pickups);
    let (_why, dialled) = tokio::join!(control.run(), dialer.dial());
    assert!(dialled.is_err() && !pickups.knows("id"));
}
