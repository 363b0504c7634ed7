//! Answers, and the reasons why there is no better one.

use std::fs::Metadata;
use std::io;

use crate::sys::Errno;

use super::attributes;
use super::fields::{Malformed, Packet};

pub(super) const VERSION: u8 = 2;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const EXTENDED_REPLY: u8 = 201;

const OK: u32 = 0;
const EOF: u32 = 1;
const NO_SUCH_FILE: u32 = 2;
const PERMISSION_DENIED: u32 = 3;
const FAILURE: u32 = 4;
const BAD_MESSAGE: u32 = 5;
const UNSUPPORTED: u32 = 8;

/// What a request leads to.
pub(super) enum Answer {
    Done,
    Handle(u32),
    Data(Vec<u8>),
    Names(Vec<Name>),
    Attributes(Metadata),
    Limits { packet: u64, data: u64, handles: u64 },
}

/// One entry of a directory, or one path.
pub(super) struct Name {
    pub(super) name: Vec<u8>,
    /// What it is, if that was looked at.
    pub(super) file: Option<Metadata>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("there is no more")]
    End,
    #[error("the request is malformed")]
    Malformed,
    #[error("this server does not know the request {0:?}")]
    Unknown(String),
    #[error("{0}")]
    Refused(&'static str),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

impl Failure {
    fn code(&self) -> u32 {
        match self {
            Self::End => EOF,
            Self::Malformed => BAD_MESSAGE,
            Self::Unknown(_) => UNSUPPORTED,
            Self::Refused(_) => FAILURE,
            Self::Io(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => NO_SUCH_FILE,
                io::ErrorKind::PermissionDenied => PERMISSION_DENIED,
                io::ErrorKind::UnexpectedEof => EOF,
                _ => FAILURE,
            },
        }
    }
}

/// Writes the answer to a request.
pub(super) fn write(id: u32, result: Result<Answer, Failure>) -> Vec<u8> {
    let status =
        |code: u32, text: &str| Packet::new(STATUS).u32(id).u32(code).bytes(text.as_bytes()).bytes(b"");
    let packet = match result {
        Ok(Answer::Done) => status(OK, "done"),
        Ok(Answer::Handle(handle)) => Packet::new(HANDLE).u32(id).bytes(&handle.to_be_bytes()),
        Ok(Answer::Data(data)) => Packet::new(DATA).u32(id).bytes(&data),
        Ok(Answer::Attributes(file)) => attributes::write(Packet::new(ATTRS).u32(id), &file),
        Ok(Answer::Names(names)) => {
            let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
            names.iter().fold(
                Packet::new(NAME).u32(id).u32(count),
                |packet, Name { name, file }| match file {
                    Some(file) => {
                        let line = attributes::line(&String::from_utf8_lossy(name), file);
                        attributes::write(packet.bytes(name).bytes(line.as_bytes()), file)
                    }
                    // No attribute at all.
                    None => packet.bytes(name).bytes(name).u32(0),
                },
            )
        }
        Ok(Answer::Limits { packet, data, handles }) => {
            Packet::new(EXTENDED_REPLY).u32(id).u64(packet).u64(data).u64(data).u64(handles)
        }
        Err(failure) => status(failure.code(), &failure.to_string()),
    };
    packet.end()
}
