//! How many connections there are, in all and from each address.

use std::collections::HashMap;
use std::net::IpAddr;
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

    pub(super) fn take(&self, of: IpAddr) -> Option<Seat> {
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
