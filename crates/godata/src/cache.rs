//! The folder where segments are kept, as the original keeps them. Source: spec/maintner.md §2.5, §2.6.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use maintner::reclog::Records;
use sha2::{Digest as _, Sha224};

use crate::error::GodataError;
use crate::index::{Listed, Sum};

/// By whom the folder is being filled.
const LOCK: &str = "bellwether.lock";
/// How long apart it is tried to lock it, at first and at last.
const TRIES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(100)];
/// Bytes that are read at once.
const BLOCK: usize = 256 << 10;

/// The folder that the original's programs use, by the variables of the process; none where there is no home.
#[must_use]
pub fn default_cache() -> Option<PathBuf> {
    cache_of(|name| std::env::var_os(name))
}

fn cache_of(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = folder("XDG_CACHE_HOME").or_else(|| {
        let below = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
        Some(folder("HOME")?.join(below))
    });
    Some(caches?.join("golang-maintner"))
}

/// Makes the folder, for its owner alone, where it is not there.
pub(crate) fn make(folder: &Path) -> Result<(), GodataError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|why| failed(folder, why))
}

pub(crate) fn failed(path: &Path, why: io::Error) -> GodataError {
    GodataError::Cache { path: path.to_path_buf(), why }
}

/// How files of the cache are opened to write.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A new file of the cache, in the place of one that was left.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    options().create_new(true).open(path)
}

/// That no other process of ours fills the folder, until it is dropped.
pub(crate) struct Lock(#[expect(dead_code, reason = "held until it is dropped")] filelock::Held);

impl Lock {
    /// Waits for those who have it, for as long as they bring something in: a whole log may take hours.
    pub(crate) async fn take(folder: &Path, longest: Duration) -> Result<Self, GodataError> {
        let path = folder.join(LOCK);
        let (mut until, mut had) = (tokio::time::Instant::now() + longest, bytes(folder));
        let mut pause = TRIES[0];
        loop {
            let file = options().open(&path).map_err(|why| failed(&path, why))?;
            match filelock::Held::take(file) {
                Ok(held) => return Ok(Self(held)),
                Err(TryLockError::WouldBlock) if tokio::time::Instant::now() < until => {}
                Err(TryLockError::WouldBlock) => {
                    let has = bytes(folder);
                    if has == had {
                        return Err(GodataError::Locked { path, seconds: longest.as_secs() });
                    }
                    tracing::info!(cache = %folder.display(), "another process is filling this cache, which is waited for");
                    (until, had) = (tokio::time::Instant::now() + longest, has);
                }
                Err(TryLockError::Error(why)) => return Err(failed(&path, why)),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(TRIES[1]);
        }
    }
}

/// The bytes of all segments in a folder, by which it is seen that somebody fills it.
fn bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "mutlog"))
        .filter_map(|path| length(&path))
        .sum()
}

/// The length of a file, if it is one.
pub(crate) fn length(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|about| about.len())
}

/// The name of the file of a segment that grows.
pub(crate) fn growing(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:04}.growing.mutlog"))
}

/// The digest of the first bytes of a file, which may have more.
pub(crate) fn sum(path: &Path, size: u64) -> io::Result<Sum> {
    let mut hash = Sha224::new();
    let read = hashed(&mut File::open(path)?.take(size), &mut hash)?;
    if read < size {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("it has {read} bytes of {size}")));
    }
    Ok(hash.finalize().into())
}

/// Reads all there is into a digest.
pub(crate) fn hashed(from: &mut impl io::Read, hash: &mut Sha224) -> io::Result<u64> {
    let (mut buffer, mut read) = (vec![0; BLOCK], 0);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(read),
            Ok(count) => {
                hash.update(&buffer[..count]);
                read += count as u64;
            }
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
}

/// A segment that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) listed: Listed,
    pub(crate) path: PathBuf,
}

/// The number, and the digest where it is sealed, of a name.
fn named(name: &str) -> Option<(u32, Option<Sum>)> {
    let (number, rest) = name.strip_suffix(".mutlog")?.split_once('.')?;
    if number.len() < 4 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = number.parse().ok()?;
    if rest == "growing" {
        return Some((number, None));
    }
    let mut sum = [0; 28];
    hex::decode_to_slice(rest, &mut sum).ok()?;
    Some((number, Some(sum)))
}

/// The sealed files of a folder by number, those of one number in the order of their names.
pub(crate) fn sealed(folder: &Path) -> Result<BTreeMap<u32, Vec<(Sum, PathBuf)>>, GodataError> {
    let mut all: BTreeMap<u32, Vec<(Sum, PathBuf)>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(|why| failed(folder, why))? {
        let path = entry.map_err(|why| failed(folder, why))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some((number, Some(sum))) = name.and_then(named)
            && path.is_file()
        {
            all.entry(number).or_default().push((sum, path));
        }
    }
    all.values_mut().for_each(|of_one| of_one.sort());
    Ok(all)
}

/// Removes what is of another log than the one that is held, so that nothing of it is taken for this one without a server.
/// What follows the last one is left unless the log was `split`: another process may be farther.
pub(crate) fn clean(folder: &Path, held: &[Held], split: bool) -> Result<(), GodataError> {
    // Nothing is what a server says whose log was lost; that is no reason to lose it here too.
    if held.is_empty() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(|why| failed(folder, why))? {
        let path = entry.map_err(|why| failed(folder, why))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some((number, sum)) = name.and_then(named) else { continue };
        let other = match usize::try_from(number).ok().and_then(|number| held.get(number)) {
            // One that is sealed and longer is of who is farther, unless the log was split.
            Some(held) if held.path == path && (split || sum.is_none()) => {
                shorten(&path, held.listed.size).map_err(|why| failed(&path, why))?;
                false
            }
            Some(held) => held.path != path,
            None => split,
        };
        if other {
            tracing::debug!(path = %path.display(), "a segment of another log is removed");
            std::fs::remove_file(&path).map_err(|why| failed(&path, why))?;
        }
    }
    Ok(())
}

/// Has no more in a file than its first bytes. It may be mapped: another takes its place.
fn shorten(path: &Path, size: u64) -> io::Result<()> {
    if length(path).is_none_or(|length| length <= size) {
        return Ok(());
    }
    let temporary = path.with_extension("tempseg");
    io::copy(&mut File::open(path)?.take(size), &mut create(&temporary)?)?;
    std::fs::rename(&temporary, path)
}

/// What can be used of a folder without a server: sealed segments from 0 on, then one that grew, up to its last whole record.
pub(crate) fn offline(folder: &Path) -> Result<Vec<Held>, GodataError> {
    let mut sealed = sealed(folder)?;
    let mut held = Vec::new();
    for number in 0.. {
        if let Some((sum, path)) = sealed.remove(&number).and_then(|mut of_one| of_one.pop()) {
            let size = length(&path).unwrap_or_default();
            held.push(Held { listed: Listed { number, size, sum, url: String::new() }, path });
            continue;
        }
        let path = growing(folder, number);
        if length(&path).is_some() {
            let bytes = std::fs::read(&path).map_err(|why| failed(&path, why))?;
            let size = whole_records(&bytes);
            if size > 0 {
                let sum = Sha224::digest(&bytes[..size]).into();
                let listed = Listed { number, size: size as u64, sum, url: String::new() };
                held.push(Held { listed, path });
            }
        }
        break;
    }
    Ok(held)
}

/// The bytes of the records before the first that is not whole.
fn whole_records(bytes: &[u8]) -> usize {
    let mut end = 0;
    for record in Records::new(bytes, 0) {
        let Ok(record) = record else { break };
        end = usize::try_from(record.end()).unwrap_or(end);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_originals() {
        let of = |pairs: &'static [(&str, &str)]| {
            let find = |name: &str| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.into());
            cache_of(find).map(|path| path.to_string_lossy().into_owned())
        };
        assert_eq!(of(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]).as_deref(), Some("/c/golang-maintner"));
        if !cfg!(target_os = "macos") {
            let home: &[_] = &[("XDG_CACHE_HOME", ""), ("HOME", "/h")];
            assert_eq!(of(home).as_deref(), Some("/h/.cache/golang-maintner"));
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_is_kept_is_used_up_to_its_last_whole_record() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let sealed = |number: u32, digit: &str| format!("{number:04}.{}.mutlog", digit.repeat(56));
        assert!(offline(dir.path()).unwrap().is_empty());
        put("0000.growing.mutlog", "REC@0+0=REC@8+9=abc");
        put("0002.growing.mutlog", "REC@0+0=");
        let held = |()| -> Vec<(u32, u64, u8)> {
            let all = offline(dir.path()).unwrap();
            all.iter().map(|held| (held.listed.number, held.listed.size, held.listed.sum[0])).collect()
        };
        assert_eq!(held(()), [(0, 8, 0x6f)]);
        put(&sealed(0, "a"), "REC@0+1=x");
        put(&sealed(0, "b"), "REC@0+0=");
        put("0001.growing.mutlog", "REC@0");
        assert_eq!(held(()), [(0, 8, 0xbb)]);
        put(&sealed(1, "c"), "REC@0+0=");
        assert_eq!(held(()), [(0, 8, 0xbb), (1, 8, 0xcc), (2, 8, 0x6f)]);
    }

    #[test]
    fn what_is_of_another_log_goes() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = |number: u32, digit: &str| format!("{number:04}.{}.mutlog", digit.repeat(56));
        let all = [
            sealed(0, "a"),
            sealed(0, "b"),
            sealed(1, "c"),
            "0001.growing.mutlog".into(),
            sealed(2, "d"),
            "x.mutlog".into(),
        ];
        all.iter().for_each(|name| std::fs::write(dir.path().join(name), "x").unwrap());
        let there = |()| all.iter().map(|name| dir.path().join(name).exists()).collect::<Vec<_>>();
        let held = |number: u32, name: &str| Held {
            listed: Listed { number, size: 1, sum: [0; 28], url: String::new() },
            path: dir.path().join(name),
        };
        let log = [held(0, &all[0]), held(1, "0001.growing.mutlog")];
        clean(dir.path(), &[], true).unwrap();
        assert_eq!(there(()), [true; 6]);
        clean(dir.path(), &log, false).unwrap();
        assert_eq!(there(()), [true, false, false, true, true, true], "another process may be farther");
        clean(dir.path(), &log, true).unwrap();
        assert_eq!(there(()), [true, false, false, true, false, true]);
    }

    #[test]
    fn what_is_longer_than_its_segment_is_shortened() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["0000.growing.mutlog".to_owned(), format!("0001.{}.mutlog", "a".repeat(56))];
        names.iter().for_each(|name| std::fs::write(dir.path().join(name), "xyz").unwrap());
        let held = |number: u32| Held {
            listed: Listed { number, size: 1, sum: [0; 28], url: String::new() },
            path: dir.path().join(&names[number as usize]),
        };
        let log = [held(0), held(1)];
        let lengths = |()| log.each_ref().map(|held| length(&held.path).unwrap());
        clean(dir.path(), &log, false).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&log[0].path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "a copy is for the owner alone");
        }
        assert_eq!(lengths(()), [1, 3], "what is sealed may be of a process that is farther");
        clean(dir.path(), &log, true).unwrap();
        assert_eq!(lengths(()), [1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_fills_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path(), Duration::ZERO).await.unwrap();
        let refused = Lock::take(dir.path(), Duration::from_secs(3)).await.err().unwrap();
        assert!(refused.to_string().contains("for more than 3 s"), "{refused}");
        let fills = async {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(2)).await;
                let mut file = options().open(growing(dir.path(), 0)).unwrap();
                io::Write::write_all(&mut file, b"x").unwrap();
            }
        };
        let began = tokio::time::Instant::now();
        let refused = tokio::join!(Lock::take(dir.path(), Duration::from_secs(3)), fills).0.err().unwrap();
        assert!(matches!(refused, GodataError::Locked { .. }), "{refused}");
        assert!(began.elapsed() > Duration::from_secs(9), "who brings something in is waited for");
        let waiting = async { Lock::take(dir.path(), Duration::from_secs(60)).await.map(drop) };
        let ends = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(first);
        };
        tokio::join!(waiting, ends).0.unwrap();
    }
}
