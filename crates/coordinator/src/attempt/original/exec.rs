//! A command on an original buildlet: a request whose answer is its output, and which nobody can ask after again.

use std::pin::Pin;
use std::time::Duration;

use buildlet_client::{BuildletClient, Error, ExecState, OriginalExec, OutputStream, ProcessState, RunState};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::time::Instant;

use crate::recipe::{End, Ended};

/// How often a machine is asked how it is while a command runs, how long it may take to answer, and how often it may fail
/// to: as by the original's own client.
const BEAT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(20);
const FAILURES: u32 = 3;
/// What it answers if there is no such program.
const NOT_FOUND: u16 = 422;
/// The trailer that says how a command ended.
const TRAILER: &str = "process-state";

/// A command that runs. Dropped, it ends.
pub(super) struct Command {
    stream: OutputStream,
    silence: Pin<Box<dyn Future<Output = String> + Send>>,
    until: Instant,
}

/// What becomes of it.
#[derive(Debug)]
pub(super) enum Event {
    /// It has printed this.
    Output(Bytes),
    /// It ended: `ok`, or in the buildlet's words.
    Ended(String),
    /// Its time is over, and it still runs.
    Timeout,
    /// Nobody knows what became of it.
    Lost(String),
}

impl Command {
    /// Starts a command. The inner error says why there is nothing to start.
    pub async fn start(
        client: &BuildletClient,
        exec: &OriginalExec,
        limit: Duration,
    ) -> Result<Result<Command, String>, Error> {
        let stream = match client.exec_original(exec).await {
            Err(Error::Refused { status: NOT_FOUND, message, .. }) => return Ok(Err(message)),
            started => started?,
        };
        let silence = Box::pin(silence(client.clone()));
        Ok(Ok(Command { stream, silence, until: Instant::now() + limit }))
    }

    /// Waits for what comes next. May be dropped and called again.
    pub async fn next(&mut self) -> Event {
        tokio::select! {
            // What it printed comes before what else is known of it.
            biased;
            chunk = self.stream.next() => match chunk {
                Some(Ok(bytes)) => Event::Output(bytes),
                Some(Err(error)) => Event::Lost(format!("{error}: the command was lost with its connection")),
                None => match self.stream.trailer(TRAILER) {
                    Some(text) => Event::Ended(text.to_owned()),
                    None => Event::Lost("the output ended, and the buildlet did not say how the command did".into()),
                },
            },
            () = tokio::time::sleep_until(self.until) => Event::Timeout,
            said = &mut self.silence => Event::Lost(said),
        }
    }
}

/// Ends when the machine has failed to say how it is a few times. A quiet command and a dead machine look the same otherwise.
async fn silence(client: BuildletClient) -> String {
    let mut failures = 0;
    loop {
        tokio::time::sleep(BEAT).await;
        let said = match tokio::time::timeout(ANSWER, client.status()).await {
            Ok(Ok(_)) => {
                failures = 0;
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", ANSWER.as_secs()),
        };
        failures += 1;
        if failures == FAILURES {
            return format!("it did not say how it is, {FAILURES} times: {said}");
        }
    }
}

/// The account of a command, as one of ours gives it.
pub(super) fn state(id: &str, state: RunState, text: &str, output_bytes: u64) -> ExecState {
    let (exit_code, signal, start_error) = match ProcessState::parse(text) {
        ProcessState::Exited(code) => (Some(code), None, None),
        ProcessState::Signaled(signal) => (None, Some(signal), None),
        ProcessState::Other(text) => (None, None, Some(text)),
    };
    ExecState {
        id: id.to_owned(),
        state,
        process_state: text.to_owned(),
        exit_code,
        signal,
        start_error,
        output_bytes,
        ..ExecState::default()
    }
}

/// What a step that ended by itself tells.
pub(super) fn ended(id: &str, text: &str, output_bytes: u64, drained: Duration) -> Ended {
    let end = match text {
        "ok" => End::Ok,
        text => End::Exit(text.to_owned()),
    };
    Ended { end, state: state(id, RunState::Exited, text, output_bytes), drained }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::body::Body;
    use axum::response::IntoResponse as _;
    use axum::routing::{get, post};
    use buildlet_client::{Address, Connect, Connection};
    use futures::future::BoxFuture;
    use futures::stream;
    use tokio::io::DuplexStream;
    use tokio::sync::mpsc;

    use super::*;

    /// Connections to a router in this process.
    struct Wire(mpsc::Sender<DuplexStream>);

    impl Connect for Wire {
        fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn Connection>>> {
            let to = self.0.clone();
            Box::pin(async move {
                let (ours, theirs) = tokio::io::duplex(1 << 16);
                to.send(theirs).await.map_err(io::Error::other)?;
                Ok(Box::new(ours) as Box<dyn Connection>)
            })
        }
    }

    struct Accept(mpsc::Receiver<DuplexStream>);

    impl axum::serve::Listener for Accept {
        type Io = DuplexStream;
        type Addr = ();

        async fn accept(&mut self) -> (DuplexStream, ()) {
            match self.0.recv().await {
                Some(stream) => (stream, ()),
                None => std::future::pending().await,
            }
        }

        fn local_addr(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn served(router: Router) -> BuildletClient {
        let (sender, receiver) = mpsc::channel(8);
        tokio::spawn(async move { axum::serve(Accept(receiver), router).await });
        BuildletClient::new(Address::Custom(Arc::new(Wire(sender))), None)
    }

    /// Prints a word and never ends.
    async fn endless() -> axum::response::Response {
        let first = stream::once(async { Ok::<_, io::Error>("word") });
        Body::from_stream(first.chain(stream::pending())).into_response()
    }

    async fn started(client: &BuildletClient) -> Command {
        let limit = Duration::from_secs(3600);
        Command::start(client, &OriginalExec::default(), limit).await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_is_silent_three_times_has_lost_its_command() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let status = move || {
            let n = count.fetch_add(1, Ordering::SeqCst);
            async move {
                // Twice nothing, once well, and then nothing any more.
                if n != 2 {
                    std::future::pending::<()>().await;
                }
                axum::Json(serde_json::json!({"Version": 29}))
            }
        };
        let client = served(Router::new().route("/exec", post(endless)).route("/status", get(status)));
        let mut command = started(&client).await;
        assert!(matches!(command.next().await, Event::Output(word) if word == "word"));
        let Event::Lost(said) = command.next().await else { panic!("it was not lost") };
        assert_eq!(said, "it did not say how it is, 3 times: no answer within 20 s");
        assert_eq!(asked.load(Ordering::SeqCst), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_ends_at_its_time_however_well_its_machine_is() {
        let status = || async { axum::Json(serde_json::json!({"Version": 29})) };
        let client = served(Router::new().route("/exec", post(endless)).route("/status", get(status)));
        let mut command = started(&client).await;
        assert!(matches!(command.next().await, Event::Output(_)));
        let began = Instant::now();
        assert!(matches!(command.next().await, Event::Timeout));
        assert_eq!(began.elapsed().as_secs(), 3600);
    }

    #[tokio::test]
    async fn an_end_without_a_word_of_it_is_no_end_and_a_missing_program_is_one() {
        let missing = || async { (http::StatusCode::UNPROCESSABLE_ENTITY, "no such program\n") };
        let client = served(Router::new().route("/exec", post(missing)));
        let limit = Duration::from_secs(60);
        let unstarted = Command::start(&client, &OriginalExec::default(), limit).await.unwrap();
        assert_eq!(unstarted.err().as_deref(), Some("no such program"));
        let client = served(Router::new().route("/exec", post(|| async { "half a" })));
        let mut command = started(&client).await;
        assert!(matches!(command.next().await, Event::Output(_)));
        assert!(matches!(command.next().await, Event::Lost(_)));
    }
}
