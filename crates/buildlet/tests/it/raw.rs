//! Requests as bytes, and what comes back for them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use crate::agent::Agent;

/// Longer is a hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to an agent.
pub fn connect(agent: &Agent) -> UnixStream {
    let stream = UnixStream::connect(agent.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request as it is and returns all of the answer; the agent must end the connection. It may do so before it has read
/// everything, which is seen as an error of writing or as a reset after the answer.
pub fn send(agent: &Agent, request: impl AsRef<[u8]>) -> String {
    let mut stream = connect(agent);
    let _broken_off = stream.write_all(request.as_ref());
    rest(&mut stream)
}

/// Returns all that still comes.
pub fn rest(stream: &mut impl Read) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&answer)),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request whose form is its body.
pub fn post(path: &str, form: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

/// A request without a body.
pub fn bare(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n")
}

pub fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

pub fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// A port of this machine that nobody has for now.
pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A server that says to each connection what a function makes of the head that it sent.
pub fn serve(
    answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
) -> (SocketAddr, AbortOnDropHandle<()>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_gone) => break,
                }
            }
            let said = answer(&String::from_utf8_lossy(&head));
            let _gone = stream.write_all(&said).await;
        }
    });
    (at, AbortOnDropHandle::new(serving))
}

/// Connects over TCP and sends.
pub fn send_tcp(at: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    rest(&mut stream)
}
