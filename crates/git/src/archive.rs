//! A commit's tree as a stream of tar.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::ChildStdout;
use tokio::time::Sleep;

use crate::error::classify;
use crate::group::Running;
use crate::{Error, ObjectId, Repository};

/// A commit's tree as a stream of tar bytes. The end of the stream means that git said it is whole; a failure of git
/// is an error of the last read. Dropping it ends git.
pub struct Archive {
    stdout: ChildStdout,
    place: String,
    deadline: Pin<Box<Sleep>>,
    state: State,
}

enum State {
    Reading(Box<Running>),
    Ending(Pin<Box<dyn Future<Output = io::Result<()>> + Send>>),
    Done,
}

impl Repository {
    /// Streams a commit's tree as tar: names, modes and links are the tree's, whatever its `.gitattributes` say;
    /// submodules are empty folders. `prefix` is a relative folder that is put before every name.
    ///
    /// # Errors
    /// The commit is not here, or the prefix is no plain relative path.
    pub async fn archive(&self, commit: ObjectId, prefix: Option<&str>) -> Result<Archive, Error> {
        let mut call = self.call(["archive", "--format=tar"]);
        if let Some(prefix) = prefix {
            let part = |part: &str| part.is_empty() || part == "." || part == "..";
            let prefix = prefix.trim_end_matches('/');
            if prefix.split('/').any(part) || prefix.contains(['\0', '\n', '\\']) {
                let detail = format!("the prefix {prefix:?} is no plain relative path");
                return Err(Error::Unexpected { what: "archive".into(), detail });
            }
            call = call.arg(format!("--prefix={prefix}/"));
        }
        if !self.contains(commit).await? {
            let detail = format!("there is no commit {commit}");
            return Err(Error::NoSuchRevision { url: self.dir.display().to_string(), detail });
        }
        let limit = self.git.limits().transfer;
        let stream = call.arg(commit.to_string()).timeout(limit).stream().await?;
        let deadline = Box::pin(tokio::time::sleep(limit));
        Ok(Archive {
            stdout: stream.stdout,
            place: stream.place,
            deadline,
            state: State::Reading(Box::new(stream.running)),
        })
    }
}

impl AsyncRead for Archive {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Reading(_) => {
                    if this.deadline.as_mut().poll(cx).is_ready() {
                        this.state = State::Done;
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                    let before = buf.filled().len();
                    ready!(Pin::new(&mut this.stdout).poll_read(cx, buf))?;
                    if buf.filled().len() > before || buf.remaining() == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    let State::Reading(mut running) = std::mem::replace(&mut this.state, State::Done) else {
                        return Poll::Ready(Ok(()));
                    };
                    let place = this.place.clone();
                    this.state = State::Ending(Box::pin(async move {
                        let (status, stderr) = running.wait().await?;
                        if status.success() {
                            return Ok(());
                        }
                        Err(io::Error::other(classify("archive", status.to_string(), &stderr, None, &place)))
                    }));
                }
                State::Ending(end) => {
                    let result = ready!(end.as_mut().poll(cx));
                    this.state = State::Done;
                    return Poll::Ready(result);
                }
                State::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}
