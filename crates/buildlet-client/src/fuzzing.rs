//! What a buildlet says, whatever it is.
//!
//! The target of `fuzz/` runs this on a fuzzer's bytes, and the test below on its seeds and on random ones. No program has it in it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Unstructured;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::original::parse_ls;
use crate::{Address, BuildletClient, Connect, Connection, LsRequest, OriginalExec, ProcessState};

const STATUSES: [&str; 10] =
    ["200 OK", "200 OK", "200 OK", "100 Continue", "101 x", "204 No", "307 T", "409 C", "503 S", "999 x"];
const HEADERS: [&str; 8] = [
    "Transfer-Encoding: chunked",
    "Trailer: Process-State",
    "Content-Length: 3",
    "Content-Length: 0",
    "Content-Length: 18446744073709551615",
    "Connection: close",
    "Content-Type: application/json",
    "Location: /other",
];
const BODIES: [&str; 12] = [
    r#"{"version":26,"bw1":{"protocol":1,"instance":"i","execs":[{"id":"a","state":"exited"}]}}"#,
    r#"{"id":"a","state":"running","started_us":1}"#,
    r#"{"id":"a","state":"exited","started_us":-1,"exit_code":3,"output_bytes":18446744073709551615}"#,
    r#"{"code":"stale_fence","message":"m","current":7}"#,
    r#"{"code":"set_aside","message":"m"}"#,
    r#"{"code":"gone","message":"m"}"#,
    r#"{"files":[{"path":"a","size":1,"mtime_us":1,"mode":420}],"truncated":false}"#,
    "-rw-r--r--\tf\t3\t2017-07-01T10:00:00Z\t55ca\nLrwxrwxrwx\tl\ndrwxr-xr-x\td/\n",
    "3\r\nabc\r\n0\r\nProcess-State: exit status 3\r\n\r\n",
    "0\r\nProcess-State: signal: killed\r\n\r\n",
    "ffffffffffffffff\r\nabc",
    "",
];
/// Longer than any answer takes that has come whole.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has a client ask a buildlet that answers by these bytes: it has an answer or an error, and what it read is what was written.
pub fn answers(data: &[u8]) {
    lines(&String::from_utf8_lossy(data));
    let mut u = Unstructured::new(data);
    let which = u.int_in_range(0..=9).unwrap_or(0);
    let said = answer(&mut u);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        let address = Address::Custom(Arc::new(Says(said)));
        let client = BuildletClient::new(address, None);
        let asked = tokio::time::timeout(PATIENCE, ask(&client, which)).await;
        asked.expect("an answer that has come whole, or has ended, is not waited for");
    });
}

async fn ask(client: &BuildletClient, which: u8) {
    // An answer or an error: both are well.
    match which {
        0 => drop(client.status().await),
        1 => drop(client.exec_state("a", Duration::ZERO).await),
        2 => drop(client.ls(&LsRequest::default()).await),
        3 => drop(client.glob("", &["*".to_owned()]).await),
        4 => drop(client.wipe().await),
        5 => drop(client.workdir().await),
        6 => {
            let Ok((size, mut content)) = client.file("a").await else { return };
            let mut came = 0;
            while let Some(piece) = content.next().await {
                let Ok(piece) = piece else { return };
                came += piece.len() as u64;
            }
            let _said_or_not = size == came;
        }
        7 => drop(client.connect_ssh("u", "k").await),
        8 => drop(client.remove_all(&["a"]).await),
        _ => {
            let Ok(mut output) = client.exec_original(&OriginalExec::default()).await else { return };
            while let Some(Ok(_piece)) = output.next().await {}
            let _state = output.trailer("Process-State").map(ProcessState::parse);
        }
    }
}

/// An answer put together of what answers are made of, or of no such thing.
fn answer(u: &mut Unstructured<'_>) -> Vec<u8> {
    let mut said = Vec::new();
    if !u.ratio(1, 6).unwrap_or(false) {
        let status = u.choose(&STATUSES).copied().unwrap_or_default();
        said.extend_from_slice(format!("HTTP/1.1 {status}\r\n").as_bytes());
        for _ in 0..u.int_in_range(0..=3).unwrap_or(0) {
            said.extend_from_slice(u.choose(&HEADERS).copied().unwrap_or_default().as_bytes());
            said.extend_from_slice(b"\r\n");
        }
        said.extend_from_slice(b"\r\n");
        if u.ratio(3, 4).unwrap_or(false) {
            said.extend_from_slice(u.choose(&BODIES).copied().unwrap_or_default().as_bytes());
        }
    }
    let at = u.int_in_range(0..=said.len()).unwrap_or(0);
    let rest = u.bytes(u.len()).unwrap_or_default();
    // Some of it is written over, or it goes on.
    said.truncate(if at.is_multiple_of(2) { said.len() } else { at });
    said.extend_from_slice(rest);
    said
}

/// Listings and trailers: each field is what stood in the line.
fn lines(text: &str) {
    for line in text.lines() {
        if let Some(entry) = parse_ls(line) {
            let fields: Vec<&str> = line.split('\t').collect();
            assert_eq!((entry.mode.as_str(), entry.path.as_str()), (fields[0], fields[1]));
            assert_eq!(entry.modified.as_deref(), fields.get(3).copied());
            assert_eq!(entry.digest.as_deref(), fields.get(4).copied());
            assert_eq!(entry.size.is_some(), fields.len() > 2);
        }
        if let ProcessState::Other(words) = ProcessState::parse(line) {
            assert_eq!(words, line);
        }
    }
}

/// An other end that takes a request, says its words and goes.
struct Says(Vec<u8>);

impl Connect for Says {
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn Connection>>> {
        let said = self.0.clone();
        Box::pin(async move {
            let (ours, mut theirs) = tokio::io::duplex(64 << 10);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _asked = theirs.read(&mut request).await;
                let _taken = theirs.write_all(&said).await;
                let _gone = theirs.shutdown().await;
            });
            Ok(Box::new(ours) as Box<dyn Connection>)
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_answer_is_read_or_refused() {
        testkit::hold("answers", super::answers);
    }
}
