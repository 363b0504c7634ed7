//! A coordinator made of pipes, in time that is not waited for.

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_util::task::AbortOnDropHandle;

use super::*;

/// Longer than any pause, in a time that passes by itself.
const LIMIT: Duration = Duration::from_secs(600);

/// Makes pipes, and says so.
struct Pipes(mpsc::Sender<Call>);

/// A connection that the machine made.
struct Call {
    errand: Errand,
    stream: DuplexStream,
    at: Instant,
}

impl Dial for Pipes {
    fn dial(&self, errand: Errand) -> BoxFuture<'_, Result<Connection, DialError>> {
        Box::pin(async move {
            let (ours, stream) = duplex(1 << 14);
            self.0.send(Call { errand, stream, at: Instant::now() }).await.unwrap();
            Ok(Box::new(ours) as Connection)
        })
    }
}

impl Call {
    /// Reads what is asked for.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn refuse(mut self, status: &str) {
        self.head().await;
        self.say(&format!("HTTP/1.1 {status}\r\nContent-Length: 8\r\n\r\nbad key\n")).await;
    }
}

/// A machine that registers, and what is seen of it.
struct Seen {
    calls: mpsc::Receiver<Call>,
    made: mpsc::Receiver<Connection>,
    dir: tempfile::TempDir,
    _machine: AbortOnDropHandle<()>,
}

impl Seen {
    fn start() -> Self {
        Self::start_with(|dir| Credentials::Key(dir.join("key")))
    }

    fn start_with(credentials: impl FnOnce(&std::path::Path) -> Credentials) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "first\n").unwrap();
        let (called, calls) = mpsc::channel(1);
        let (hand, made) = mpsc::channel(1);
        let machine = Arc::new(Machine {
            dial: Arc::new(Pipes(called)),
            coordinator: "https://ci.example.org:443".into(),
            host_type: "host-a".into(),
            hostname: "attic".into(),
            instance: "0f".into(),
            credentials: credentials(dir.path()),
            orders: Arc::new(Orders::new("0f", dir.path(), Instant::now())),
        });
        let machine = AbortOnDropHandle::new(tokio::spawn(machine.stay_registered(
            hand,
            CancellationToken::new(),
            || 0.5,
        )));
        Self { calls, made, dir, _machine: machine }
    }

    async fn call(&mut self) -> Call {
        timeout(LIMIT, self.calls.recv()).await.expect("in time").expect("the machine goes on")
    }
}

#[tokio::test(start_paused = true)]
async fn it_says_who_it_is_as_the_original_does_and_which_process() {
    let mut seen = Seen::start();
    let mut call = seen.call().await;
    assert_eq!(call.errand, Errand::Register);
    assert_eq!(
        call.head().await,
        "GET /reverse HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nX-Go-Host-Type: host-a\r\n\
         X-Go-Builder-Key: first\r\nX-Go-Builder-Hostname: attic\r\nX-Go-Builder-Version: 29\r\n\
         X-Revdial-Version: 2\r\nX-Bellwether-Instance: 0f\r\n\r\n"
    );
    call.say("HTTP/0.0 101 Switching Protocols\r\n\r\n").await;
    call.say("{\"command\":\"conn-ready\",\"connPath\":\"/revdial?revdial.dialer=ab\"}\n").await;
    let mut picked = seen.call().await;
    assert_eq!(picked.errand, Errand::PickUp);
    assert_eq!(
        picked.head().await,
        "GET /revdial?revdial.dialer=ab HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\n\r\n"
    );
    picked.say("HTTP/0.0 101 Switching Protocols\r\n\r\nGET ").await;
    let mut made = timeout(LIMIT, seen.made.recv()).await.expect("in time").unwrap();
    let mut word = [0; 4];
    made.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"GET ", "what follows the head is the connection's");
    // One that is refused is said so.
    call.say("{\"command\":\"conn-ready\",\"connPath\":\"/revdial?revdial.dialer=cd\"}\n").await;
    seen.call().await.refuse("400 Bad Request").await;
    let mut said = vec![0; 512];
    let n = timeout(LIMIT, call.stream.read(&mut said)).await.expect("in time").unwrap();
    let said = String::from_utf8_lossy(&said[..n]);
    assert!(said.contains("pickup-failed") && said.contains("refused with 400: bad key"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn one_with_a_token_shows_its_secret_beside_it_and_the_same_after_an_answer_that_was_lost() {
    let mut seen =
        Seen::start_with(|dir| Credentials::Token { file: dir.join("key"), state_dir: dir.to_owned() });
    let mut lost = seen.call().await;
    let first = lost.head().await;
    assert!(
        first.contains("X-Bellwether-Token: first\r\n") && !first.contains("X-Go-Builder-Key"),
        "{first}"
    );
    let secret = first.lines().find(|line| line.starts_with("X-Bellwether-Machine: ")).unwrap();
    assert_eq!(secret.len(), "X-Bellwether-Machine: ".len() + 64);
    drop(lost);
    assert_eq!(seen.call().await.head().await, first, "the very same again");
    // The file of the token may go.
    std::fs::remove_file(seen.dir.path().join("key")).unwrap();
    let without = seen.call().await.head().await;
    assert!(without.contains(secret) && !without.contains("X-Bellwether-Token"), "{without}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_machine_tries_again_at_the_slowest_pace_and_with_the_key_of_then() {
    let mut seen = Seen::start();
    let mut last = None;
    for status in ["412 Precondition Failed", "400 Bad Request", "412 Precondition Failed"] {
        let call = seen.call().await;
        if let Some(last) = last.replace(call.at) {
            assert_eq!((call.at - last).as_secs(), 30);
        }
        call.refuse(status).await;
    }
    // Emptied, there is nothing to dial with.
    let key = seen.dir.path().join("key");
    std::fs::write(&key, "").unwrap();
    assert!(timeout(Duration::from_secs(100), seen.calls.recv()).await.is_err());
    std::fs::write(&key, "second").unwrap();
    assert!(seen.call().await.head().await.contains("X-Go-Builder-Key: second\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_can_not_answer_is_tried_at_a_growing_pace() {
    let mut seen = Seen::start();
    let mut last = seen.call().await.at;
    let mut gaps = Vec::new();
    for _ in 0..7 {
        // The one before was closed without a word.
        let call = seen.call().await;
        gaps.push((call.at - last).as_secs());
        last = call.at;
        if gaps.len() % 2 == 0 {
            call.refuse("503 Service Unavailable").await;
        }
    }
    assert_eq!(gaps, [1, 2, 4, 8, 16, 30, 30]);
    // One that takes it and then says nothing has the time of an answer.
    let call = seen.call().await;
    let next = seen.call().await;
    assert_eq!((next.at - call.at).as_secs(), 30 + 30);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_fell_silent_is_dialled_again() {
    let mut seen = Seen::start();
    let mut call = seen.call().await;
    call.head().await;
    call.say("HTTP/0.0 101 Switching Protocols\r\n\r\n").await;
    let began = call.at;
    for _ in 0..4 {
        sleep(Duration::from_secs(30)).await;
        call.say("{\"command\":\"keep-alive\"}\n").await;
    }
    let again = seen.call().await;
    // It lasted, so that the pause is the shortest.
    assert_eq!((again.at - began).as_secs(), 4 * 30 + 90 + 1);
    let mut rest = Vec::new();
    timeout(LIMIT, call.stream.read_to_end(&mut rest)).await.expect("the dead one is closed").unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_breaks_the_protocol_is_dialled_again_after_a_pause() {
    let mut seen = Seen::start();
    let mut call = seen.call().await;
    call.head().await;
    call.say("HTTP/0.0 101 Switching Protocols\r\n\r\nno message\n").await;
    let again = seen.call().await;
    assert_eq!((again.at - call.at).as_secs(), 1);
}
