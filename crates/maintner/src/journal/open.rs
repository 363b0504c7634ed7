//! Opens a folder for writing: finds what is safe in it, and mends what a leader left that went down.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, replace};
use super::folder::Safety;
use super::growing::Growing;
use super::idx::{self, Chain, Damage, Damaged, Entry, Idx, IdxError, ROW};
use super::lead::{Lead, LeadError};
use super::{Cut, OpenError, Opened, Segment, growing_name, idx_name};
use crate::check::check;
use crate::log::{self, LONGEST_RECORD, LogError};
use crate::reclog::Records;

/// What a folder has.
pub(super) struct Found {
    pub sealed: Vec<Segment>,
    pub growing: Growing,
    pub opened: Opened,
}

/// Takes the lead of a folder, which is made where it is not there.
pub(super) fn lead(folder: &Path, disk: &dyn Disk, holder: &str) -> Result<Lead, OpenError> {
    fs::create_dir_all(folder).map_err(|why| failed(folder, why))?;
    Lead::take(folder, disk, holder).map_err(|error| match error {
        LeadError::Held { holder } => OpenError::Held { place: folder.display().to_string(), holder },
        LeadError::Io { path, why } => OpenError::Io { path, why },
    })
}

/// Finds what is in the folder that is led, whose bytes are safe there and nowhere else.
pub(super) fn find(folder: &Path, disk: &dyn Disk) -> Result<Found, OpenError> {
    find_of(folder, disk, Safety::Synced)
}

/// Finds what is in the folder that is led.
pub(super) fn find_of(folder: &Path, disk: &dyn Disk, safety: Safety) -> Result<Found, OpenError> {
    let files = match log::listed(folder) {
        Ok(files) => files,
        Err(LogError::Nothing { .. }) => Vec::new(),
        Err(LogError::Io { path, why }) => return Err(OpenError::Io { path, why }),
        Err(why) => return Err(OpenError::Log { why: Box::new(why) }),
    };
    let mut found =
        Found { sealed: Vec::new(), growing: Growing::new(0, Chain::default()), opened: Opened::default() };
    for path in files {
        let number = found.growing.number;
        match log::named(&path) {
            Some((_, Some(sha224))) => {
                let (segment, chain) =
                    sealed(folder, &path, number, sha224, found.growing.chain, disk, &mut found.opened)?;
                found.sealed.push(segment);
                found.growing = Growing::new(number + 1, chain);
            }
            Some((_, None)) => grown(folder, &path, &mut found, disk, safety)?,
            None => return Err(OpenError::Days { path }),
        }
    }
    if safety == Safety::Synced {
        let next = u32::try_from(found.sealed.len()).unwrap_or(u32::MAX);
        if let Some((number, records, _)) =
            idx::lost(folder, next).map_err(|why| failed(folder, why))?.into_iter().next()
        {
            let why = Damaged { record: 0, offset: 0, what: Damage::Missing { records } };
            return Err(OpenError::Damaged { path: folder.join(growing_name(number)), why });
        }
    }
    Ok(found)
}

/// A sealed segment, by its name and the last row of its index, which is made where it is missing.
fn sealed(
    folder: &Path,
    path: &Path,
    number: u32,
    sha224: [u8; 28],
    before: Chain,
    disk: &dyn Disk,
    opened: &mut Opened,
) -> Result<(Segment, Chain), OpenError> {
    let size = fs::metadata(path).map_err(|why| failed(path, why))?.len();
    let segment = Segment { number, size, sha224, sealed: true };
    let idx_path = folder.join(idx_name(number));
    if let Some(bytes) = read(&idx_path)? {
        let idx = Idx::read(&bytes, number).map_err(|why| OpenError::Idx { path: idx_path.clone(), why })?;
        let last = idx.last();
        if idx.before == before && idx.begin(idx.len()) == size {
            return Ok((segment, last.map_or(before, |entry| entry.chain)));
        }
        // Only the last rows can be missing, of a leader that went down between its last commit and the seal's.
        if idx.before != before || idx.begin(idx.len()) > size {
            return Err(OpenError::Length { path: path.to_path_buf(), size, want: idx.begin(idx.len()) });
        }
    }
    let bytes = fs::read(path).map_err(|why| failed(path, why))?;
    let mut all = Growing::new(number, before);
    let mut rows = idx::head(number, &before).to_vec();
    for record in Records::new(&bytes, 0) {
        let record = record.map_err(|why| LogError::Broken { path: path.to_path_buf(), why })?;
        rows.extend(all.take(whole(&bytes, record.offset, record.end())).row());
    }
    if all.segment(true) != segment {
        return Err(OpenError::Name { path: path.to_path_buf() });
    }
    replace(disk, &idx_path, &rows).map_err(|why| failed(&idx_path, why))?;
    opened.indexed += 1;
    Ok((segment, all.chain))
}

/// The growing segment: all that its index vouches for, and the whole records behind.
fn grown(
    folder: &Path,
    path: &Path,
    found: &mut Found,
    disk: &dyn Disk,
    safety: Safety,
) -> Result<(), OpenError> {
    let number = found.growing.number;
    let bytes = fs::read(path).map_err(|why| failed(path, why))?;
    let idx_path = folder.join(idx_name(number));
    let rows = read(&idx_path)?;
    let before = found.growing.chain;
    let idx = match rows.as_deref().map(|rows| Idx::read(rows, number)) {
        None => None,
        Some(Ok(idx)) => Some(idx),
        // A file system that went down may leave all of it unwritten.
        Some(Err(_)) if rows.as_deref().is_some_and(|rows| rows.iter().all(|byte| *byte == 0)) => None,
        Some(Err(IdxError::Short)) => None,
        Some(Err(why)) => return Err(OpenError::Idx { path: idx_path, why }),
    };
    let resumed = resume(&bytes, idx.as_ref(), number, before, safety)
        .map_err(|why| OpenError::Damaged { path: path.to_path_buf(), why })?;
    let kept = &bytes[..resumed.kept];
    if let Some(why) = resumed.cut {
        // Whoever has the file mapped keeps its bytes: they are not cut off, but left out of a copy.
        replace(disk, path, kept).map_err(|why| failed(path, why))?;
        let (offset, bytes) = (kept.len() as u64, (bytes.len() - kept.len()) as u64);
        found.opened.cut = Some(Cut { path: path.to_path_buf(), offset, bytes, why });
    } else {
        // What is kept may be in memory only.
        let file = disk.append(path).map_err(|why| failed(path, why))?;
        disk.sync(&file).map_err(|why| failed(path, why))?;
        disk.sync_folder(folder).map_err(|why| failed(folder, why))?;
    }
    let vouched = resumed.vouched;
    let whole_rows = idx.map_or(0, |idx| (idx.len() + 1) * ROW);
    if resumed.rows.len() != vouched || rows.as_deref().map(<[u8]>::len) != Some(whole_rows) {
        let mut all = idx::head(number, &before).to_vec();
        resumed.rows.iter().for_each(|entry| all.extend(entry.row()));
        replace(disk, &idx_path, &all).map_err(|why| failed(&idx_path, why))?;
    }
    found.opened.unvouched = (resumed.rows.len() - vouched) as u64;
    found.growing = resumed.growing;
    Ok(())
}

/// What is kept of a growing segment.
#[derive(Debug)]
pub(super) struct Resumed {
    pub growing: Growing,
    pub rows: Vec<Entry>,
    pub kept: usize,
    /// How many of the rows were in the index, and are kept.
    pub vouched: usize,
    /// Why what is behind is not kept, where there is something.
    pub cut: Option<String>,
}

/// What is kept of a growing segment: all that its index vouches for must be there, and the whole records behind are kept. Of
/// an index whose last rows are damaged, those before count.
/// What is behind those was never shown: it is shown when its bytes are safe.
///
/// # Errors
/// The first record that the index vouches for and that is not as it was.
pub(super) fn resume(
    bytes: &[u8],
    idx: Option<&Idx<'_>>,
    number: u32,
    before: Chain,
    safety: Safety,
) -> Result<Resumed, Damaged> {
    let mut growing = Growing::new(number, before);
    let mut rows = Vec::new();
    let mut damaged = None;
    if let Some(idx) = idx {
        damaged = idx::hold(bytes, idx, before).err();
        if let Some(why) = damaged.filter(|_| idx.before != before) {
            return Err(why);
        }
        for record in 0..damaged.map_or(idx.len(), |why| why.record) {
            rows.push(growing.take(whole(bytes, idx.begin(record), idx.begin(record + 1))));
        }
    }
    let (tail, vouched) = (growing.size, rows.len());
    let rest = whole(bytes, tail, bytes.len() as u64);
    let mut cut = None;
    for record in Records::new(rest, tail) {
        let fault = match &record {
            Err(broken) => Some(broken.what.to_string()),
            Ok(record) if record.payload.len() > LONGEST_RECORD => Some("it is too long".to_owned()),
            // A copy was written from bytes that are certain.
            Ok(record) if safety == Safety::Synced && unwritten(record.payload) => {
                Some("its bytes were never written".to_owned())
            }
            Ok(record) => check(record.payload).err().map(|why| why.to_string()),
        };
        match (record, fault) {
            (Ok(record), None) => rows.push(growing.take(whole(bytes, record.offset, record.end()))),
            (_, fault) => {
                cut = fault;
                break;
            }
        }
    }
    let kept = usize::try_from(growing.size).unwrap_or(usize::MAX).min(bytes.len());
    // Rows that a file system left unwritten are made again from records that were safe before them. A record that is not
    // there, or that is not what a whole row says, is damaged itself.
    if let (Some(idx), Some(why)) = (idx, damaged) {
        let all = (vouched..idx.len())
            .all(|nth| rows.get(nth).is_some_and(|should| idx.may_be(nth, should, nth == vouched)));
        if !all {
            return Err(why);
        }
    }
    Ok(Resumed { growing, rows, kept, vouched, cut })
}

/// Whether a file system that went down may have left a hole in it. A mutation that has so many zeros by itself is told from
/// such a hole by its row, which is safe before it is shown.
pub(super) fn unwritten(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, &[0; 512]).is_some()
}

/// Bytes of a file by offsets that are within it.
pub(super) fn whole(bytes: &[u8], from: u64, to: u64) -> &[u8] {
    let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
    bytes.get(at(from)..at(to)).unwrap_or_default()
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(failed(path, why)),
    }
}

fn failed(path: &Path, why: io::Error) -> OpenError {
    OpenError::Io { path: PathBuf::from(path), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment of some records, its index, and where each record ends.
    fn segment(records: u8) -> (Vec<u8>, Vec<u8>, Vec<usize>) {
        let mut growing = Growing::new(0, Chain::default());
        let records: Vec<Vec<u8>> =
            (0..records).map(|nth| [&[0x7a, 30][..], &[nth + 1; 30]].concat()).collect();
        let piece = growing.plan(&records, u64::MAX).remove(0);
        let rows = [&idx::head(0, &Chain::default())[..], &piece.rows].concat();
        let ends =
            Records::new(&piece.bytes, 0).map(|record| usize::try_from(record.unwrap().end()).unwrap());
        let ends = ends.collect();
        (piece.bytes, rows, ends)
    }

    #[test]
    fn cut_anywhere_what_is_vouched_for_is_missed_and_of_the_rest_all_whole_records_are_kept() {
        let (bytes, rows, ends) = segment(30);
        let vouched = 15;
        let idx = Idx::read(&rows[..(vouched + 1) * ROW], 0).unwrap();
        for at in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= at).count();
            match resume(&bytes[..at], Some(&idx), 0, Chain::default(), Safety::Synced) {
                Err(damaged) => {
                    assert!(whole < vouched, "cut at {at}");
                    assert_eq!(damaged.record, whole);
                    assert!(matches!(damaged.what, Damage::Cut { .. }), "{damaged}");
                }
                Ok(resumed) => {
                    assert!(whole >= vouched, "cut at {at}");
                    assert_eq!((resumed.rows.len(), resumed.kept), (whole, ends[whole - 1]));
                    assert_eq!(resumed.cut.is_some(), ends[whole - 1] != at);
                }
            }
        }
    }

    #[test]
    fn what_a_file_system_leaves_that_went_down_is_no_record() {
        let (bytes, rows, ends) = segment(4);
        let idx = Idx::read(&rows[..3 * ROW], 0).unwrap();
        // Zeros where rows and records were to be.
        let torn = [&rows[..3 * ROW], &[0; 2 * ROW + 5]].concat();
        let torn = Idx::read(&torn, 0).unwrap();
        assert_eq!((torn.len(), torn.torn), (2, 5));
        let mut zeros = bytes[..ends[1]].to_vec();
        zeros.resize(bytes.len(), 0);
        let resumed = resume(&zeros, Some(&idx), 0, Chain::default(), Safety::Synced).unwrap();
        assert_eq!((resumed.kept, resumed.cut.is_some()), (ends[1], true));
        // Rows that were written in part, or not, before others: from a sector's begin on, or up to its end.
        for (from, to) in [(160, 192), (144, 192), (96, 160), (170, 180)] {
            let mut torn = rows.clone();
            torn[from..to].fill(0);
            let torn = Idx::read(&torn, 0).unwrap();
            let kept = resume(&bytes, Some(&torn), 0, Chain::default(), Safety::Synced).unwrap();
            assert_eq!((kept.rows.len(), kept.kept), (4, bytes.len()));
            assert!(kept.vouched >= from / ROW - 1 && kept.vouched < 4, "{}", kept.vouched);
            // A record that is damaged is found all the same.
            for at in [ends[2] + 20, ends[0] + 20] {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                let changed = resume(&changed, Some(&torn), 0, Chain::default(), Safety::Synced);
                assert!(changed.is_err() || at > ends[2], "byte {at}, rows {from}..{to}");
            }
            resume(&bytes[..ends[2]], Some(&torn), 0, Chain::default(), Safety::Synced).unwrap_err();
        }
        // A hole in a record whose header and end were written.
        let mut payload = vec![0x7a, 0xff, 0x7f];
        payload.resize(3 + 0x3fff, b'x');
        let mut growing = Growing::new(0, Chain::default());
        let mut hole = growing.plan(&[payload], u64::MAX).remove(0).bytes;
        let kept = |bytes: &[u8], safety| resume(bytes, None, 0, Chain::default(), safety).unwrap().kept;
        assert_eq!(kept(&hole, Safety::Synced), hole.len());
        hole[4096..8192].fill(0);
        assert_eq!(kept(&hole, Safety::Synced), 0);
        assert_eq!(kept(&hole, Safety::Copied), hole.len());
    }
}
