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

/// Lists that are written at a time.
const AT_ONCE: usize = 16;

/// Finds what a leader of the original left, if it did. Of two objects of one number the newer one counts, as for the original:
/// it ended before it removed the older one.
pub(super) async fn found(calls: &Calls) -> Result<Option<Seals>, OpenError> {
    let mut newest: BTreeMap<u64, (Segment, i64)> = BTreeMap::new();
    for object in calls.list().await? {
        let Some((number, Some(sha224))) = log::named(Path::new(&object.name)) else { continue };
        let Ok(short) = u32::try_from(number) else { continue };
        let segment = Segment { number: short, size: object.size, sha224, sealed: true };
        match newest.get(&number) {
            Some((_, made)) if *made >= object.made => {}
            _ => drop(newest.insert(number, (segment, object.made))),
        }
    }
    if newest.is_empty() {
        return Ok(None);
    }
    let mut segments = Vec::with_capacity(newest.len());
    for ((number, (segment, _)), want) in newest.into_iter().zip(0..) {
        if number != want {
            let object = calls.named(&format!("{want:04}.*.mutlog"));
            let why = format!("it is missing, and there are segments after it, {number:04} the next");
            return Err(OpenError::Store { object, why });
        }
        segments.push(segment);
    }
    Ok(Some(Seals { segments, next: 0 }))
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
