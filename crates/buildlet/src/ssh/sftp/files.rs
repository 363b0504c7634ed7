//! What is asked of files, and done to them.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

use crate::sys::FileExt as _;
use crate::sys::fs::futimens;

use super::answer::{self, Answer, Failure, Name};
use super::attributes::Attributes;
use super::fields::{Fields, Packet};
use super::{LONGEST, MOST, system};

/// Files and directories that are open at once.
const HANDLES: usize = 128;
/// Entries of a directory in one answer: the longest names, twice each, fit a packet.
const ENTRIES: usize = 100;
/// The version that is spoken.
const SPOKEN: u32 = 3;
/// What is known beside it, each in its first version.
const EXTENSIONS: [&str; 5] = [
    "posix-rename@openssh.com",
    "hardlink@openssh.com",
    "fsync@openssh.com",
    "lsetstat@openssh.com",
    "limits@openssh.com",
];

/// What a client has open.
#[derive(Default)]
pub(super) struct Files {
    open: HashMap<u32, Open>,
    opened: u32,
}

enum Open {
    File(File),
    Directory { path: PathBuf, entries: Box<ReadDir>, begun: bool },
}

/// Whether a link is followed to what it names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    Follow,
    Keep,
}

impl Files {
    /// Answers a packet; there is none to one that has not even a number.
    pub(super) fn answer(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut fields = Fields(packet);
        let kind = fields.u8().ok()?;
        // What a client can speak beyond that, we do not.
        if kind == 1 {
            let packet = Packet::new(answer::VERSION).u32(SPOKEN);
            let known = |packet: Packet, name: &&str| packet.bytes(name.as_bytes()).bytes(b"1");
            return Some(EXTENSIONS.iter().fold(packet, known).end());
        }
        let id = fields.u32().ok()?;
        Some(answer::write(id, self.serve(kind, &mut fields)))
    }

    fn serve(&mut self, kind: u8, fields: &mut Fields<'_>) -> Result<Answer, Failure> {
        match kind {
            3 => self.open(fields),
            4 => self.close(fields.handle()?),
            5 => self.read(fields.handle()?, fields.u64()?, fields.u32()?),
            6 => self.write(fields.handle()?, fields.u64()?, fields.bytes()?),
            7 => Ok(Answer::Attributes(fs::symlink_metadata(fields.path()?)?)),
            8 => Ok(Answer::Attributes(self.file(fields.handle()?)?.metadata()?)),
            9 => change(&fields.path()?, &Attributes::read(fields)?, Links::Follow),
            10 => {
                let handle = fields.handle()?;
                change_open(self.file(handle)?, &Attributes::read(fields)?)
            }
            11 => self.open_directory(&fields.path()?),
            12 => self.list(fields.handle()?),
            13 => done(system::remove_file(&fields.path()?)),
            14 => {
                let path = fields.path()?;
                let mode = Attributes::read(fields)?.permissions.unwrap_or(0o777);
                done(system::make_directory(&path, mode))
            }
            15 => done(fs::remove_dir(fields.path()?)),
            16 => Ok(one_name(&real(&fields.path()?)?)),
            17 => Ok(Answer::Attributes(fs::metadata(fields.path()?)?)),
            18 => rename(&fields.path()?, &fields.path()?),
            19 => Ok(one_name(&fs::read_link(fields.path()?)?)),
            // First what it leads to: every implementation has it so, whatever the draft says.
            20 => done(system::symlink(&fields.target()?, &fields.path()?)),
            200 => self.extended(fields),
            kind => Err(Failure::Unknown(kind.to_string())),
        }
    }

    fn extended(&mut self, fields: &mut Fields<'_>) -> Result<Answer, Failure> {
        match fields.bytes()? {
            b"posix-rename@openssh.com" => done(fs::rename(fields.path()?, fields.path()?)),
            b"hardlink@openssh.com" => done(fs::hard_link(fields.path()?, fields.path()?)),
            b"fsync@openssh.com" => done(self.file(fields.handle()?)?.sync_all()),
            b"lsetstat@openssh.com" => change(&fields.path()?, &Attributes::read(fields)?, Links::Keep),
            b"limits@openssh.com" => {
                Ok(Answer::Limits { packet: LONGEST as u64, data: MOST as u64, handles: HANDLES as u64 })
            }
            name => Err(Failure::Unknown(String::from_utf8_lossy(name).chars().take(64).collect())),
        }
    }

    fn file(&self, handle: u32) -> Result<&File, Failure> {
        match self.open.get(&handle) {
            Some(Open::File(file)) => Ok(file),
            _ => Err(Failure::Refused("there is no such open file")),
        }
    }

    fn keep(&mut self, open: impl FnOnce() -> io::Result<Open>) -> Result<Answer, Failure> {
        if self.open.len() >= HANDLES {
            return Err(Failure::Refused("too many files are open"));
        }
        let open = open()?;
        // After so many, an early one may still be there.
        while self.open.contains_key(&self.opened) {
            self.opened = self.opened.wrapping_add(1);
        }
        self.open.insert(self.opened, open);
        Ok(Answer::Handle(self.opened))
    }

    fn open(&mut self, fields: &mut Fields<'_>) -> Result<Answer, Failure> {
        let (path, flags) = (fields.path()?, fields.u32()?);
        let attributes = Attributes::read(fields)?;
        let has = |flag: u32| flags & flag != 0;
        let mut options = OpenOptions::new();
        options.read(has(1));
        system::with_mode(&mut options, attributes.permissions.unwrap_or(0o666));
        if has(4) {
            options.append(true);
        } else {
            options.write(has(2)).truncate(has(16));
        }
        options.create(has(8)).create_new(has(8) && has(32));
        self.keep(|| Ok(Open::File(options.open(path)?)))
    }

    fn close(&mut self, handle: u32) -> Result<Answer, Failure> {
        match self.open.remove(&handle) {
            Some(_closed) => Ok(Answer::Done),
            None => Err(Failure::Refused("there is no such open file")),
        }
    }

    fn read(&self, handle: u32, from: u64, length: u32) -> Result<Answer, Failure> {
        let mut data = vec![0; usize::try_from(length).unwrap_or(MOST).min(MOST)];
        let read = system::read_at(self.file(handle)?, &mut data, from)?;
        data.truncate(read);
        if data.is_empty() && length > 0 { Err(Failure::End) } else { Ok(Answer::Data(data)) }
    }

    fn write(&self, handle: u32, at: u64, data: &[u8]) -> Result<Answer, Failure> {
        done(self.file(handle)?.write_all_at(data, at))
    }

    fn open_directory(&mut self, path: &Path) -> Result<Answer, Failure> {
        self.keep(|| {
            let entries = Box::new(fs::read_dir(path)?);
            Ok(Open::Directory { path: path.to_owned(), entries, begun: false })
        })
    }

    fn list(&mut self, handle: u32) -> Result<Answer, Failure> {
        let Some(Open::Directory { path, entries, begun }) = self.open.get_mut(&handle) else {
            return Err(Failure::Refused("there is no such open directory"));
        };
        let mut names = Vec::new();
        if !std::mem::replace(begun, true) {
            for dots in [".", ".."] {
                names.push(Name { name: dots.into(), file: fs::metadata(path.join(dots)).ok() });
            }
        }
        for entry in entries.by_ref().take(ENTRIES) {
            let entry = entry?;
            // It may be gone already; then its name is all there is.
            names.push(Name { name: system::name(&entry.file_name()), file: entry.metadata().ok() });
        }
        if names.is_empty() { Err(Failure::End) } else { Ok(Answer::Names(names)) }
    }
}

fn done(result: io::Result<()>) -> Result<Answer, Failure> {
    Ok(result.map(|()| Answer::Done)?)
}

fn one_name(path: &Path) -> Answer {
    Answer::Names(vec![Name { name: system::path_name(path), file: None }])
}

/// The path from the root, without links; its last part need not be there.
fn real(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(name) = path.file_name() else { return Err(error) };
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            Ok(parent.unwrap_or(Path::new(".")).canonicalize()?.join(name))
        }
        real => real,
    }
}

/// Renames what does not replace anything; what may has a request of its own.
fn rename(from: &Path, to: &Path) -> Result<Answer, Failure> {
    if to.symlink_metadata().is_ok() {
        return Err(Failure::Refused("there is something of that name already"));
    }
    done(fs::rename(from, to))
}

fn change(path: &Path, attributes: &Attributes, links: Links) -> Result<Answer, Failure> {
    if let Some(size) = attributes.size {
        if links == Links::Keep {
            return Err(Failure::Refused("a link has no size to change"));
        }
        OpenOptions::new().write(true).open(path)?.set_len(size)?;
    }
    if let Some(mode) = attributes.permissions {
        if links == Links::Keep && path.symlink_metadata()?.is_symlink() {
            return Err(Failure::Refused("a link has no mode to change"));
        }
        system::set_mode(path, mode)?;
    }
    if let Some(times) = attributes.timestamps() {
        system::set_times(path, &times, links)?;
    }
    if let Some((user, group)) = attributes.owner {
        system::set_owner(path, user, group, links)?;
    }
    Ok(Answer::Done)
}

fn change_open(file: &File, attributes: &Attributes) -> Result<Answer, Failure> {
    if let Some(size) = attributes.size {
        file.set_len(size)?;
    }
    if let Some(mode) = attributes.permissions {
        system::set_mode_of(file, mode)?;
    }
    if let Some(times) = attributes.timestamps() {
        futimens(file, &times)?;
    }
    if let Some((user, group)) = attributes.owner {
        system::set_owner_of(file, user, group)?;
    }
    Ok(Answer::Done)
}
