//! The bucket of a leader of the original, which is gone on with: spec/maintner.md §2.3.
//!
//! There lie its segments, `NNNN.SHA224.mutlog`, and nothing says which there are but their names, so this is the one thing that
//! is listed. They stay as they are, the last one too: it is sealed as short as it is, and ours begin with the next number. A
//! client of the original goes on with what it has.
//!
//! The lists of segments are written from the last one down, and only with `sealed/0000` there is a journal: whoever stops
//! before it begins again.

use std::collections::BTreeMap;
use std::path::Path;

use futures::StreamExt as _;

use super::calls::{Calls, Put};
use super::seals::Seals;
use crate::journal::{OpenError, Segment};
use crate::log;
use crate::reclog::Records;

/// Lists that are written at a time.
const AT_ONCE: usize = 16;

/// Finds what a leader of the original left, if it did. Of several objects of one number it is the longest, which has all of the
/// others: the original writes a segment anew when it has grown, and ended before it removed the older one. What a store says of
/// when they were made does not count, since a copy of a bucket has times of its own.
pub(super) async fn found(calls: &Calls) -> Result<Option<Seals>, OpenError> {
    let mut all: BTreeMap<u64, Vec<Segment>> = BTreeMap::new();
    for object in calls.list().await? {
        let Some((number, Some(sha224))) = log::named(Path::new(&object.name)) else { continue };
        let Ok(short) = u32::try_from(number) else { continue };
        let segment = Segment { number: short, size: object.size, sha224, sealed: true };
        all.entry(number).or_default().push(segment);
    }
    if all.is_empty() {
        return Ok(None);
    }
    let mut segments = Vec::with_capacity(all.len());
    for ((number, of_one), want) in all.into_iter().zip(0..) {
        if number != want {
            let object = calls.named(&format!("{want:04}.*.mutlog"));
            let why = format!("it is missing, and there are segments after it, {number:04} the next");
            return Err(OpenError::Store { object, why });
        }
        segments.push(longest(calls, of_one).await?);
    }
    Ok(Some(Seals { segments, next: 0 }))
}

/// The one of some objects of one number that is whole and begins with all others that are.
async fn longest(calls: &Calls, mut of_one: Vec<Segment>) -> Result<Segment, OpenError> {
    of_one.sort_by_key(|segment| std::cmp::Reverse(segment.size));
    // Whether one alone is whole is found when it is fetched.
    if let [only] = of_one[..] {
        return Ok(only);
    }
    let (mut chosen, mut broken) = (None::<(Segment, Vec<u8>)>, None);
    for segment in of_one {
        let bytes = match calls.get_segment(&segment).await {
            Ok(bytes) if Records::new(&bytes, 0).all(|record| record.is_ok()) => bytes,
            Ok(_) => {
                let why = "its records are not whole".to_owned();
                broken = broken.or(Some(OpenError::Store { object: calls.segment_name(&segment), why }));
                continue;
            }
            Err(why) => {
                broken = broken.or(Some(why));
                continue;
            }
        };
        match &chosen {
            None => chosen = Some((segment, bytes)),
            Some((_, all)) if all.starts_with(&bytes) => {}
            Some((longer, _)) => {
                let why = format!(
                    "{} has the same number, and does not begin with it: they are of two logs; remove the one that is not \
                     of this log, and begin again",
                    calls.segment_name(longer)
                );
                return Err(OpenError::Store { object: calls.segment_name(&segment), why });
            }
        }
    }
    match (chosen, broken) {
        // A short one beside a longer that is spoilt would be a log that lost its end.
        (Some((_, bytes)), Some(why)) if bytes.is_empty() => Err(why),
        (Some((segment, _)), why) => {
            if let Some(why) = why {
                tracing::warn!(segment = segment.number, "another object of this number is left out: {why}");
            }
            Ok(segment)
        }
        (None, Some(why)) => Err(why),
        (None, None) => {
            let why = "it is missing".to_owned();
            Err(OpenError::Store { object: calls.named("*.mutlog"), why })
        }
    }
}

/// Writes all lists, so that from now on this is a journal.
pub(super) async fn keep(calls: &Calls, seals: &Seals) -> Result<(), OpenError> {
    let written = |count: usize| async move {
        let list = Seals { segments: seals.segments[..count].to_vec(), next: 0 };
        let number = u32::try_from(count - 1).unwrap_or(u32::MAX);
        let name = calls.seals_name(number);
        let encoded = list.encode().into_bytes();
        if calls.create(&name, encoded.clone()).await? == Put::Exists
            && calls.get_seals(number).await? != Some(encoded)
        {
            let why = "it lists other segments than there are: another process began to take over this bucket, and the \
                       original's leader wrote on; end both, remove what is below sealed/, and begin again";
            return Err(OpenError::Store { object: name, why: why.to_owned() });
        }
        Ok(())
    };
    let mut behind = futures::stream::iter((2..=seals.segments.len()).rev()).map(written).buffered(AT_ONCE);
    while let Some(done) = behind.next().await {
        done?;
    }
    drop(behind);
    written(1).await
}
