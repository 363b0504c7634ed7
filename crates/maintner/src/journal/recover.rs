//! Keeps of a damaged log all up to the first record that is not as it was written, and says what it drops.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha224};

use super::disk::{Disk, System, replace};
use super::growing::Growing;
use super::idx::{self, Chain, Entry, Idx};
use super::open::{lead, unwritten, whole as within};
use super::{OpenError, growing_name, holder, idx_name};
use crate::check::check;
use crate::log::{self, LONGEST_RECORD};
use crate::reclog::{Record, Records};

/// Names that are tried for what is put aside.
const ASIDE: u32 = 1000;

/// What was kept, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Records that are kept.
    pub records: u64,
    /// Bytes that are kept, headers included.
    pub bytes: u64,
    /// What is not kept, in the order of the log.
    pub dropped: Vec<Dropped>,
    /// Indexes that were made again.
    pub indexed: Vec<PathBuf>,
    /// Files that are kept whole and whose bytes are not those of their name. Nothing tells which record was changed.
    pub doubtful: Vec<PathBuf>,
    /// Where the files are that were changed, as they were.
    pub aside: Vec<PathBuf>,
}

/// The end of a file, or all of it, that is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The file.
    pub path: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// How much it is.
    pub bytes: u64,
    /// Why.
    pub why: String,
}

/// One file, and how much of it is good.
struct Looked {
    path: PathBuf,
    /// The segment's number; none of a day file.
    number: Option<u32>,
    /// Bytes that the file has, and those that are kept.
    size: u64,
    kept: u64,
    /// Why the rest is not kept.
    bad: Option<String>,
    /// The index that it should have, and whether that is what it has.
    rows: Vec<u8>,
    indexed: bool,
    records: u64,
    /// What it is called when it is kept: a segment that is cut grows again.
    target: PathBuf,
}

impl Looked {
    fn changed(&self) -> bool {
        self.kept < self.size || self.target != self.path
    }

    /// The name that is kept, in a folder.
    fn target(&self, folder: &Path) -> PathBuf {
        folder.join(self.target.file_name().unwrap_or_default())
    }
}

/// Mends the log in a folder, or makes a good one in another, which has no log yet. What is changed or dropped in the folder
/// itself is put aside first, as `….damaged`. Of a whole log nothing changes.
///
/// # Errors
/// What can't be read or written, a leader that runs, no log. Asked again it goes on where it stopped.
pub fn recover(folder: &Path, to: Option<&Path>) -> Result<Recovered, OpenError> {
    let _lead = match to {
        None => Some(lead(folder, &System, &holder("log recover"))?),
        Some(to) => {
            let lead = lead(to, &System, &holder("log recover"))?;
            if !log::segments_and_days(to).map_err(|why| failed(to, why))?.is_empty() {
                let why = io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "there is a log in it: name an empty folder",
                );
                return Err(failed(to, why));
            }
            Some(lead)
        }
    };
    let mut recovered = Recovered::default();
    let looked = look(folder, &mut recovered)?;
    match to {
        Some(to) => copy(&looked, to, &mut recovered)?,
        None => mend(&looked, folder, &mut recovered)?,
    }
    Ok(recovered)
}

/// Reads everything, and changes nothing.
fn look(folder: &Path, recovered: &mut Recovered) -> Result<Vec<Looked>, OpenError> {
    let files = log::segments_and_days(folder).map_err(|why| failed(folder, why))?;
    let lost = idx::lost(folder, 0).map_err(|why| failed(folder, why))?;
    if files.is_empty() && lost.is_empty() {
        return Err(log::LogError::Nothing { path: folder.to_path_buf() }.into());
    }
    let any =
        files.iter().any(|path| number(path).is_some_and(|number| folder.join(idx_name(number)).exists()));
    let (mut looked, mut chain, mut stopped) = (Vec::<Looked>::new(), Chain::default(), None);
    let mut next = 0;
    for path in files {
        let size = fs::metadata(&path).map_err(|why| failed(&path, why))?.len();
        let number = number(&path);
        if let Some(number) = number
            && stopped.is_none()
            && number != next
        {
            stopped = Some(format!("segment {next:04} before it is missing"));
        }
        next = number.map_or(0, |number| number.saturating_add(1));
        let mut file = Looked {
            target: path.clone(),
            path,
            number,
            size,
            kept: 0,
            bad: stopped.clone(),
            rows: Vec::new(),
            indexed: true,
            records: 0,
        };
        if file.bad.is_none() {
            chain = read(&mut file, chain, any, recovered)?;
            stopped = file.bad.is_some().then(|| "what is before it was dropped".to_owned());
        }
        recovered.records += file.records;
        recovered.bytes += file.kept;
        if let Some(why) = &file.bad {
            let (offset, bytes) = (file.kept, size - file.kept);
            recovered.dropped.push(Dropped { path: file.path.clone(), offset, bytes, why: why.clone() });
        }
        looked.push(file);
    }
    // Beside day files an index is none of theirs.
    if looked.iter().all(|file| file.number.is_some()) {
        for (number, records, bytes) in lost {
            let why = format!("it is missing, and the .idx beside it has {records} records of it");
            let path = folder.join(growing_name(number));
            recovered.dropped.push(Dropped { path, offset: 0, bytes, why });
        }
        recovered.dropped.sort_by_key(|dropped| number(&dropped.path));
    }
    Ok(looked)
}

/// How much of a file is good, and the chain behind it.
fn read(file: &mut Looked, before: Chain, any: bool, recovered: &mut Recovered) -> Result<Chain, OpenError> {
    let bytes = fs::read(&file.path).map_err(|why| failed(&file.path, why))?;
    file.size = bytes.len() as u64;
    let number = file.number.unwrap_or_default();
    let idx_path = file.path.with_file_name(idx_name(number));
    let rows = match fs::read(&idx_path) {
        Ok(rows) if file.number.is_some() => rows,
        Ok(_) => Vec::new(),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(why) => return Err(failed(&idx_path, why)),
    };
    let idx = Idx::read(&rows, number).ok();
    let name = log::named(&file.path).and_then(|(_, sha224)| sha224);
    let as_named = name.map(|name| <[u8; 28]>::from(Sha224::digest(&bytes)) == name);
    // Bytes that have the digest of their name are those that were sealed, whatever an index says.
    let vouches = if as_named == Some(true) { None } else { idx };
    let mut growing = Growing::new(number, before);
    file.rows = idx::head(number, &before).to_vec();
    for record in Records::new(&bytes, 0) {
        match good(&bytes, record, vouches.as_ref(), file.records, growing.chain) {
            Ok(whole) => file.rows.extend(growing.take(whole).row()),
            Err(why) => {
                file.bad = Some(why);
                break;
            }
        }
        file.records += 1;
    }
    file.kept = growing.size;
    if file.bad.is_none() && vouches.is_some_and(|idx| idx.len() as u64 > file.records) {
        // Nothing is there that could be dropped; that there was more is said all the same.
        file.bad = Some("it ends before a record that the .idx beside it has".to_owned());
    }
    if as_named == Some(false) {
        let name = match &file.bad {
            Some(_) => growing_name(number),
            None => growing.segment(true).name(),
        };
        file.target = file.path.with_file_name(name);
        if file.bad.is_none() && vouches.is_none() {
            recovered.doubtful.push(file.target.clone());
        }
    } else if file.bad.is_some() && name.is_some() {
        file.target = file.path.with_file_name(growing_name(number));
    }
    file.indexed = file.number.is_none() || rows == file.rows || (rows.is_empty() && !any);
    Ok(growing.chain)
}

/// The bytes of a record, header included, where it is good.
fn good<'a>(
    bytes: &'a [u8],
    record: Result<Record<'a>, crate::reclog::Broken>,
    idx: Option<&Idx<'_>>,
    number: u64,
    before: Chain,
) -> Result<&'a [u8], String> {
    let record = record.map_err(|why| why.to_string())?;
    let named =
        |why: &str| format!("record {number} at offset {} ({:#x}): {why}", record.offset, record.offset);
    let whole = within(bytes, record.offset, record.end());
    if record.payload.len() > LONGEST_RECORD {
        return Err(named("it is too long"));
    }
    check(record.payload).map_err(|why| named(&format!("it is no mutation: {why}")))?;
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    let Some(idx) = idx else { return Ok(whole) };
    if number == 0 && idx.before != before {
        return Err(named("it followed other segments than these"));
    }
    let Some(row) = idx.entry(number) else {
        return if unwritten(record.payload) {
            Err(named("its bytes were never written"))
        } else {
            Ok(whole)
        };
    };
    let is = Entry::of(record.offset, whole, &before);
    if row.chain == is.chain {
        return Ok(whole);
    }
    if row.crc != is.crc {
        return Err(named("its bytes are not those that were written: its checksum differs"));
    }
    // Its checksum is right and the chain is not: either the row was changed, and then the next one goes on from here, or all
    // up to here is another log's.
    let following = Records::new(within(bytes, record.end(), bytes.len() as u64), record.end()).next();
    match (following, idx.entry(number + 1)) {
        (Some(Ok(next)), Some(row)) if is.chain.then(within(bytes, next.offset, next.end())) != row.chain => {
            Err(named("the records up to it are not those that were written: the chain of hashes differs"))
        }
        _ => Ok(whole),
    }
}

/// Writes what is good to another folder.
fn copy(looked: &[Looked], to: &Path, recovered: &mut Recovered) -> Result<(), OpenError> {
    for file in looked.iter().filter(|file| file.kept > 0) {
        let bytes = fs::read(&file.path).map_err(|why| failed(&file.path, why))?;
        let target = file.target(to);
        put(&target, within(&bytes, 0, file.kept))?;
        if let Some(number) = file.number {
            let path = to.join(idx_name(number));
            put(&path, &file.rows)?;
            recovered.indexed.push(path);
        }
    }
    Ok(())
}

/// Mends the folder itself, from its end on: at no time is there a gap, or a file without its original.
fn mend(looked: &[Looked], folder: &Path, recovered: &mut Recovered) -> Result<(), OpenError> {
    // A segment that is written anew has an index, and then all have.
    let anew = looked.iter().any(Looked::changed);
    if looked.iter().all(|file| file.number.is_some()) {
        // Of segments that are missing.
        for (number, ..) in idx::lost(folder, 0).map_err(|why| failed(folder, why))?.into_iter().rev() {
            let path = folder.join(idx_name(number));
            recovered.aside.push(aside(&path)?);
            fs::remove_file(&path).map_err(|why| failed(&path, why))?;
        }
    }
    for file in looked.iter().rev() {
        let idx_path = file.number.map(|number| folder.join(idx_name(number)));
        let changed = file.changed();
        if (changed || !file.indexed)
            && let Some(path) = idx_path.as_ref().filter(|path| path.exists())
        {
            recovered.aside.push(aside(path)?);
        }
        if changed {
            recovered.aside.push(aside(&file.path)?);
            if file.kept > 0 {
                let bytes = fs::read(&file.path).map_err(|why| failed(&file.path, why))?;
                put(&file.target, within(&bytes, 0, file.kept))?;
            }
            if file.kept == 0 || file.path != file.target {
                fs::remove_file(&file.path).map_err(|why| failed(&file.path, why))?;
            }
        }
        let Some(path) = idx_path else { continue };
        if file.kept == 0 && changed {
            match fs::remove_file(&path) {
                Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(failed(&path, why)),
                _ => {}
            }
        } else if changed || !file.indexed || (anew && !path.exists()) {
            put(&path, &file.rows)?;
            recovered.indexed.push(path);
        }
    }
    System.sync_folder(folder).map_err(|why| failed(folder, why))
}

/// Copies a file to a name of its own beside it.
fn aside(path: &Path) -> Result<PathBuf, OpenError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for attempt in 1..=ASIDE {
        let end = if attempt == 1 { String::new() } else { format!(".{attempt}") };
        let target = path.with_file_name(format!("{name}.damaged{end}"));
        if target.exists() {
            continue;
        }
        let bytes = fs::read(path).map_err(|why| failed(path, why))?;
        put(&target, &bytes)?;
        return Ok(target);
    }
    Err(failed(path, io::Error::new(io::ErrorKind::AlreadyExists, "too many .damaged files are beside it")))
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), OpenError> {
    replace(&System, path, bytes).map_err(|why| failed(path, why))
}

fn number(path: &Path) -> Option<u32> {
    log::named(path).and_then(|(number, _)| u32::try_from(number).ok())
}

fn failed(path: &Path, why: io::Error) -> OpenError {
    OpenError::Io { path: path.to_path_buf(), why }
}
