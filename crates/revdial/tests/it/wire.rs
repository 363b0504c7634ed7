//! The end of a connection between two ends that does at a byte what networks do.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::time::{Sleep, sleep};

/// For so long a byte may be on its way: less than any limit of the protocols.
pub const DELAY: Duration = Duration::from_secs(8);

/// What happens to what comes in at this end, by how many bytes have come before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The byte before, this one and the next come one by one.
    Split(usize),
    /// Each comes alone.
    Bytes,
    /// It comes later.
    Delay(usize),
    /// The connection is closed before it.
    End(usize),
    /// The connection breaks before it.
    Reset(usize),
}

impl Fault {
    pub fn cuts(self) -> bool {
        matches!(self, Fault::End(_) | Fault::Reset(_))
    }

    /// How many bytes may come at once where so many have come.
    fn at_once(self, come: usize) -> usize {
        match self {
            Fault::None => usize::MAX,
            Fault::Bytes => 1,
            Fault::Split(at) if come + 1 < at => at - 1 - come,
            Fault::Split(at) if come <= at + 1 => 1,
            Fault::Split(_) => usize::MAX,
            Fault::Delay(at) | Fault::End(at) | Fault::Reset(at) if come < at => at - come,
            Fault::Delay(_) => usize::MAX,
            Fault::End(_) | Fault::Reset(_) => 0,
        }
    }
}

/// One end; the other end hears of a cut as it does of a peer that is gone.
#[derive(Debug)]
pub struct Wire {
    inner: Option<DuplexStream>,
    fault: Fault,
    late: Option<Pin<Box<Sleep>>>,
    come: Arc<AtomicUsize>,
    /// What goes out together with the first bytes that are written.
    before: Vec<u8>,
}

/// Both ends of a connection that holds so many bytes, and how many have come in at each.
pub fn wires(holds: usize, faults: [Fault; 2]) -> ([Wire; 2], [Arc<AtomicUsize>; 2]) {
    let (one, other) = duplex(holds);
    let counts = [Arc::default(), Arc::default()];
    let [first, second] = &counts;
    let wire = |inner, fault, come: &Arc<AtomicUsize>| Wire {
        inner: Some(inner),
        fault,
        late: None,
        come: Arc::clone(come),
        before: Vec::new(),
    };
    ([wire(one, faults[0], first), wire(other, faults[1], second)], counts)
}

impl Wire {
    /// Has bytes go out in one record with whatever is written next.
    pub fn join(&mut self, bytes: &[u8]) {
        self.before.extend_from_slice(bytes);
    }

    fn gone(&self) -> io::Error {
        match self.fault {
            Fault::Reset(_) => io::ErrorKind::ConnectionReset.into(),
            _ => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let come = this.come.load(Ordering::Relaxed);
        if this.fault == Fault::Delay(come) {
            let late = this.late.get_or_insert_with(|| Box::pin(sleep(DELAY)));
            ready!(late.as_mut().poll(cx));
        }
        let at_once = this.fault.at_once(come);
        if at_once == 0 {
            this.inner = None;
        }
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(if let Fault::Reset(_) = this.fault { Err(this.gone()) } else { Ok(()) });
        };
        let room = to.remaining().min(at_once);
        let mut part = ReadBuf::new(to.initialize_unfilled_to(room));
        ready!(Pin::new(inner).poll_read(cx, &mut part))?;
        let came = part.filled().len();
        to.advance(came);
        this.come.fetch_add(came, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let gone = this.gone();
        let Some(inner) = &mut this.inner else { return Poll::Ready(Err(gone)) };
        while !this.before.is_empty() {
            let together = [&this.before, from].concat();
            let written = ready!(Pin::new(&mut *inner).poll_write(cx, &together))?;
            let of_before = written.min(this.before.len());
            this.before.drain(..of_before);
            if written > of_before {
                return Poll::Ready(Ok(written - of_before));
            }
        }
        Pin::new(inner).poll_write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let gone = this.gone();
        this.inner.as_mut().map_or(Poll::Ready(Err(gone)), |inner| Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let gone = this.gone();
        this.inner.as_mut().map_or(Poll::Ready(Err(gone)), |inner| Pin::new(inner).poll_shutdown(cx))
    }
}
