//! What each machine of a crew does: takes chunks and runs them until there is none.

use std::time::Instant;

use store::{Micros, WorkerId};

use super::crew::{Crew, Done, Kit, Taken, named};
use super::files::{self, Look, Seen};
use super::output::Taking;
use crate::attempt::{Buildlet, Shared};
use crate::job::Step;
use crate::recipe::{End, Run, RunError, Surroundings};

/// Why a machine does not go on.
pub(super) type Broken = RunError<store::ObjectError>;

/// A chunk that is in somebody's hands. Whatever becomes of them, it does not get lost.
struct Holding<'c> {
    crew: &'c Crew,
    taken: Option<Taken>,
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.crew.give_back(&taken, "whoever had it broke down");
        }
    }
}

/// Runs one chunk. A machine that breaks gives it back.
pub(super) async fn run(
    shared: &Shared,
    crew: &Crew,
    kit: &Kit,
    (buildlet, worker): (&Buildlet, WorkerId),
    around: &Surroundings,
    taken: Taken,
    seen: &mut Seen,
) -> Result<(), Broken> {
    let id = format!("{}-{}-{}-{}", kit.attempt, kit.index, taken.n, taken.tries);
    let run = kit.step.run.replace("{tests}", &taken.tests.join(" "));
    let mut env = kit.step.env.clone();
    env.push(("BELLWETHER_CHUNK".to_owned(), taken.n.to_string()));
    let step = Step { run, env, ..kit.step.clone() };
    let name = format!("{}-{}-{}", kit.prefix, taken.n, taken.tries);
    let mut output =
        Taking::new(&shared.objects, name.clone(), &kit.secrets, std::sync::Arc::clone(&crew.kept));
    let (env_pass, limits) = (&kit.env_pass, &kit.limits);
    let run = Run { id: &id, index: kit.index, step: &step, secrets: &kit.values, env_pass, limits };
    let (started, began) = (shared.ledger.clock().now(), Instant::now());
    let mut holding = Holding { crew, taken: Some(taken) };
    let ran = match buildlet.run_step(run, &mut output, around).await {
        Ok(ended) => written(shared, crew, kit, buildlet, around, &ended.end, &name, seen)
            .await
            .map(|look| (ended, look)),
        Err(error) => Err(error),
    };
    let Some(taken) = holding.taken.take() else { return Ok(()) };
    match ran {
        Ok((ended, look)) => {
            let took = took(&ended.state, began);
            let done =
                Done { ended, output: output.into_output(), look, worker, started, took, tries: taken.tries };
            crew.done(taken.n, done, kit.fail_fast);
            Ok(())
        }
        Err(error) => {
            tracing::warn!(%worker, tests = named(&taken.tests), %error, "a chunk of tests is given back");
            crew.give_back(&taken, &kit.secrets.clean(&error.to_string()));
            output.forget().await;
            Err(error)
        }
    }
}

/// What the chunk has written of its results. Whoever is told to end has no more to say.
#[expect(clippy::too_many_arguments, reason = "all of what `run` has at hand")]
async fn written(
    shared: &Shared,
    crew: &Crew,
    kit: &Kit,
    buildlet: &Buildlet,
    around: &Surroundings,
    end: &End,
    name: &str,
    seen: &mut Seen,
) -> Result<Look, Broken> {
    let Some(wanted) = kit.junit.as_ref().filter(|_| *end != End::Cancelled) else {
        return Ok(Look::default());
    };
    tokio::select! {
        look = files::look(&shared.objects, buildlet, wanted, name, seen, &crew.kept) => look,
        () = around.cancel.cancelled() => Ok(Look::default()),
        () = around.gone.cancelled() => Err(RunError::WorkerLost("the machine is gone".to_owned())),
    }
}

/// How long the command ran, in microseconds: by the machine's own words where they make sense.
fn took(state: &buildlet_client::ExecState, began: Instant) -> u64 {
    let ours = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let theirs = state.ended_us.and_then(|end| u64::try_from(end.saturating_sub(state.started_us)).ok());
    theirs.filter(|theirs| state.started_us > 0 && *theirs <= ours).unwrap_or(ours)
}

/// A moment that is no earlier than the one before.
pub(super) fn since(from: Micros, to: Micros) -> u64 {
    u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0)
}
