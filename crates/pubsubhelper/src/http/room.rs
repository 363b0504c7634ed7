//! The memory for bodies of all webhooks together.
//!
//! Whoever sends a body is not known before it is whole and its signature was checked, so anybody can send some that never end.
//! They keep nobody out: where there is no room, the body that began first gives way. A true one is whole long before it is the
//! oldest of so many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// No room, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoRoom;

/// Room for so many bytes.
pub(crate) struct Room(Arc<Shared>);

struct Shared {
    most: usize,
    places: Mutex<Places>,
    /// Somebody left.
    left: Notify,
}

#[derive(Default)]
struct Places {
    /// All bytes together.
    used: usize,
    next: u64,
    /// In the order in which they began.
    taken: BTreeMap<u64, Taken>,
}

struct Taken {
    bytes: usize,
    /// It is to give way, and will once its reader hears of it.
    yields: CancellationToken,
}

/// The room of one body, until it is dropped.
pub(super) struct Place {
    shared: Arc<Shared>,
    number: u64,
    yields: CancellationToken,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Room {
        let (places, left) = (Mutex::default(), Notify::new());
        Room(Arc::new(Shared { most: bytes, places, left }))
    }

    /// A place that has no bytes yet.
    pub(super) fn place(&self) -> Place {
        let yields = CancellationToken::new();
        let mut places = self.0.places();
        let number = places.next;
        places.next += 1;
        places.taken.insert(number, Taken { bytes: 0, yields: yields.clone() });
        Place { shared: Arc::clone(&self.0), number, yields }
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.0.places().used
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until it has to give way.
    pub(super) async fn yields(&self) {
        self.yields.cancelled().await;
    }

    /// Room for more bytes, for which others give way.
    pub(super) async fn grow(&self, bytes: usize) -> Result<(), NoRoom> {
        loop {
            let mut left = std::pin::pin!(self.shared.left.notified());
            // From here on nobody leaves unheard.
            left.as_mut().enable();
            if self.shared.places().grow(self.number, bytes, self.shared.most)? {
                return Ok(());
            }
            tokio::select! {
                () = left => {}
                () = self.yields() => return Err(NoRoom),
            }
        }
    }
}

impl Places {
    /// Takes room if there is enough. Otherwise as many give way as have it, the oldest first, and it is to be asked again when
    /// one left.
    fn grow(&mut self, number: u64, bytes: usize, most: usize) -> Result<bool, NoRoom> {
        let own = self.taken.get(&number).filter(|own| !own.yields.is_cancelled()).ok_or(NoRoom)?;
        let whole = own.bytes.saturating_add(bytes);
        if whole > most {
            return Err(NoRoom);
        }
        let mut free = most.saturating_sub(self.used);
        if bytes <= free {
            self.used += bytes;
            if let Some(own) = self.taken.get_mut(&number) {
                own.bytes = whole;
            }
            return Ok(true);
        }
        free +=
            self.taken.values().filter(|one| one.yields.is_cancelled()).map(|one| one.bytes).sum::<usize>();
        let mut oldest = self.taken.iter().filter(|(_, one)| !one.yields.is_cancelled() && one.bytes > 0);
        let mut give_way = Vec::new();
        while free < bytes {
            match oldest.next() {
                Some((other, one)) if *other != number => {
                    free += one.bytes;
                    give_way.push(&one.yields);
                }
                // This one had the most time of all that are left.
                _ => return Err(NoRoom),
            }
        }
        give_way.into_iter().for_each(CancellationToken::cancel);
        Ok(false)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut places = self.shared.places();
            if let Some(own) = places.taken.remove(&self.number) {
                places.used -= own.bytes;
            }
        }
        self.shared.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_gives_way_and_its_room_is_had_when_it_left() {
        let room = Room::new(10);
        let (first, second, third) = (room.place(), room.place(), room.place());
        first.grow(6).await.unwrap();
        second.grow(4).await.unwrap();
        let leaves = async {
            first.yields().await;
            assert_eq!(room.used(), 10);
            drop(first);
        };
        let (grown, ()) = tokio::join!(third.grow(5), leaves);
        grown.unwrap();
        assert_eq!(room.used(), 9);
        // The oldest of all does not push out others, and nobody has more than there is.
        assert_eq!(second.grow(2).await, Err(NoRoom));
        assert_eq!(third.grow(6).await, Err(NoRoom));
        assert!(!second.yields.is_cancelled() && !third.yields.is_cancelled());
        second.grow(1).await.unwrap();
        drop((second, third));
        assert_eq!(room.used(), 0);
    }

    #[tokio::test]
    async fn whoever_has_to_give_way_takes_no_more() {
        let room = Room::new(10);
        let (first, second, third) = (room.place(), room.place(), room.place());
        first.grow(9).await.unwrap();
        let mut waits = std::pin::pin!(second.grow(2));
        assert!(futures::poll!(&mut waits).is_pending());
        assert_eq!(first.grow(1).await, Err(NoRoom));
        // Its room is counted on once: a third one does with what it leaves besides.
        let mut other = std::pin::pin!(third.grow(8));
        assert!(futures::poll!(&mut other).is_pending());
        assert!(!second.yields.is_cancelled());
        drop(first);
        assert!(futures::poll!(&mut waits).is_ready() && futures::poll!(&mut other).is_ready());
        assert_eq!(room.used(), 10);
    }
}
