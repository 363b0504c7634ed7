//! How many connections there are, in all and from each address. One of IPv6 stands for its /64, which is what somebody has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Seats {
    most: usize,
    most_of_one: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place for one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    of: IpAddr,
}

impl Seats {
    pub(super) fn new(most: usize, most_of_one: usize) -> Seats {
        Seats { most, most_of_one, taken: Arc::default() }
    }

    pub(super) fn take(&self, peer: IpAddr) -> Option<Seat> {
        let of = network(peer);
        let mut taken = self.taken();
        let own = taken.get(&of).copied().unwrap_or(0);
        if own >= self.most_of_one || taken.values().sum::<usize>() >= self.most {
            return None;
        }
        taken.insert(of, own + 1);
        Some(Seat { seats: self.clone(), of })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one party has at most.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(peer) => Ipv6Addr::from_bits(peer.to_bits() >> 64 << 64).into(),
        peer => peer,
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(own) = taken.get_mut(&self.of) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_64_share_and_what_is_ipv4_does_not() {
        let seats = Seats::new(100, 1);
        let take = |peer: &str| seats.take(peer.parse().unwrap());
        let first = take("2001:db8:1:2::1").unwrap();
        assert!(take("2001:db8:1:2:ffff::9").is_none());
        let _others = ["2001:db8:1:3::1", "192.0.2.1", "::ffff:192.0.2.2"].map(|peer| take(peer).unwrap());
        assert!(take("192.0.2.2").is_none());
        drop(first);
        assert!(take("2001:db8:1:2:ffff::9").is_some());
    }

    #[test]
    fn nobody_takes_more_than_their_share() {
        let seats = Seats::new(3, 2);
        let [a, b, c] = [1, 2, 3].map(|n| IpAddr::from([127, 0, 0, n]));
        let (first, _second) = (seats.take(a).unwrap(), seats.take(a).unwrap());
        assert!(seats.take(a).is_none());
        let third = seats.take(b).unwrap();
        assert!(seats.take(c).is_none());
        drop(first);
        let _again = seats.take(c).unwrap();
        drop(third);
        assert!(seats.take(a).is_some());
        assert_eq!(seats.taken().len(), 2, "nothing is left of who went");
    }
}
