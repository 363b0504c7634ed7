//! A further machine, from the ask for it until it is clean again.

use std::sync::Arc;

use store::durations::Kind;
use store::{BuildId, Micros, WorkerId};
use tokio_util::sync::CancellationToken;

use super::crew::{Crew, Kit, Member};
use super::files::Seen;
use super::member::{self, Broken, since};
use super::{lead, trees};
use crate::attempt::{Driven, Fate, Left, Shared, Trouble, whose_word};
use crate::gomote::Machine;
use crate::recipe::{RunError, Surroundings};
use crate::schedule::{Class, Request};

/// A machine that an attempt asks for.
pub(crate) struct Ask {
    /// What the scheduler knows it by.
    pub(crate) id: BuildId,
    /// The build that it is to help.
    pub(crate) build: BuildId,
    pub(crate) repo: String,
    pub(crate) builder: String,
    /// The host that the attempt runs on, and no other: what was built there runs there, and it takes what is so little
    /// trusted.
    pub(crate) host: String,
    pub(crate) class: String,
    pub(crate) priority: i64,
    pub(crate) commit_time: Micros,
    /// From when on it is of use.
    pub(crate) from: Micros,
    pub(crate) crew: Arc<Crew>,
}

impl Ask {
    /// What the scheduler is asked for. No limit of builds counts it.
    pub(crate) fn request(&self) -> Request {
        Request {
            build: self.id,
            builder: self.builder.clone(),
            hosts: vec![self.host.clone()],
            class: Class::parse(&self.class).unwrap_or(Class::PostSubmit),
            priority: self.priority,
            commit_time: self.commit_time,
            requested: self.from,
            limits: Vec::new(),
            avoid: Vec::new(),
            not_before: (self.from.0 > 0).then_some(self.from),
            need: None,
            blocked: None,
            repo: self.repo.clone(),
            user: String::new(),
            width: 1,
        }
    }
}

/// Has the machine run chunks until there is none, then cleans it.
pub(crate) async fn drive(
    shared: Arc<Shared>,
    ask: Ask,
    machine: Machine,
    name: String,
    gone: CancellationToken,
) -> Driven {
    let Machine { worker, host, buildlet, patience } = machine;
    let crew = &ask.crew;
    let driven =
        |fate, stale| Driven { build: ask.id, worker, host: host.clone(), fate, requeued: false, stale };
    let now = shared.ledger.clock().now();
    let waited = [(host.clone(), since(ask.from, now))];
    lead::note(&shared, (&ask.builder, &ask.repo), Kind::Helper, &waited).await;
    let kit = tokio::select! {
        kit = crew.ready() => kit,
        () = gone.cancelled() => return driven(Fate::Lost("it is gone".to_owned()), false),
    };
    // Nothing was put on it.
    let Some(kit) = kit else { return driven(Fate::Idle, false) };
    let fence = shared.ledger.next_fence();
    let buildlet =
        buildlet.fenced(fence as u64, &format!("helper of {}", kit.attempt)).about(kit.about.clone());
    let cancel = crew.kill.clone();
    let around = Surroundings { cancel, gone: gone.clone(), patience: patience.unwrap_or(shared.patience) };
    let worked = work(&shared, crew, &kit, (&buildlet, worker, &name), &around).await;
    let found = match worked {
        Ok(()) => None,
        Err(trouble) => {
            let trouble = match trouble {
                Trouble::Newer => whose_word(&shared).await,
                trouble => trouble,
            };
            match trouble {
                Trouble::Stale | Trouble::Newer => return driven(Fate::Idle, true),
                Trouble::Infra { verdict, fate } => {
                    let detail =
                        verdict.cause.map(|cause| kit.secrets.clean(&cause.detail)).unwrap_or_default();
                    tracing::warn!(build = %ask.build, %worker, detail, "a helper ends early");
                    crew.leave(worker, &detail);
                    fate
                }
            }
        }
    };
    let fate = buildlet.let_go(found, patience, &gone).await;
    let clean = |reason: String| kit.secrets.clean(&reason);
    let fate = match fate {
        Fate::SetAside(reason) => Fate::SetAside(clean(reason)),
        Fate::Used(reason) => Fate::Used(clean(reason)),
        Fate::Lost(reason) => Fate::Lost(clean(reason)),
        fate => fate,
    };
    driven(fate, false)
}

async fn work(
    shared: &Shared,
    crew: &Arc<Crew>,
    kit: &Kit,
    (buildlet, worker, name): (&crate::attempt::Buildlet, WorkerId, &str),
    around: &Surroundings,
) -> Result<(), Trouble> {
    let set_up = async {
        buildlet.clear(Left::Nothing).await?;
        trees::unpack(&shared.objects, buildlet, &kit.trees).await
    };
    tokio::select! {
        set = set_up => set?,
        () = around.cancel.cancelled() => return Ok(()),
        () = around.gone.cancelled() => return Err(Trouble::lost("the machine is gone")),
    }
    let ready = shared.ledger.clock().now();
    crew.join(Member { worker, machine: name.to_owned(), ready, lost: None });
    let mut seen = Seen::default();
    while let Some(taken) = crew.take() {
        match member::run(shared, crew, kit, (buildlet, worker), around, taken, &mut seen).await {
            Ok(()) => {}
            Err(error) => return Err(trouble(error)),
        }
    }
    Ok(())
}

/// What is to become of a machine that broke; the store's fault is not the machine's.
pub(crate) fn trouble(error: Broken) -> Trouble {
    match error {
        RunError::Sink(error) => Trouble::server("objects", error.to_string()),
        RunError::Stale => Trouble::Newer,
        RunError::WorkerLost(detail) => Trouble::lost(detail),
        RunError::DiskFull(message) => crate::attempt::disk_full(message),
        RunError::Refused(message) => Trouble::refused(message),
    }
}
