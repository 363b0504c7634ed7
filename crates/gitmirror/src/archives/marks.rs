//! What is to be known of an archive without reading it: noted in the comment of its gzip head, so that it is kept and
//! lost with the archive itself.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use flate2::{GzBuilder, read::GzDecoder};

/// The most bytes that the head has.
pub(super) const HEAD: usize = 64;
const SUBMODULES: &str = "submodules";
const GITMODULES: &[u8] = b".gitmodules";

/// Begins an archive of the tar of which this is the beginning.
///
/// Git writes names in order, and nearly all come after `.gitmodules`; where it lies beyond the first piece, the mark is
/// not made.
pub(super) fn start<W: Write>(to: W, tar: &[u8]) -> GzEncoder<W> {
    let builder = GzBuilder::new();
    let builder = if lists_gitmodules(tar) { builder.comment(SUBMODULES) } else { builder };
    builder.write(to, Compression::fast())
}

fn lists_gitmodules(tar: &[u8]) -> bool {
    let mut archive = tar::Archive::new(tar);
    let Ok(entries) = archive.entries() else { return false };
    entries.map_while(Result::ok).any(|entry| *entry.path_bytes() == *GITMODULES)
}

/// Whether the archive that begins so has the mark.
pub(super) fn has_submodules(head: &[u8]) -> bool {
    let decoder = GzDecoder::new(&head[..head.len().min(HEAD)]);
    decoder.header().and_then(|head| head.comment()).is_some_and(|comment| comment == SUBMODULES.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(names: &[&str]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(3);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, &b"abc"[..]).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn the_mark_is_in_the_head_and_changes_no_byte_of_the_tar() {
        for (names, marked) in [
            (&[".gitignore", ".gitmodules", "a"][..], true),
            (&["a", "b/.gitmodules"][..], false),
            (&[][..], false),
        ] {
            let tar = tar(names);
            let mut packer = start(Vec::new(), &tar);
            packer.write_all(&tar).unwrap();
            let packed = packer.finish().unwrap();
            assert_eq!(has_submodules(&packed), marked, "{names:?}");
            assert_eq!(has_submodules(&packed[..packed.len().min(HEAD)]), marked, "{names:?}");
            let mut back = Vec::new();
            std::io::Read::read_to_end(&mut GzDecoder::new(&*packed), &mut back).unwrap();
            assert_eq!(back, tar);
        }
        assert!(!has_submodules(b""));
        assert!(!has_submodules(b"nonsense that is no gzip"));
        assert!(lists_gitmodules(&tar(&[".gitmodules", "a"])[..700]), "cut in the middle of a member");
    }
}
