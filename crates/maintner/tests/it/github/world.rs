//! What the tests of following are made of. Time is tokio's, which stands still while anybody works and leaps when all wait.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::github::{Client, Clock, Limits, Tempo};
use jiff::Timestamp;
use maintner::corpus::Corpus;
use maintner::live::Sink;
use maintner::sources::github::{Error, Options, Poller};
use testkit::github::{GitHub, Now};
use tokio::time::Instant;
use transport::Service;

use crate::logs::dumped;
use crate::sink::Folder;

const BEGIN: i64 = 1_500_000_000;

#[derive(Clone, Copy)]
pub struct Paused(Instant);

impl Paused {
    pub fn new() -> Self {
        Self(Instant::now())
    }

    pub fn server(self) -> Now {
        Arc::new(move || self.now().as_second())
    }
}

impl Clock for Paused {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(BEGIN).unwrap() + self.0.elapsed()
    }
}

pub fn client(github: &GitHub, clock: Paused) -> Client {
    let options = ::github::Options {
        service: Service::in_process(github.router()),
        token: None,
        user_agent: "bellwether-test".into(),
        clock: Arc::new(clock),
        seed: 7,
        limits: Limits { tempo: Tempo { gap: Duration::from_millis(100), burst: 1 }, ..Limits::default() },
    };
    Client::new(options).unwrap()
}

pub fn options() -> Options {
    Options {
        reconcile: Duration::from_secs(3600),
        hook: Some(testkit::github::HOOK.into()),
        ..Options::new("golang/go".parse().unwrap())
    }
}

pub fn poller(github: &GitHub, clock: Paused, sink: &Arc<Folder>) -> Poller {
    by(client(github, clock), sink)
}

pub fn by(client: Client, sink: &Arc<Folder>) -> Poller {
    Poller::new(client, sink.clone(), options())
}

/// Rounds until there is nothing more to do.
pub async fn settle(poller: &mut Poller) {
    for _ in 0..1000 {
        match poller.round().await {
            Ok(round) if round.more => {}
            Ok(round) => match round.again {
                Some(again) => tokio::time::sleep(again).await,
                None => return,
            },
            Err(Error::Github(_)) => tokio::time::sleep(Duration::from_secs(30)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it does not come to an end");
}

/// What somebody reads who begins now.
pub async fn fresh(github: &GitHub, clock: Paused) -> Arc<Corpus> {
    github.set(|options| options.faults = testkit::github::Faults::default());
    let sink = Arc::new(Folder::new());
    settle(&mut poller(github, clock, &sink)).await;
    sink.corpus()
}

/// The lines of a dump by their letter, without what the log can't have from a state that is read once:
///
/// - until when something was read;
/// - who closed an issue, which lists do not say, and when an open one was once closed;
/// - the order of assignees, which is that in which they were seen;
/// - the id of an issue that was first told as gone.
pub fn lines(corpus: &Corpus) -> BTreeSet<String> {
    let (text, _) = dumped(corpus);
    let normal = |line: &str| {
        let mut fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        if fields[0] == "I" && fields[3] == "0" {
            if fields[8] == "0" {
                "-".clone_into(&mut fields[7]);
            }
            for hidden in [4, 12, 18, 19, 20] {
                "*".clone_into(&mut fields[hidden]);
            }
            let mut assignees: Vec<&str> = fields[14].split(',').collect();
            assignees.sort_unstable();
            fields[14] = assignees.join(",");
        }
        fields.join("\t")
    };
    text.lines().map(normal).collect()
}

/// Holds a corpus that grew against one that was read at once: they agree but for people who are there no more, and for issues that
/// are gone behind the last that is there.
pub fn agree(followed: &Arc<Corpus>, fresh: &Arc<Corpus>) {
    let (followed, fresh) = (lines(followed), lines(fresh));
    let missing: Vec<_> = fresh.difference(&followed).collect();
    let number = |line: &str| line.split('\t').nth(2).and_then(|text| text.parse::<i32>().ok()).unwrap();
    let last =
        fresh.iter().filter(|line| line.starts_with("I\t")).map(|line| number(line)).max().unwrap_or(0);
    let surplus: Vec<_> = followed
        .difference(&fresh)
        .filter(|line| !line.starts_with("U\t"))
        .filter(|line| !(line.starts_with("I\t") && line.ends_with("\t1") && number(line) > last))
        .collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing {missing:#?}\nsurplus {surplus:#?}");
}
