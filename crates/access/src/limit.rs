//! How much strangers may ask: a bucket of requests for each address, in bounded memory, few answers made at once, and many
//! who wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// So many strangers' answers are made at once; the others wait their turn. What builds need done then stands behind a few
/// pages at most, however many connections ask for more. Who says who they are does not wait.
pub(crate) const SEATS: usize = 4;
/// A stranger waits no longer for their turn.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for a turn; `None` if it does not come in time.
pub(crate) async fn seat(seats: &Semaphore, patience: Duration) -> Option<SemaphorePermit<'_>> {
    tokio::time::timeout(patience, seats.acquire()).await.ok()?.ok()
}

/// How many strangers may wait at once for something to happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most {
    pub in_all: usize,
    pub of_one_address: usize,
}

/// Nothing is made for who waits, so they may be many. They leave room, at whatever they wait for, to those who say who they
/// are: maintnerd has 10,000 wait for its log.
pub(crate) const WAITING: Most = Most { in_all: 5000, of_one_address: 250 };

/// Those who wait. Copies share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiters(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    taken: usize,
    /// By address, of those that have any.
    by: HashMap<IpAddr, usize>,
}

/// A place among those who wait, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    waiters: Waiters,
    address: IpAddr,
}

impl Waiters {
    /// Takes a place, if there is one left.
    pub(crate) fn enter(&self, address: IpAddr, most: Most) -> Option<Place> {
        let address = household(address);
        let mut places = self.places();
        let of_one = places.by.get(&address).copied().unwrap_or_default();
        if places.taken >= most.in_all || of_one >= most.of_one_address {
            return None;
        }
        places.taken += 1;
        places.by.insert(address, of_one + 1);
        Some(Place { waiters: self.clone(), address })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.waiters.places();
        places.taken = places.taken.saturating_sub(1);
        match places.by.get_mut(&self.address) {
            Some(left) if *left > 1 => *left -= 1,
            _ => drop(places.by.remove(&self.address)),
        }
    }
}

/// The most addresses that are remembered; all others together share one bucket.
const ADDRESSES: usize = 10_000;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub per_second: u32,
    pub burst: u32,
}

/// What is left of a rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    /// Takes one out of a bucket, which is full if there was none.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub(crate) fn take(bucket: &mut Option<Bucket>, rate: Rate, now: Instant) -> Result<(), Duration> {
        bucket.get_or_insert(Bucket::full(rate, now)).one(rate, now)
    }

    fn full(rate: Rate, now: Instant) -> Bucket {
        Bucket { left: f64::from(rate.burst), at: now }
    }

    fn one(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let left = self.filled(rate, now);
        *self = Bucket { left: if left >= 1.0 { left - 1.0 } else { left }, at: now };
        if left >= 1.0 {
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - left) / f64::from(rate.per_second.max(1))))
    }

    fn filled(self, rate: Rate, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + since * f64::from(rate.per_second)).min(f64::from(rate.burst))
    }
}

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    known: HashMap<IpAddr, Bucket>,
    /// Of those that no room was left for.
    others: Option<Bucket>,
}

/// What stands for an address: a network of IPv6 is one household.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mut parts = address.octets();
            parts[8..].fill(0);
            IpAddr::from(parts)
        }
        address => address,
    }
}

impl Buckets {
    /// Takes one request out of an address's bucket.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub(crate) fn take(&mut self, address: IpAddr, rate: Rate, now: Instant) -> Result<(), Duration> {
        let address = household(address);
        if self.known.len() >= ADDRESSES && !self.known.contains_key(&address) {
            // Whose bucket is full again need not be remembered.
            self.known.retain(|_, bucket| bucket.filled(rate, now) < f64::from(rate.burst));
        }
        if self.known.len() < ADDRESSES || self.known.contains_key(&address) {
            self.known.entry(address).or_insert(Bucket::full(rate, now)).one(rate, now)
        } else {
            Bucket::take(&mut self.others, rate, now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_comes_when_another_ends_and_is_not_waited_for_for_ever() {
        let seats = Semaphore::new(2);
        let one = seat(&seats, PATIENCE).await.unwrap();
        let _two = seat(&seats, PATIENCE).await.unwrap();
        assert!(seat(&seats, Duration::from_millis(5)).await.is_none());
        let (three, ()) = tokio::join!(seat(&seats, PATIENCE), async { drop(one) });
        assert!(three.is_some());
    }

    const RATE: Rate = Rate { per_second: 2, burst: 3 };

    fn v4(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn places_to_wait_are_bounded_in_all_and_by_address_and_are_given_back() {
        let (waiters, most) = (Waiters::default(), Most { in_all: 3, of_one_address: 2 });
        let enter = |address: &str| waiters.enter(address.parse().unwrap(), most);
        let one = [enter("2001:db8::1").unwrap(), enter("2001:db8::2").unwrap()];
        assert!(enter("2001:db8::3").is_none(), "a network of IPv6 is one address");
        let other = enter("192.0.2.1").unwrap();
        assert!(enter("192.0.2.2").is_none(), "there is no place for anybody");
        drop(other);
        let _other = enter("192.0.2.2").unwrap();
        drop(one);
        let places = waiters.places();
        assert_eq!((places.taken, places.by.len()), (1, 1), "none is remembered that left");
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let mut buckets = Buckets::default();
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(buckets.take(v4(1), RATE, now), Ok(()));
        }
        assert_eq!(buckets.take(v4(1), RATE, now), Err(Duration::from_millis(500)));
        assert_eq!(buckets.take(v4(2), RATE, now), Ok(()), "another address");
        let later = now + Duration::from_millis(500);
        assert_eq!(buckets.take(v4(1), RATE, later), Ok(()));
        assert!(buckets.take(v4(1), RATE, later).is_err());
        let much_later = now + Duration::from_secs(1000);
        for _ in 0..3 {
            assert_eq!(buckets.take(v4(1), RATE, much_later), Ok(()), "no more than a burst is saved up");
        }
        assert!(buckets.take(v4(1), RATE, much_later).is_err());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let mut buckets = Buckets::default();
        let now = Instant::now();
        for n in 0..3 {
            assert_eq!(buckets.take(format!("2001:db8::{n}").parse().unwrap(), RATE, now), Ok(()));
        }
        assert!(buckets.take("2001:db8::9".parse().unwrap(), RATE, now).is_err());
        assert_eq!(buckets.take("2001:db8:0:1::9".parse().unwrap(), RATE, now), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_those_without_room_share_one_bucket() {
        let mut buckets = Buckets::default();
        let now = Instant::now();
        for n in 0..ADDRESSES as u32 {
            buckets.take(v4(n), RATE, now).unwrap();
        }
        let refused = (0..50).filter(|n| buckets.take(v4(1_000_000 + n), RATE, now).is_err()).count();
        assert_eq!(refused, 47);
        assert_eq!(buckets.known.len(), ADDRESSES);
        buckets.take(v4(2_000_000), RATE, now + Duration::from_secs(60)).unwrap();
        assert_eq!(buckets.known.len(), 1, "those that are full again are forgotten");
    }
}
