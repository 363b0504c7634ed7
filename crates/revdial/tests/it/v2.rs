//! Version 2.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use revdial::v2::{Connect, ControlError, DialError, Dialer, Listener, Pickups, dialer, listener};
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex,
};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);
const ID: &str = "00112233445566778899aabbccddeeff";

/// A coordinator and a machine: each pick-up is a pipe.
struct Both {
    dialer: Arc<Dialer<DuplexStream>>,
    listener: Listener<DuplexStream>,
    pickups: Pickups<DuplexStream>,
    ends: [JoinHandle<ControlError>; 2],
    asked: Arc<AtomicUsize>,
}

fn both(fails: bool) -> Both {
    let (one, other) = duplex(1 << 12);
    let pickups = Pickups::default();
    let (dialer, asks) = dialer(one, "/revdial", ID.into(), &pickups);
    let asked = Arc::new(AtomicUsize::new(0));
    let connect: Connect<DuplexStream> = Arc::new({
        let (pickups, asked) = (pickups.clone(), Arc::clone(&asked));
        move |path: String| {
            let (pickups, nth) = (pickups.clone(), asked.fetch_add(1, Ordering::Relaxed));
            Box::pin(async move {
                let id = path.strip_prefix("/revdial?revdial.dialer=").expect("the path of the original");
                if fails {
                    return Err(std::io::Error::other(format!("no way {nth}")));
                }
                let (mine, yours) = duplex(1 << 12);
                pickups.deliver(id, yours).map_err(|_| std::io::Error::other("unknown"))?;
                Ok(mine)
            })
        }
    });
    let (listener, serves) = listener(other, connect);
    let ends = [tokio::spawn(asks.run()), tokio::spawn(serves.run())];
    Both { dialer: Arc::new(dialer), listener, pickups, ends, asked }
}

#[tokio::test]
async fn many_who_ask_at_once_get_a_connection_each() {
    let Both { dialer, mut listener, ends, asked, .. } = both(false);
    let serving = tokio::spawn(async move {
        for _ in 0..100 {
            let mut connection = listener.accept().await.unwrap();
            let mut word = [0; 4];
            connection.read_exact(&mut word).await.unwrap();
            connection.write_all(&word).await.unwrap();
        }
        listener
    });
    let asks = (0..100_u32).map(|n| {
        let dialer = Arc::clone(&dialer);
        tokio::spawn(async move {
            let mut connection = dialer.dial().await.unwrap();
            connection.write_all(&n.to_be_bytes()).await.unwrap();
            assert_eq!(connection.read_u32().await.unwrap(), n);
        })
    });
    for ask in asks.collect::<Vec<_>>() {
        timeout(LIMIT, ask).await.expect("in time").unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 100);
    drop(serving.await.unwrap());
    // The machine ends its control connection once nobody accepts; the coordinator hears of it.
    for end in ends {
        assert!(matches!(timeout(LIMIT, end).await.expect("in time").unwrap(), ControlError::Closed));
    }
    assert!(matches!(dialer.dial().await, Err(DialError::Ended)));
}

#[tokio::test]
async fn a_connection_that_could_not_be_made_is_said_to_whoever_waits() {
    let Both { dialer, listener: _listener, pickups, ends, .. } = both(true);
    let error = timeout(LIMIT, dialer.dial()).await.expect("in time").unwrap_err();
    assert_eq!(error.to_string(), "the machine could not dial back: no way 0");
    assert!(pickups.knows(ID));
    let waits = tokio::spawn({
        let dialer = Arc::clone(&dialer);
        async move { while !matches!(dialer.dial().await, Err(DialError::Ended)) {} }
    });
    for end in ends {
        end.abort();
    }
    timeout(LIMIT, waits).await.expect("who waits is told of the end").unwrap();
    assert!(!pickups.knows(ID), "its id is worth nothing any more");
    assert!(pickups.deliver(ID, duplex(1).0).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_says_what_the_original_says() {
    let (one, other) = duplex(1 << 12);
    let pickups: Pickups<DuplexStream> = Pickups::default();
    let (dialer, control) = dialer(one, "/revdial?x=y", ID.into(), &pickups);
    let control = tokio::spawn(control.run());
    let mut wire = BufReader::new(other);
    let line = async |wire: &mut BufReader<DuplexStream>| {
        let mut line = String::new();
        timeout(Duration::from_secs(31), wire.read_line(&mut line)).await.expect("every 30 s").unwrap();
        line
    };
    for _ in 0..3 {
        assert_eq!(line(&mut wire).await, "{\"command\":\"keep-alive\"}\n");
    }
    let dialing = tokio::spawn(async move { (dialer.dial().await.map(drop), dialer) });
    let ready = format!("{{\"command\":\"conn-ready\",\"connPath\":\"/revdial?x=y&revdial.dialer={ID}\"}}\n");
    assert_eq!(line(&mut wire).await, ready);
    assert_eq!(line(&mut wire).await, "{\"command\":\"keep-alive\"}\n");
    assert!(pickups.deliver("another", duplex(1).0).is_err());
    pickups.deliver(ID, duplex(1).0).unwrap();
    let (came, dialer) = dialing.await.unwrap();
    came.unwrap();
    wire.get_mut().write_all(b"{\"command\":\"of-tomorrow\"}\n\nx").await.unwrap();
    assert!(matches!(control.await.unwrap(), ControlError::Protocol(_)));
    assert!(matches!(dialer.dial().await, Err(DialError::Ended)));
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_gives_up_a_machine_that_does_not_read() {
    let (one, _other) = duplex(8);
    let (_dialer, control) = dialer::<_, DuplexStream>(one, "/revdial", ID.into(), &Pickups::default());
    assert!(matches!(control.run().await, ControlError::Stalled));
}
