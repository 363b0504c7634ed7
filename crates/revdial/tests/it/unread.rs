//! Streams of version 1 that are not read, or slowly. What they cost in memory is in `tests/memory`.

use std::time::Duration;

use revdial::v1::{Limits, dialer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::time::{Instant, advance, sleep_until, timeout};

use crate::v1::{LIMIT, joined};

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_read_is_ended_alone_and_holds_little() {
    let limits = Limits { inbox: 1 << 20, ..Limits::default() };
    let (dialer, mut listener, _sessions) = joined(1 << 16, limits);
    let (mut unread, mut read) = (dialer.dial().unwrap(), dialer.dial().unwrap());
    // The original has no credits, so it would write on for ever.
    let floods = tokio::spawn(async move {
        let mut server = listener.accept().await.unwrap();
        let mut other = listener.accept().await.unwrap();
        let flood = tokio::spawn(async move {
            let mut sent = 0_u64;
            while sent < 64 << 20 && server.write_all(&[7; 1 << 16]).await.is_ok() {
                sent += 1 << 16;
            }
            sent
        });
        for n in 0..2000_u32 {
            other.write_all(&n.to_be_bytes().repeat(256)).await.unwrap();
        }
        other.shutdown().await.unwrap();
        flood.await.unwrap()
    });
    let mut all = Vec::new();
    timeout(LIMIT, read.read_to_end(&mut all)).await.expect("in time").unwrap();
    assert_eq!(all.len(), 2000 * 1024, "the other one has all that is its own");
    let sent = timeout(LIMIT, floods).await.expect("in time").unwrap();
    assert_eq!(sent, 64 << 20, "as by the original, whoever floods is not told, and what it sends is let go");
    let error = unread.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("nobody read what came for it"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_loses_nothing() {
    let limits = Limits { inbox: 50_000, patience: LIMIT, grace: LIMIT, ..Limits::default() };
    let (dialer, mut listener, _sessions) = joined(1 << 16, limits);
    let mut asked = dialer.dial().unwrap();
    let floods = tokio::spawn(async move {
        let mut server = listener.accept().await.unwrap();
        for n in 0..50_000_u32 {
            server.write_all(&n.to_be_bytes().repeat(10)).await.unwrap();
        }
    });
    for n in 0..50_000_u32 {
        let mut came = [0; 40];
        timeout(LIMIT, asked.read_exact(&mut came)).await.expect("in time").unwrap();
        assert_eq!(came[..], n.to_be_bytes().repeat(10));
        if n % 5000 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    floods.await.unwrap();
}

/// Payload of a frame of the original, as its HTTP writes.
const FRAME: usize = 32 << 10;

fn frame(stream: u32) -> Vec<u8> {
    [&b"W"[..], &stream.to_be_bytes(), &(FRAME as u16).to_be_bytes(), &[7; FRAME]].concat()
}

/// Sends as much to each of so many streams that nobody reads, one after another, as to one beside them that is read, in turns,
/// over a link of so many pairs of frames in a millisecond. Returns what is left of the rate of the one that is read.
async fn rate_beside(unread: u32, each: usize, pairs: usize, peace: Duration) -> f64 {
    let (ours, theirs) = duplex(1 << 20);
    let (dialer, session) = dialer(ours, Limits::default());
    let session = tokio::spawn(session.run());
    let mut read = dialer.dial().unwrap();
    let kept: Vec<_> = (0..unread).map(|_| dialer.dial().unwrap()).collect();
    let (mut reader, mut writer) = tokio::io::split(theirs);
    let drain = tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
    // In which it could stand still for longer later on.
    advance(peace).await;
    let began = Instant::now();
    let (id, milliseconds) = (read.id(), each / FRAME / pairs);
    let link = async {
        for stream in 0..unread {
            let burst = [frame(id), frame(kept[stream as usize].id())].concat().repeat(pairs);
            for _ in 0..milliseconds {
                writer.write_all(&burst).await.unwrap();
                // Whatever time it stood still is lost to it.
                sleep_until(Instant::now() + Duration::from_millis(1)).await;
            }
        }
    };
    let reading = async {
        let mut came = vec![0; 1 << 20];
        let mut left = unread as usize * milliseconds * pairs * FRAME;
        while left > 0 {
            left -= read.read(&mut came).await.unwrap();
        }
    };
    tokio::join!(link, reading);
    let lasted = began.elapsed();
    for mut stream in kept {
        assert!(stream.read_to_end(&mut Vec::new()).await.is_err(), "it was ended");
    }
    session.abort();
    drain.abort();
    Duration::from_millis(u64::from(unread) * milliseconds as u64).as_secs_f64() / lasted.as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn beside_a_gibibyte_that_nobody_reads_nine_tenths_of_the_rate_are_left() {
    // 131 MB/s, a gigabit; and 1049 MB/s.
    for pairs in [2, 16] {
        let left = rate_beside(1, 1 << 30, pairs, Duration::ZERO).await;
        assert!((0.9..=1.0).contains(&left), "{left} with {pairs}");
    }
    let left = rate_beside(1, 1 << 30, 2, Duration::from_secs(3600)).await;
    assert!((0.9..=1.0).contains(&left), "{left} after an hour of peace");
}

#[tokio::test(start_paused = true)]
async fn beside_one_after_another_that_nobody_reads_nine_tenths_are_left_too() {
    let left = rate_beside(60, 16 << 20, 2, Duration::ZERO).await;
    assert!((0.88..=1.0).contains(&left), "{left}");
}
