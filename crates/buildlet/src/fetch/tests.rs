//! With a server of this machine, and a resolver that says what it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::TryStreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A server that answers one request per connection by a script: the path decides.
struct Server {
    at: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Server {
    async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        let answer = Arc::new(answer);
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                connections.spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    let head = String::from_utf8(head).unwrap();
                    let path = head.split(' ').nth(1).unwrap().to_owned();
                    noted.lock().unwrap().push(head);
                    let said = answer(&path);
                    stream.write_all(&said).await.unwrap();
                    if path == "/silent" || path == "/endless" {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { at, heads, _serving: AbortOnDropHandle::new(serving) }
    }

    fn asked(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn moved(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// Answers each question with the next list.
struct Scripted(Mutex<VecDeque<Vec<SocketAddr>>>);

impl Resolve for Scripted {
    fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        let next = self.0.lock().unwrap().pop_front().expect("it is not asked more often");
        Box::pin(std::future::ready(Ok(next)))
    }
}

const LIMITS: Limits =
    Limits { bytes: 1000, stall: Duration::from_millis(300), whole: Duration::from_secs(20) };

fn fetcher(from: &[&str], answers: &[&[SocketAddr]]) -> Fetcher {
    Fetcher {
        from: from.iter().map(|entry| entry.parse().unwrap()).collect(),
        ca_file: None,
        limits: LIMITS,
        resolve: Box::new(Scripted(Mutex::new(answers.iter().map(|list| list.to_vec()).collect()))),
    }
}

async fn read(fetched: Fetched) -> io::Result<String> {
    let chunks: Vec<Bytes> = fetched.try_collect().await?;
    Ok(String::from_utf8(chunks.concat()).unwrap())
}

#[tokio::test]
async fn what_is_listed_is_fetched_from_the_address_that_was_looked_at() {
    let server = Server::start(|_path| ok("hello")).await;
    let at = server.at;
    // It would be asked a second time in vain.
    let fetcher = fetcher(&["a.example"], &[&[at]]);
    let url = format!("http://A.example:{}/x?y=1", at.port());
    assert_eq!(read(fetcher.fetch(&url).await.ok().unwrap()).await.unwrap(), "hello");
    let head = server.heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("GET /x?y=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: a.example:{}\r\n", at.port())), "{head}");
}

#[tokio::test]
async fn near_addresses_are_not_connected_to() {
    let server = Server::start(|_path| ok("secret")).await;
    let port = server.at.port();
    let near = |ip: &str| SocketAddr::new(ip.parse().unwrap(), port);
    for (from, host, ip) in [
        (&[][..], "127.0.0.1", "127.0.0.1"),
        (&["public"], "127.0.0.1", "127.0.0.1"),
        (&["public"], "localhost", "127.0.0.1"),
        // As some resolvers read a number.
        (&["public"], "2130706433", "127.0.0.1"),
        (&["public"], "rebind.example", "127.0.0.1"),
        (&["public"], "rebind.example", "::1"),
        (&["public"], "rebind.example", "::ffff:127.0.0.1"),
        (&["public"], "rebind.example", "0.0.0.0"),
        (&["public"], "metadata.example", "169.254.169.254"),
        (&["public"], "intranet.example", "10.0.0.1"),
        (&["public"], "intranet.example", "192.168.0.1"),
        (&["public"], "intranet.example", "fd00::1"),
        (&["metadata.example"], "metadata.example", "169.254.169.254"),
        (&["metadata.example"], "metadata.example", "fe80::1"),
        (&["other.example"], "rebind.example", "127.0.0.1"),
        (&["127.0.0.1:1"], "127.0.0.1", "127.0.0.1"),
    ] {
        let fetcher = fetcher(from, &[&[near(ip)]]);
        let error = fetcher.fetch(&format!("http://{host}:{port}/")).await.err().unwrap();
        assert!(
            error.is_askers() && error.to_string().contains("--fetch-from"),
            "{from:?} {host} {ip}: {error}"
        );
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn each_redirect_is_looked_at_anew() {
    let inner = Server::start(|_path| ok("secret")).await;
    let to = inner.at;
    let outer = Server::start(move |path| match path {
        "/literal" => moved(&format!("http://127.0.0.1:{}/", to.port())),
        "/name" => moved(&format!("//intranet.example:{}/", to.port())),
        "/again" => moved("/next"),
        "/loop" => moved("loop"),
        "/file" => moved("file:///etc/passwd"),
        "/user" => moved("http://a@a.example/"),
        "/nowhere" => moved(""),
        "/next" => ok("there"),
        other => panic!("{other}"),
    })
    .await;
    let at = outer.at;
    let listed = format!("a.example:{}", at.port());
    let url = |path: &str| format!("http://{listed}{path}");
    let run = async |path: &str, answers: &[&[SocketAddr]]| match fetcher(&[&listed, "public"], answers)
        .fetch(&url(path))
        .await
    {
        Ok(fetched) => read(fetched).await.unwrap(),
        Err(error) => error.to_string(),
    };
    assert!(run("/literal", &[&[at], &[to]]).await.contains("this machine itself"));
    assert!(run("/name", &[&[at], &[to]]).await.contains("intranet.example is at"));
    assert!(run("/file", &[&[at]]).await.contains("redirects to what can't be fetched"));
    assert!(run("/user", &[&[at]]).await.contains("user's name"));
    assert!(run("/nowhere", &[&[at]]).await.contains("there is no URL"));
    assert_eq!(inner.asked(), 0);
    // The same name, somewhere else by now: to what this machine is told in secret.
    let link = SocketAddr::new("169.254.169.254".parse().unwrap(), at.port());
    assert!(run("/again", &[&[at], &[link]]).await.contains("local link"));
    assert_eq!(run("/again", &[&[at], &[at]]).await, "there");
    let before = outer.asked();
    let endless: Vec<&[SocketAddr]> = vec![std::slice::from_ref(&at); REDIRECTS + 1];
    assert!(run("/loop", &endless).await.contains("more than 10 redirects"));
    assert_eq!(outer.asked() - before, REDIRECTS + 1);
}

#[tokio::test]
async fn what_is_too_much_or_too_slow_is_given_up() {
    let server = Server::start(|path| match path {
        "/announced" => b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n".to_vec(),
        "/chunked" => {
            let chunk = format!("258\r\n{}\r\n", "x".repeat(600));
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n")
                .into_bytes()
        }
        "/cut" => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_vec(),
        "/endless" => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_vec(),
        "/missing" => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        "/head" => format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(200_000)).into_bytes(),
        "/noise" => b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        _silent => Vec::new(),
    })
    .await;
    for (path, want) in [
        ("/announced", "more than 1000 are not fetched"),
        ("/chunked", "more than the 1000 bytes"),
        ("/cut", "error reading a body"),
        ("/endless", "stopped sending"),
        ("/missing", "answers 404"),
        ("/head", "message head is too large"),
        ("/noise", "invalid HTTP version"),
        ("/silent", "did not answer in time"),
    ] {
        let fetcher = fetcher(&["127.0.0.1"], &[&[server.at]]);
        let error = match fetcher.fetch(&format!("http://{}{path}", server.at)).await {
            Ok(fetched) => read(fetched).await.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(want) && error.contains(&server.at.to_string()), "{path}: {error}");
    }
}
