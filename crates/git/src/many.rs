//! Two programs that stay and answer for many objects, one after the other: what an object says, and what a commit did to
//! files. A process for each of a hundred thousand commits would take an hour.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

use crate::error::classify;
use crate::group::Running;
use crate::{Error, ObjectId, Repository};

/// Objects that are asked for at once: their names have to fit in a pipe (64 KiB), since nobody reads answers while they are
/// written.
const MOST: usize = 512;
/// The longest line that is no row of a file: an object's name, kind and size.
const LONGEST_LINE: u64 = 4096;
/// What is sent behind the last commit; what is no name of an object, `git diff-tree` repeats.
const MARK: &[u8] = b"that is all\n";
/// Names of a commit's files have no more bytes than this; those beyond are left out.
const MOST_PATHS: usize = 8 << 20;

/// A program with both ends of its conversation. It does not count among the commands that may run at a time: who holds one
/// and waits for a second would wait for others who do the same.
struct Talk {
    what: &'static str,
    place: String,
    running: Running,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    timeout: Duration,
    /// Whether it broke off in the middle of an answer, so that the next one would be taken for another.
    broken: bool,
}

impl Talk {
    async fn start(repository: &Repository, what: &'static str, args: &[&str]) -> Result<Self, Error> {
        let timeout = repository.git.limits().local;
        let call = repository.call([what]).args(args).setting("core.quotePath=true");
        let (running, stdin, stdout) = call.talk().await?;
        let place = repository.dir.display().to_string();
        Ok(Self { what, place, running, stdin, stdout: BufReader::new(stdout), timeout, broken: false })
    }

    fn io(&self, source: std::io::Error) -> Error {
        Error::Io { what: self.what.into(), source }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = async {
            self.stdin.write_all(bytes).await?;
            self.stdin.flush().await
        };
        match written.await {
            Ok(()) => Ok(()),
            // It has ended, and says why elsewhere.
            Err(source) if source.kind() == std::io::ErrorKind::BrokenPipe => Err(self.ended().await),
            Err(source) => Err(self.io(source)),
        }
    }

    /// A line without its end; of a longer one no more than `longest` bytes.
    async fn line(&mut self, longest: u64) -> Result<Vec<u8>, Error> {
        let mut line = Vec::new();
        let read = (&mut self.stdout).take(longest).read_until(b'\n', &mut line).await;
        read.map_err(|source| Error::Io { what: self.what.into(), source })?;
        if line.pop_if(|last| *last == b'\n').is_some() {
            return Ok(line);
        }
        if (line.len() as u64) < longest {
            return Err(self.ended().await);
        }
        loop {
            let part = self.stdout.fill_buf().await;
            let part = part.map_err(|source| Error::Io { what: self.what.into(), source })?;
            if part.is_empty() {
                return Err(self.ended().await);
            }
            let end = part.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(part.len(), |end| end + 1);
            self.stdout.consume(length);
            if end.is_some() {
                return Ok(line);
            }
        }
    }

    async fn ended(&mut self) -> Error {
        match self.running.wait().await {
            Ok((status, words)) => classify(self.what, status.to_string(), &words, None, &self.place),
            Err(source) => self.io(source),
        }
    }

    /// Does one step of the conversation within the time that a command has.
    async fn step<T>(&mut self, step: impl AsyncFnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.broken {
            return Err(Error::Unexpected { what: self.what.into(), detail: "it has broken off".into() });
        }
        // It stays so where the caller goes away meanwhile.
        self.broken = true;
        let (what, limit) = (self.what, self.timeout);
        match tokio::time::timeout(limit, step(self)).await {
            Ok(Ok(done)) => {
                self.broken = false;
                Ok(done)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.running.stop().await;
                Err(Error::Timeout { what: what.into(), limit })
            }
        }
    }
}

fn few(what: &str, ids: &[ObjectId]) -> Result<(), Error> {
    if ids.len() > MOST {
        return Err(Error::TooLarge { what: format!("{what}: asked for more objects"), limit: MOST as u64 });
    }
    Ok(())
}

/// What was found under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its own name: the commit's, where a tag of it was asked for.
    pub id: ObjectId,
    /// What it is: `commit`, `blob`, `tree` or `tag`.
    pub kind: String,
    /// Its length in bytes.
    pub size: u64,
    /// What it says, or the begin of that where it is longer than was asked for.
    pub bytes: Vec<u8>,
}

/// `git cat-file --batch`, which is asked for some objects and then gives one after the other. Dropping it ends it.
pub struct Objects {
    talk: Talk,
}

impl Objects {
    /// Asks for these objects, at most 512; [`Objects::next`] gives them in this order, and has to be called for each before the
    /// next question.
    ///
    /// # Errors
    /// Git has ended.
    pub async fn ask(&mut self, ids: &[ObjectId], peel: Peel) -> Result<(), Error> {
        few("cat-file", ids)?;
        let end = match peel {
            Peel::Nothing => "\n",
            Peel::ToCommit => "^{commit}\n",
        };
        let lines: String = ids.iter().map(|id| format!("{id}{end}")).collect();
        self.talk.step(async |talk| talk.write(lines.as_bytes()).await).await
    }

    /// The next of the objects that were asked for, no more than `longest` bytes of it; `None` where it is not here, or a tag of
    /// something else.
    ///
    /// # Errors
    /// Git has ended, or says something that is not understood.
    pub async fn next(&mut self, longest: usize) -> Result<Option<Object>, Error> {
        self.talk.step(async |talk| object(talk, longest).await).await
    }
}

async fn object(talk: &mut Talk, longest: usize) -> Result<Option<Object>, Error> {
    let line = talk.line(LONGEST_LINE).await?;
    let text = String::from_utf8_lossy(&line);
    if text.ends_with(" missing") || text.ends_with(" ambiguous") {
        return Ok(None);
    }
    let mut words = text.split(' ');
    let read = (|| {
        let id = words.next()?.parse::<ObjectId>().ok()?;
        Some((id, words.next()?.to_owned(), words.next()?.parse::<u64>().ok()?))
    })();
    let Some((id, kind, size)) = read else {
        return Err(Error::Unexpected { what: "cat-file".into(), detail: text.chars().take(200).collect() });
    };
    let kept = usize::try_from(size).map_or(longest, |size| size.min(longest));
    let mut bytes = vec![0; kept];
    let io = |source| Error::Io { what: "cat-file".into(), source };
    talk.stdout.read_exact(&mut bytes).await.map_err(io)?;
    // The rest, and the end of the line behind it.
    let mut rest = (&mut talk.stdout).take(size - kept as u64 + 1);
    tokio::io::copy_buf(&mut rest, &mut tokio::io::sink()).await.map_err(io)?;
    Ok(Some(Object { id, kind, size, bytes }))
}

/// What a name that is asked for stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peel {
    /// The object itself.
    Nothing,
    /// The commit that a tag is of.
    ToCommit,
}

/// A file that a commit changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its name, in quotes where git puts them: with other than ASCII, say.
    pub path: String,
    /// Lines that came.
    pub added: u64,
    /// Lines that went.
    pub deleted: u64,
    /// Whether it has no lines.
    pub binary: bool,
    /// What it was; `None` where it was not there.
    pub old: Option<ObjectId>,
    /// What it is; `None` where it went.
    pub new: Option<ObjectId>,
}

/// What a commit did to files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Did {
    /// The files, by git's order. None of a merge, and none of a commit without a parent.
    pub files: Vec<FileChange>,
    /// Whether there were more than was asked for, or more than 8 MiB of names.
    pub more: bool,
}

/// `git diff-tree --stdin`, which is asked for commits and says what each did to files, one after the other: all that a few hundred
/// commits did may be more than fits in memory. Dropping it ends it.
pub struct Changes {
    talk: Talk,
    /// Those whose answers were not taken yet.
    asked: VecDeque<ObjectId>,
    /// The line behind the last answer: the next commit, or the end.
    ahead: Option<Ahead>,
}

/// What begins or ends an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ahead {
    Commit(ObjectId),
    End,
}

impl Changes {
    /// Asks for these commits, at most 512; [`Changes::next`] gives what they did in this order, and has to be called for each before
    /// the next question.
    ///
    /// # Errors
    /// Git has ended.
    pub async fn ask(&mut self, ids: &[ObjectId]) -> Result<(), Error> {
        few("diff-tree", ids)?;
        if !self.asked.is_empty() {
            let detail = format!("{} answers were not taken", self.asked.len());
            return Err(Error::Unexpected { what: "diff-tree".into(), detail });
        }
        if ids.is_empty() {
            return Ok(());
        }
        let mut lines: Vec<u8> = ids.iter().flat_map(|id| format!("{id}\n").into_bytes()).collect();
        lines.extend(MARK);
        self.talk.step(async |talk| talk.write(&lines).await).await?;
        self.asked.extend(ids);
        Ok(())
    }

    /// What the next of the commits did that were asked for: no more than `most` files of it, and 8 MiB of names. One that is not here
    /// did nothing, and so did one for which nobody asked.
    ///
    /// # Errors
    /// Git has ended, or says something that is not understood.
    pub async fn next(&mut self, most: usize) -> Result<Did, Error> {
        let Some(id) = self.asked.pop_front() else { return Ok(Did::default()) };
        let ahead = match self.ahead.take() {
            Some(ahead) => ahead,
            None => self.rows(&mut Did::default(), 0).await?,
        };
        let mut did = Did::default();
        let ahead = match ahead {
            Ahead::Commit(commit) if commit == id => self.rows(&mut did, most).await?,
            // It is not here, and this is one of the others.
            other => other,
        };
        match ahead {
            Ahead::End if self.asked.is_empty() => {}
            Ahead::Commit(commit) if !self.asked.contains(&commit) => {
                let detail = format!("{commit} was not asked for");
                return Err(Error::Unexpected { what: "diff-tree".into(), detail });
            }
            ahead => self.ahead = Some(ahead),
        }
        Ok(did)
    }

    /// Takes rows up to what is ahead then. Each has the limit of a command for itself: a commit may take long.
    async fn rows(&mut self, did: &mut Did, most: usize) -> Result<Ahead, Error> {
        let mut row = Row::default();
        loop {
            let line = self.talk.step(async |talk| talk.line(1 << 16).await).await?;
            if line == MARK.trim_ascii_end() {
                return Ok(Ahead::End);
            }
            match ObjectId::from_hex(&line) {
                Some(id) => return Ok(Ahead::Commit(id)),
                None => take_row(did, &mut row, &line, most),
            }
        }
    }
}

/// How far the rows of a commit were read.
#[derive(Debug, Default)]
struct Row {
    /// Files whose lines are counted.
    counted: usize,
    /// Bytes of names that were taken.
    paths: usize,
}

/// Takes a row `:MODE MODE OLD NEW STATUS TAB PATH` or, later and in the same order, `ADDED TAB DELETED TAB PATH`.
fn take_row(did: &mut Did, row: &mut Row, line: &[u8], most: usize) {
    let text = String::from_utf8_lossy(line);
    if let Some(raw) = text.strip_prefix(':') {
        let Some((fields, path)) = raw.split_once('\t') else { return };
        row.paths = row.paths.saturating_add(path.len());
        // What is beyond either limit is a tail, however short its names.
        if did.more || did.files.len() >= most || row.paths > MOST_PATHS {
            did.more = true;
            return;
        }
        let mut fields = fields.split(' ').skip(2);
        let mut id = || fields.next()?.parse::<ObjectId>().ok().filter(|id| !id.is_zero());
        let (old, new) = (id(), id());
        did.files.push(FileChange { path: path.into(), added: 0, deleted: 0, binary: false, old, new });
        return;
    }
    let mut fields = text.splitn(3, '\t');
    let (Some(added), Some(deleted), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
        return;
    };
    // These rows come in the order of the others, of which the last ones may be beyond the limit.
    let Some(found) = did.files[row.counted..].iter().position(|file| file.path == path) else { return };
    row.counted += found + 1;
    let file = &mut did.files[row.counted - 1];
    file.binary = added == "-" || deleted == "-";
    (file.added, file.deleted) = (added.parse().unwrap_or(0), deleted.parse().unwrap_or(0));
}

impl Repository {
    /// Starts what reads many objects.
    ///
    /// # Errors
    /// Git can't be started.
    pub async fn objects(&self) -> Result<Objects, Error> {
        Ok(Objects { talk: Talk::start(self, "cat-file", &["--batch"]).await? })
    }

    /// Starts what says of many commits what they did to files.
    ///
    /// # Errors
    /// Git can't be started.
    pub async fn changes(&self) -> Result<Changes, Error> {
        let args = ["--stdin", "--always", "--raw", "--numstat", "--no-abbrev", "--no-renames"];
        let talk = Talk::start(self, "diff-tree", &args).await?;
        Ok(Changes { talk, asked: VecDeque::new(), ahead: None })
    }
}
