//! What is said in a whole session, and what each end has heard of it.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// No session lasts longer on a clock that stands while anybody has something to do: whoever waits for longer hangs.
pub const LIMIT: Duration = Duration::from_secs(600);

/// What is said on a stream.
#[derive(Debug, Clone)]
pub struct Talk {
    pub question: Vec<u8>,
    /// None: whoever asked closes the stream.
    pub answer: Option<Vec<u8>>,
}

/// So many bytes, which are others at each place; the first is of the seed.
pub fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 + n / 251 + seed * 7) as u8).collect()
}

/// A short session, whose every byte is tried.
pub fn short() -> Vec<Talk> {
    vec![
        Talk { question: bytes(9, 1), answer: Some(bytes(23, 2)) },
        Talk { question: bytes(12, 3), answer: None },
        Talk { question: bytes(1, 4), answer: Some(Vec::new()) },
        Talk { question: bytes(30, 5), answer: Some(bytes(3, 6)) },
    ]
}

/// A long one, of some MiB.
pub fn long() -> Vec<Talk> {
    (0..8)
        .map(|n| Talk {
            question: bytes(100_000 * n + 1, n),
            answer: (n % 3 != 0).then(|| bytes(90_000 * (8 - n), n)),
        })
        .collect()
}

/// What came of a stream's one way.
#[derive(Debug)]
pub struct Heard {
    pub said: Vec<u8>,
    pub came: Vec<u8>,
    /// Whether it came to its end, and not to an error.
    pub ended: bool,
}

impl Heard {
    pub fn is_all(&self) -> bool {
        self.ended && self.came == self.said
    }

    pub fn is_prefix(&self) -> bool {
        self.said.starts_with(&self.came)
    }
}

/// Asks on a stream.
pub async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, talk: Talk) -> Option<Heard> {
    let written = stream.write_all(&talk.question).await;
    let said = talk.answer?;
    let mut came = Vec::new();
    let ended = written.is_ok() & stream.read_to_end(&mut came).await.is_ok();
    Some(Heard { said, came, ended })
}

/// Answers on a stream.
pub async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, talk: Talk) -> Heard {
    let Talk { question: said, answer } = talk;
    let mut came = Vec::new();
    let Some(answer) = answer else {
        let ended = stream.read_to_end(&mut came).await.is_ok();
        return Heard { said, came, ended };
    };
    let mut ended = true;
    while ended && came.len() < said.len() {
        // It must be no more than was said, so more is let come.
        ended = stream.read_buf(&mut came).await.is_ok_and(|length| length > 0);
    }
    if ended {
        // If it is lost, the other end hears of it.
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    }
    Heard { said, came, ended }
}

/// Reads a request's head and no byte more; its first line.
pub async fn request(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned())
}
