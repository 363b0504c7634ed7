//! `gomote push`: makes a directory of a machine like a work tree here, and sends what differs.
//!
//! What git ignores stays out of it on both sides: it is neither sent nor removed, so that what was built there is still there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use gomote::{ListDirectoryRequest, RemoveFilesRequest};
use sha1::{Digest as _, Sha1};

use super::carry::{unpack, upload};
use super::desk::Desk;
use super::several;
use crate::args::Push;

/// Of a Go tree: says which Go it is, where git does not.
const VERSION: &str = "VERSION";
/// What buildlets make beside the trees.
const OF_BUILDLETS: [&str; 3] = ["tmp", "gocache", "goplscache"];
/// Where a Go tree says its number.
const GO_VERSION: &str = "src/internal/goversion/goversion.go";

/// A file as both sides can compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// SHA-1 of its content, and whether it may be run.
    File(String, bool),
    /// A link's target is not listed.
    Link,
}

type Tree = BTreeMap<String, Entry>;

/// What is on the machine.
#[derive(Debug, Default)]
struct Remote {
    tree: Tree,
    dirs: BTreeSet<String>,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    send: Vec<String>,
    remove: Vec<String>,
}

pub(super) async fn run(args: &Push) -> Result<()> {
    let desk = Desk::new(&args.server)?;
    let names = several::all(&desk, &args.server, &args.name).await?;
    let alone = names.len() == 1;
    several::each(names, async |name| to_one(&desk, args, name, alone).await).await?;
    Ok(())
}

async fn to_one(desk: &Desk, args: &Push, gomote_id: String, alone: bool) -> Result<()> {
    let root = root(args.dir.as_deref())?;
    let to = match &args.to {
        Some(to) => to.trim_end_matches('/').to_owned(),
        None => root.file_name().context("/ is no work tree")?.to_string_lossy().into_owned(),
    };
    let outside = to.is_empty() || to.starts_with('/') || to.split('/').any(|part| part == "..");
    ensure!(!outside, "--to {:?} is not beneath the work directory", args.to.as_deref().unwrap_or(&to));
    let (paths, submodules) = (files(&root)?, submodules(&root)?);
    let here = {
        let (root, paths) = (root.clone(), paths);
        tokio::task::spawn_blocking(move || digests(&root, paths)).await??
    };
    let mut there = listed(desk, &gomote_id, &to).await?;
    // What is in a repository within this one is its own.
    let within = |path: &String| submodules.iter().any(|module| is_beneath(path, module));
    there.tree.retain(|path, _| !within(path));
    there.dirs.retain(|path| !within(path));
    let in_the_way = in_the_way(&here, &there);
    let only_there = there.tree.keys().filter(|path| !here.contains_key(*path));
    // Of what goes anyhow git need not be asked; beyond a link it would not answer.
    let asked: Vec<&String> = only_there
        .filter(|path| !in_the_way.iter().any(|gone| *path == gone || is_beneath(path, gone)))
        .collect();
    let ignored = ignored(&root, &asked)?;
    let difference = difference(&here, &there.tree, &ignored, in_the_way);
    let version = go_version(&root, &here, &there.tree)?;
    let whose = if alone { String::new() } else { format!("{gomote_id}: ") };
    if args.dry_run {
        difference.remove.iter().for_each(|path| println!("{whose}- {path}"));
        difference.send.iter().for_each(|path| println!("{whose}+ {path}"));
        version.iter().for_each(|_| println!("{whose}+ {VERSION}"));
        return Ok(());
    }
    if !difference.remove.is_empty() {
        let paths = difference.remove.iter().map(|path| format!("{to}/{path}")).collect();
        let request = RemoveFilesRequest { gomote_id: gomote_id.clone(), paths };
        desk.done(|mut api| async move { api.remove_files(request).await }).await?;
    }
    let (sent, removed) = (difference.send.len() + usize::from(version.is_some()), difference.remove.len());
    if sent > 0 {
        let archive = {
            let root = root.clone();
            tokio::task::spawn_blocking(move || packed(&root, &difference.send, version.as_deref())).await??
        };
        let url = upload(desk, tokio::fs::File::from_std(archive)).await?;
        unpack(desk, gomote_id, url, to.clone()).await?;
    }
    eprintln!("{whose}{to}: {sent} sent, {removed} removed, of {}", here.len());
    Ok(())
}

fn is_beneath(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

/// What must go there before something of here can take its place: a directory where a file is to be, and the reverse.
fn in_the_way(here: &Tree, there: &Remote) -> BTreeSet<String> {
    let mut gone: BTreeSet<String> = here.keys().filter(|path| there.dirs.contains(*path)).cloned().collect();
    for path in here.keys() {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        gone.extend(above.filter(|dir| there.tree.contains_key(*dir)).map(str::to_owned));
    }
    gone
}

/// The work tree that is meant.
fn root(dir: Option<&Path>) -> Result<PathBuf> {
    let dir = dir.unwrap_or(Path::new("."));
    let said = git(dir, &["rev-parse", "--show-toplevel"], None)
        .with_context(|| format!("{} is not in a git work tree", dir.display()))?;
    let top = String::from_utf8(said).context("a path that is not UTF-8")?;
    Ok(PathBuf::from(top.trim_end_matches('\n')))
}

fn git(dir: &Path, args: &[&str], input: Option<&[u8]>) -> Result<Vec<u8>> {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().context("running git")?;
    let writer = child.stdin.take().zip(input.map(<[u8]>::to_vec)).map(|(mut stdin, input)| {
        // What git does not read any more, it does not need.
        std::thread::spawn(move || drop(stdin.write_all(&input)))
    });
    let output = child.wait_with_output().context("running git")?;
    if let Some(writer) = writer {
        let _ = writer.join();
    }
    // `check-ignore` says by 1 that nothing is ignored.
    let fine =
        output.status.success() || (args.first() == Some(&"check-ignore") && output.status.code() == Some(1));
    if !fine {
        bail!("git {}: {}", args[0], String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// Paths between zero bytes.
fn parted(bytes: &[u8]) -> Result<Vec<String>> {
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            String::from_utf8(part.to_vec()).map_err(|error| {
                anyhow!(
                    "the name of {:?} is not UTF-8, which can't be sent",
                    String::from_utf8_lossy(error.as_bytes())
                )
            })
        })
        .collect()
}

/// What git knows, and what it does not ignore.
fn files(root: &Path) -> Result<Vec<String>> {
    let mut paths =
        parted(&git(root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"], None)?)?;
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Directories that are repositories of their own, by what git knows.
fn submodules(root: &Path) -> Result<Vec<String>> {
    let staged = parted(&git(root, &["ls-files", "-z", "--stage"], None)?)?;
    let path = |line: &String| Some(line.strip_prefix("160000 ")?.split_once('\t')?.1.to_owned());
    Ok(staged.iter().filter_map(path).collect())
}

fn ignored(root: &Path, paths: &[&String]) -> Result<BTreeSet<String>> {
    if paths.is_empty() {
        return Ok(BTreeSet::new());
    }
    let input: Vec<u8> = paths.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
    Ok(parted(&git(root, &["check-ignore", "--stdin", "-z"], Some(&input))?)?.into_iter().collect())
}

/// What of the paths is there, with digests. What is neither a file nor a link (a submodule) is left out.
fn digests(root: &Path, paths: Vec<String>) -> Result<Tree> {
    let mut tree = Tree::new();
    for path in paths {
        let at = root.join(&path);
        let Ok(about) = std::fs::symlink_metadata(&at) else { continue };
        let entry = if about.is_symlink() {
            Entry::Link
        } else if about.is_file() {
            let mut file = std::fs::File::open(&at).with_context(|| format!("reading {}", at.display()))?;
            let (mut digest, mut buffer) = (Sha1::new(), vec![0; 64 << 10]);
            loop {
                let read = file.read(&mut buffer).with_context(|| format!("reading {}", at.display()))?;
                if read == 0 {
                    break;
                }
                digest.update(&buffer[..read]);
            }
            Entry::File(hex::encode(digest.finalize()), about.permissions().mode() & 0o100 != 0)
        } else {
            continue;
        };
        tree.insert(path, entry);
    }
    Ok(tree)
}

/// What is there, with digests.
async fn listed(desk: &Desk, gomote_id: &str, to: &str) -> Result<Remote> {
    let list = |directory: &str, recursive| ListDirectoryRequest {
        gomote_id: gomote_id.to_owned(),
        directory: directory.to_owned(),
        recursive,
        // The buildlet's own, where it is asked for all.
        skip_files: if to == "." { OF_BUILDLETS.map(str::to_owned).into() } else { Vec::new() },
        digest: recursive,
    };
    // One that is not there can't be listed.
    let (above, name) = to.rsplit_once('/').unwrap_or((".", to));
    let mut there = Remote::default();
    if name != "." {
        let request = list(above, false);
        let listed = desk.done(|mut api| async move { api.list_directory_streaming(request).await }).await;
        let mut found = false;
        // Nor is what is in one that is not there.
        let Ok(mut listed) = listed else { return Ok(there) };
        while let Some(some) = desk.hint(listed.message().await)? {
            found |= some.entries.iter().any(|line| line.split('\t').nth(1) == Some(&format!("{name}/")));
        }
        if !found {
            return Ok(there);
        }
    }
    let request = list(to, true);
    let mut listed = desk.done(|mut api| async move { api.list_directory_streaming(request).await }).await?;
    while let Some(some) = desk.hint(listed.message().await)? {
        for line in &some.entries {
            match line.split('\t').nth(1).and_then(|path| path.strip_suffix('/')) {
                Some(dir) => {
                    there.dirs.insert(dir.to_owned());
                }
                None => there.tree.extend(entry(line)),
            }
        }
    }
    Ok(there)
}

/// An entry of a listing's line; directories are none.
fn entry(line: &str) -> Option<(String, Entry)> {
    let fields: Vec<&str> = line.split('\t').collect();
    match fields[..] {
        [_, path] if path.ends_with('/') => None,
        [mode, path] if mode.starts_with('L') => Some((path.to_owned(), Entry::Link)),
        [mode, path, _, _, digest] => {
            // The nine letters of permissions are the last.
            let runs = mode.len() >= 9 && mode.as_bytes()[mode.len() - 7] == b'x';
            Some((path.to_owned(), Entry::File(digest.to_owned(), runs)))
        }
        _ => None,
    }
}

fn difference(
    here: &Tree,
    there: &Tree,
    ignored: &BTreeSet<String>,
    in_the_way: BTreeSet<String>,
) -> Difference {
    let same = |path: &String, entry: &Entry| match entry {
        // Where it leads is not listed: it is sent each time, which costs a hundred bytes.
        Entry::Link => false,
        entry => there.get(path) == Some(entry),
    };
    let send = here.iter().filter(|(path, entry)| !same(path, entry)).map(|(path, _)| path.clone());
    // Of a Go tree, we may have made it.
    let kept = |path: &str| path == VERSION && here.contains_key(GO_VERSION);
    let gone = |path: &&String| !here.contains_key(*path) && !ignored.contains(*path) && !kept(path);
    let mut remove = in_the_way;
    let more: Vec<String> = there.keys().filter(gone).cloned().collect();
    // What is beneath something that goes, goes with it.
    remove.extend(
        more.into_iter()
            .filter(|path| !path.match_indices('/').any(|(at, _)| remove.contains(&path[..at])))
            .collect::<Vec<_>>(),
    );
    Difference { send: send.collect(), remove: remove.into_iter().collect() }
}

/// What `VERSION` of a Go tree is to say, if there is none on either side.
fn go_version(root: &Path, here: &Tree, there: &Tree) -> Result<Option<String>> {
    if here.contains_key(VERSION) || there.contains_key(VERSION) || !here.contains_key(GO_VERSION) {
        return Ok(None);
    }
    let text =
        std::fs::read_to_string(root.join(GO_VERSION)).with_context(|| format!("reading {GO_VERSION}"))?;
    let number = text.lines().find_map(|line| line.trim().strip_prefix("const Version = "));
    let number = number.with_context(|| format!("{GO_VERSION} names no version"))?.trim();
    Ok(Some(format!("go1.{number}-devel_gomote\n")))
}

/// The files in a tar.gz that is deleted already.
fn packed(root: &Path, paths: &[String], version: Option<&str>) -> Result<std::fs::File> {
    use std::io::Seek as _;
    let file = tempfile::tempfile().context("making a temporary file")?;
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
    tar.follow_symlinks(false);
    for path in paths {
        tar.append_path_with_name(root.join(path), path).with_context(|| format!("packing {path}"))?;
    }
    if let Some(version) = version {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(version.len() as u64);
        tar.append_data(&mut header, VERSION, version.as_bytes())?;
    }
    let mut file = tar.into_inner()?.finish()?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(digest: &str, runs: bool) -> Entry {
        Entry::File(digest.to_owned(), runs)
    }

    #[test]
    fn lines_of_a_listing_are_entries() {
        let lines = [
            "drwxr-xr-x\tx/",
            "-rw-r--r--\tx/f\t3\t2017-07-01T10:00:00Z\t55ca",
            "-rwxr-xr-x\tx/run\t3\t2017-07-01T10:00:00Z\t66ca",
            "urwxr-xr-x\tx/su\t3\t2017-07-01T10:00:00Z\t77ca",
            "Lrwxrwxrwx\tsym",
        ];
        let tree: Tree = lines.iter().filter_map(|line| entry(line)).collect();
        let expected = [
            ("sym".to_owned(), Entry::Link),
            ("x/f".to_owned(), file("55ca", false)),
            ("x/run".to_owned(), file("66ca", true)),
            ("x/su".to_owned(), file("77ca", true)),
        ];
        assert_eq!(tree, expected.into());
    }

    #[test]
    fn only_what_differs_is_sent_and_only_what_is_nobodys_removed() {
        let tree = |entries: &[(&str, Entry)]| -> Tree {
            entries.iter().map(|(path, entry)| ((*path).to_owned(), entry.clone())).collect()
        };
        let here = tree(&[
            ("same", file("a", false)),
            ("changed", file("b", false)),
            ("runs-now", file("c", true)),
            ("new", file("d", false)),
            ("link", Entry::Link),
        ]);
        let there = tree(&[
            ("same", file("a", false)),
            ("changed", file("x", false)),
            ("runs-now", file("c", false)),
            ("built.o", file("e", false)),
            ("old", file("f", false)),
            ("VERSION", file("g", false)),
        ]);
        let difference = super::difference(&here, &there, &["built.o".to_owned()].into(), BTreeSet::new());
        assert_eq!(difference.send, ["changed", "link", "new", "runs-now"]);
        assert_eq!(difference.remove, ["VERSION", "old"], "it is no Go tree");
    }

    #[test]
    fn a_file_takes_the_place_of_a_directory_and_the_reverse() {
        let here: Tree = [("d".to_owned(), file("a", false)), ("x/y/f".to_owned(), Entry::Link)].into();
        let tree: Tree = [("d/built.o".to_owned(), file("b", false)), ("x".to_owned(), Entry::Link)].into();
        let there = Remote { tree, dirs: ["d".to_owned(), "other".to_owned()].into() };
        let gone = in_the_way(&here, &there);
        assert_eq!(gone, ["d".to_owned(), "x".to_owned()].into());
        let difference = super::difference(&here, &there.tree, &BTreeSet::new(), gone);
        assert_eq!(difference.remove, ["d", "x"]);
    }
}
