//! The original's endpoints, which any buildlet has.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;

use crate::client::{BuildletClient, query};
use crate::error::Error;
use crate::stream::OutputStream;

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct LsRequest {
    /// Relative to the work directory; empty is the work directory itself.
    pub dir: String,
    /// Also what is in the directories beneath.
    pub recursive: bool,
    /// With the SHA-1 of every regular file.
    pub digest: bool,
    /// Directories, relative to `dir`, left out with all that is in them.
    pub skip: Vec<String>,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LsEntry {
    /// The mode as Go writes it, for example `-rw-r--r--` or `Lrwxrwxrwx`.
    pub mode: String,
    /// Relative to the listed directory; a directory ends in `/`.
    pub path: String,
    /// Of a regular file, in bytes.
    pub size: Option<u64>,
    /// Of a regular file: RFC 3339, UTC, whole seconds.
    pub modified: Option<String>,
    /// Of a regular file, if asked for: SHA-1 in lower-case hex.
    pub digest: Option<String>,
}

/// How the original `/exec` finds the program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OriginalMode {
    /// Relative to the work directory.
    #[default]
    Workdir,
    /// Through PATH.
    System,
}

/// A command for the original `/exec`, which ends with its connection.
#[derive(Debug, Clone, Default)]
pub struct OriginalExec {
    /// The program.
    pub cmd: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// How to find it.
    pub mode: OriginalMode,
    /// Where to run it; empty lets the buildlet choose.
    pub dir: String,
    /// `KEY=value`.
    pub env: Vec<String>,
    /// Elements of PATH; `$PATH`, `$WORKDIR` and `$EMPTY` are replaced.
    pub path: Vec<String>,
    /// Whether what is run is told first.
    pub debug: bool,
}

impl OriginalExec {
    fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("cmd", &self.cmd);
        form.extend_pairs(self.args.iter().map(|arg| ("cmdArg", arg)));
        form.append_pair("debug", if self.debug { "true" } else { "false" }).append_pair("dir", &self.dir);
        form.extend_pairs(self.env.iter().map(|env| ("env", env)));
        form.append_pair("mode", if self.mode == OriginalMode::System { "sys" } else { "" });
        form.extend_pairs(self.path.iter().map(|path| ("path", path)));
        form.finish()
    }
}

/// How a command of the original `/exec` ended, as its trailer `Process-State` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessState {
    /// It exited by itself, with this code.
    Exited(i32),
    /// A signal of this number ended it.
    Signaled(i32),
    /// It could not be started, or ended in a way that only its system has: in the buildlet's words.
    Other(String),
}

/// Names of the signals 1 to 31 of Linux, as Go writes them.
const SIGNALS: [&str; 31] = [
    "hangup",
    "interrupt",
    "quit",
    "illegal instruction",
    "trace/breakpoint trap",
    "aborted",
    "bus error",
    "floating point exception",
    "killed",
    "user defined signal 1",
    "segmentation fault",
    "user defined signal 2",
    "broken pipe",
    "alarm clock",
    "terminated",
    "stack fault",
    "child exited",
    "continued",
    "stopped (signal)",
    "stopped",
    "stopped (tty input)",
    "stopped (tty output)",
    "urgent I/O condition",
    "CPU time limit exceeded",
    "file size limit exceeded",
    "virtual timer expired",
    "profiling timer expired",
    "window changed",
    "I/O possible",
    "power failure",
    "bad system call",
];

impl ProcessState {
    /// Reads the trailer's text.
    #[must_use]
    pub fn parse(text: &str) -> ProcessState {
        let other = || ProcessState::Other(text.to_owned());
        if text == "ok" {
            return ProcessState::Exited(0);
        }
        if let Some(code) = text.strip_prefix("exit status ") {
            // Great codes of Windows are written in hex; they are the bits of a number with a sign.
            let code = match code.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok().map(u32::cast_signed),
                None => code.parse().ok(),
            };
            return code.map_or_else(other, ProcessState::Exited);
        }
        let Some(name) = text.strip_prefix("signal: ") else { return other() };
        let name = name.strip_suffix(" (core dumped)").unwrap_or(name);
        let known = SIGNALS.iter().position(|known| *known == name).and_then(|at| i32::try_from(at + 1).ok());
        let numbered = || name.strip_prefix("signal ")?.parse().ok();
        known.or_else(numbered).map_or_else(other, ProcessState::Signaled)
    }
}

impl BuildletClient {
    /// Lists a directory beneath the work directory.
    ///
    /// [`Error::Protocol`] if a name in it has a tab or the end of a line: [`BuildletClient::ls_text`] has it as it came.
    pub async fn ls(&self, request: &LsRequest) -> Result<Vec<LsEntry>, Error> {
        let parse = |line: &str| {
            parse_ls(line).ok_or_else(|| Error::Protocol { what: format!("listing line {line:?}") })
        };
        self.ls_text(request).await?.lines().map(parse).collect()
    }

    /// The same as the buildlet writes it: a line for each, of fields with tabs between them.
    pub async fn ls_text(&self, request: &LsRequest) -> Result<String, Error> {
        let yes_no = |b: bool| if b { "true" } else { "false" };
        let mut pairs = vec![
            ("dir", request.dir.as_str()),
            ("recursive", yes_no(request.recursive)),
            ("digest", yes_no(request.digest)),
        ];
        pairs.extend(request.skip.iter().map(|skip| ("skip", skip.as_str())));
        let bytes = self.get_text(&query("/ls", &pairs)).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Removes files and directories beneath the work directory; a missing one is fine.
    pub async fn remove_all(&self, paths: &[&str]) -> Result<(), Error> {
        let form = {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(paths.iter().map(|path| ("path", path)));
            form.finish()
        };
        self.post_form("/removeall", form, Duration::from_secs(600)).await?;
        Ok(())
    }

    /// Returns the absolute path of the work directory on the worker.
    pub async fn workdir(&self) -> Result<String, Error> {
        let bytes = self.get_text("/workdir").await?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Runs a command by the original `/exec`, against any buildlet; dropping the stream ends it.
    ///
    /// After the stream's end, its trailer `Process-State` is `ok` or says what happened.
    pub async fn exec_original(&self, exec: &OriginalExec) -> Result<OutputStream, Error> {
        self.stream_form("/exec", exec.form()).await
    }

    /// Writes one file beneath the work directory, as it comes. The mode is Go's number of it.
    ///
    /// An error of the stream becomes [`Error::Source`]; what was written until then stays.
    pub async fn write_stream(
        &self,
        path: &str,
        go_mode: u32,
        body: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    ) -> Result<(), Error> {
        self.put_stream(&query("/write", &[("path", path), ("mode", &go_mode.to_string())]), body).await
    }
}

pub(crate) fn parse_ls(line: &str) -> Option<LsEntry> {
    let mut fields = line.split('\t');
    let mode = fields.next()?.to_owned();
    let path = fields.next()?.to_owned();
    let size = match fields.next() {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    let modified = fields.next().map(str::to_owned);
    let digest = fields.next().map(str::to_owned);
    Some(LsEntry { mode, path, size, modified, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trailer_says_code_signal_or_why_it_did_not_start() {
        use ProcessState::{Exited, Other, Signaled};
        for (text, state) in [
            ("ok", Exited(0)),
            ("exit status 3", Exited(3)),
            ("exit status 0xc0000005", Exited(-1_073_741_819)),
            ("signal: killed", Signaled(9)),
            ("signal: segmentation fault (core dumped)", Signaled(11)),
            ("signal: bad system call", Signaled(31)),
            ("signal: signal 34", Signaled(34)),
        ] {
            assert_eq!(ProcessState::parse(text), state, "{text}");
        }
        for text in [
            "",
            "exit status",
            "exit status x",
            "exit status: 'sh 7: 1'",
            "signal: none such",
            "fork/exec /x: no",
        ] {
            assert_eq!(ProcessState::parse(text), Other(text.to_owned()));
        }
    }

    #[test]
    fn listing_lines_of_the_original_are_parsed() {
        let file = parse_ls("-rw-r-----\tx/y/f\t3\t2017-07-01T10:00:00Z\t55ca").unwrap();
        assert_eq!((file.size, file.digest.as_deref()), (Some(3), Some("55ca")));
        let link = parse_ls("Lrwxrwxrwx\tsym").unwrap();
        assert_eq!((link.mode.as_str(), link.path.as_str(), link.size), ("Lrwxrwxrwx", "sym", None));
        assert_eq!(parse_ls("-rw-r-----\tf\tmany"), None);
        assert_eq!(parse_ls("no tab"), None);
    }
}
