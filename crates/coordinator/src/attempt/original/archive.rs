//! Archives on their way to an original buildlet and from it.
//!
//! The codecs wait, so that each archive has a thread of its own, which ends with the stream at either of its ends.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::time::Duration;

use buildlet_client::Error;
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use futures::{Stream, StreamExt as _, stream};
use tar::EntryType;
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::links::{Kind, Links, clean};

/// How much of an archive is handed on at once, and how many pieces wait.
const PIECE: usize = 64 << 10;
const WAITING: usize = 8;
/// A source that gives nothing for so long has failed.
const STALL: Duration = Duration::from_secs(120);

type Pieces = mpsc::Sender<io::Result<Bytes>>;

/// Takes the links out of a gzip'd tar. The second is done when all was read of the first, or no more is: with the links.
pub(super) fn without_links(
    archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, impl Future<Output = Result<Links, Error>>) {
    let (pieces, files) = mpsc::channel(WAITING);
    let archive = blocking(archive);
    let split = tokio::task::spawn_blocking(move || {
        let split = split(archive, Sender(pieces.clone()));
        // The buildlet must not take a part for the whole.
        if let Err(error) = &split {
            let _ = pieces.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
        }
        split
    });
    let links = async move {
        let split = split.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        split.map_err(Error::Source)
    };
    (received(files), links)
}

/// The content of the one member of a gzip'd tar, as the answer is that is asked for a single file.
pub(super) fn only_member(
    archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (pieces, content) = mpsc::channel(WAITING);
    let archive = blocking(archive);
    // It ends with its reader: nobody needs to wait for it.
    drop(tokio::task::spawn_blocking(move || {
        let mut to = BufWriter::with_capacity(PIECE, Sender(pieces.clone()));
        if let Err(error) = copy_only(archive, &mut to).and_then(|()| to.flush()) {
            let _ = pieces.blocking_send(Err(error));
        }
    }));
    received(content)
}

fn received(
    pieces: mpsc::Receiver<io::Result<Bytes>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) })
}

/// A stream as a thread that may wait reads it.
fn blocking(archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> impl Read + Send + 'static {
    let patient = stream::unfold(Box::pin(archive), |mut archive| async move {
        let next = tokio::time::timeout(STALL, archive.next()).await;
        let item = next.unwrap_or_else(|_| Some(Err(io::ErrorKind::TimedOut.into())))?;
        Some((item, archive))
    });
    SyncIoBridge::new(StreamReader::new(Box::pin(patient)))
}

struct Sender(Pieces);

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(piece)).map_err(|_closed| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn bad(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn split(archive: impl Read, to: Sender) -> io::Result<Links> {
    let to = BufWriter::with_capacity(PIECE, to);
    let mut files = tar::Builder::new(GzEncoder::new(to, Compression::fast()));
    let mut links = Links::default();
    let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::with_capacity(PIECE, archive)));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        // What an original of 2017 would make a file of.
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let name = entry.path_bytes().into_owned();
        let name = String::from_utf8(name).map_err(|error| {
            bad(format!("{:?}: the name is not UTF-8", String::from_utf8_lossy(error.as_bytes())))
        })?;
        let path =
            clean("", &name).ok_or_else(|| bad(format!("{name:?}: the name leads out of the directory")))?;
        let is_dir = kind.is_dir() || (kind.is_file() && name.ends_with('/'));
        match kind {
            _ if path.is_empty() && is_dir => {}
            _ if path.is_empty() => {
                return Err(bad(format!("{name:?}: the name is that of the directory itself")));
            }
            _ if is_dir => {
                let mut header = header(entry.header(), EntryType::Directory, 0)?;
                files.append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mut header = header(entry.header(), EntryType::Regular, entry.size())?;
                files.append_data(&mut header, path, &mut entry)?;
            }
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
                let target = String::from_utf8(target)
                    .map_err(|_bytes| bad(format!("{name:?}: the link's target is not UTF-8")))?;
                let kind = if kind == EntryType::Symlink { Kind::Symbolic } else { Kind::Hard };
                links.add(&path, &target, kind).map_err(bad)?;
            }
            other => {
                let kind = other.as_byte() as char;
                return Err(bad(format!("{name:?}: a member of type {kind:?} is not unpacked")));
            }
        }
    }
    // To the end, where it says whether it was whole.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    match files.into_inner().and_then(GzEncoder::finish).and_then(|mut to| to.flush()) {
        // Whoever has seen the end of the tar may want no more of the archive.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(links),
        ended => ended.map(|()| links),
    }
}

/// The same of a member as an original takes.
fn header(from: &tar::Header, kind: EntryType, size: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(from.mode()? & 0o777);
    header.set_mtime(from.mtime()?);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    Ok(header)
}

fn copy_only(archive: impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::with_capacity(PIECE, archive)));
    let mut entries = archive.entries()?;
    let mut entry = entries.next().ok_or_else(|| bad("the archive of one file is empty".into()))??;
    let size = entry.size();
    if io::copy(&mut entry, to)? != size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn packed(make: impl FnOnce(&mut tar::Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        make(&mut tar);
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn add(tar: &mut tar::Builder<GzEncoder<Vec<u8>>>, kind: EntryType, path: &str, is: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o100_755);
        header.set_mtime(7);
        header.set_size(0);
        match kind {
            EntryType::Symlink | EntryType::Link => tar.append_link(&mut header, path, is).unwrap(),
            _ => {
                header.set_size(is.len() as u64);
                tar.append_data(&mut header, path, is.as_bytes()).unwrap();
            }
        }
    }

    fn pieces(bytes: &[u8]) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let pieces: Vec<_> = bytes.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        stream::iter(pieces)
    }

    async fn all(stream: impl Stream<Item = io::Result<Bytes>>) -> io::Result<Vec<u8>> {
        let mut stream = std::pin::pin!(stream);
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    async fn split(archive: &[u8]) -> (io::Result<Vec<u8>>, Result<Links, Error>) {
        let (files, links) = without_links(pieces(archive));
        let files = all(files).await;
        (files, links.await)
    }

    #[tokio::test]
    async fn files_go_through_and_links_are_told() {
        let long = format!("{}/x", "deep/".repeat(60));
        let noise: String = (0..300_000_u32).map(|n| char::from(b'a' + (n % 1009 * n % 23) as u8)).collect();
        let archive = packed(|tar| {
            add(
                tar,
                EntryType::XGlobalHeader,
                "pax_global_header",
                "52 comment=0123456789012345678901234567890123456789\n",
            );
            add(tar, EntryType::Directory, "./", "");
            add(tar, EntryType::Directory, "./sub", "");
            add(tar, EntryType::Symlink, "sub/link", "../a");
            add(tar, EntryType::Regular, "./a", "text");
            add(tar, EntryType::Regular, &long, &noise);
            add(tar, EntryType::Link, "same", "a");
        });
        let (files, links) = split(&archive).await;
        let files = files.unwrap();
        let dir = tempfile::tempdir().unwrap();
        tar::Archive::new(MultiGzDecoder::new(&*files)).unpack(&dir).unwrap();
        let read = |path: &str| std::fs::read_to_string(dir.path().join(path));
        assert_eq!((read("a").unwrap().as_str(), read(&long).unwrap() == noise), ("text", true));
        let meta = dir.path().join("a").metadata().unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777, 0o755);
        assert_eq!(std::os::unix::fs::MetadataExt::mtime(&meta), 7);
        let there = |path: &str| Path::new(dir.path()).join(path).symlink_metadata().is_ok();
        assert!(there("sub") && !there("sub/link") && !there("same") && !there("pax_global_header"));
        let mut wanted = Links::default();
        wanted.add("sub/link", "../a", Kind::Symbolic).unwrap();
        wanted.add("same", "a", Kind::Hard).unwrap();
        assert_eq!(links.unwrap(), wanted);
    }

    #[tokio::test]
    async fn what_can_t_be_had_whole_is_no_archive_at_either_end() {
        let good = packed(|tar| add(tar, EntryType::Regular, "a", &"text".repeat(1000)));
        let link = packed(|tar| add(tar, EntryType::Symlink, "a", "../../b"));
        let fifo = packed(|tar| add(tar, EntryType::Fifo, "a", ""));
        let cut = &good[..good.len() - 4];
        for (archive, said) in [
            (&link[..], "\"a\": the link leads out"),
            (&fifo, "a member of type '6'"),
            (cut, ""),
            (b"nonsense", ""),
        ] {
            let (files, links) = split(archive).await;
            let error = files.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(matches!(links, Err(Error::Source(_))));
        }
        // Nobody reads it.
        let (files, links) = without_links(pieces(&packed(|tar| {
            for n in 0..2000 {
                let text: String =
                    (0..1000_u32).map(|m| char::from(b'a' + ((m * m * 7 + n) % 26) as u8)).collect();
                add(tar, EntryType::Regular, &n.to_string(), &text);
            }
        })));
        drop(files);
        assert!(links.await.is_err());
    }

    #[tokio::test]
    async fn a_single_file_comes_out_of_its_archive_whole_or_with_an_error() {
        let text = "some words\n".repeat(20_000);
        let archive = packed(|tar| add(tar, EntryType::Regular, "a", &text));
        assert_eq!(all(only_member(pieces(&archive))).await.unwrap(), text.as_bytes());
        assert!(all(only_member(pieces(&archive[..archive.len() / 2]))).await.is_err());
        assert!(all(only_member(pieces(&packed(|_| {})))).await.is_err());
    }
}
