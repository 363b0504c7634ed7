//! What is done, in which order. What a story waits for keeps no other from going on, but for the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::said;
use super::world::{Change, RELEASE, World, until};
use crate::corpus::random::Random;

/// All stories; what each is about is said where its changes are made.
pub(super) const STORIES: [&str; 10] =
    ["good", "breaking", "chain", "flaky", "release", "text", "newer", "stranger", "killed", "outage"];
/// Some looks of the server, of which there is one a second: what it does not do in this time it does not do.
const LOOKS: Duration = Duration::from_secs(4);
/// What goes well.
const WELL: &str = "true\n";

/// Waits for a gate, but not for ever.
fn wait_for(gate: &str) -> String {
    format!(
        "n=0\nuntil [ -e \"$GATES/{gate}\" ]; do n=$((n+1)); [ $n -lt 3000 ] || exit 9; sleep 0.1; done\n"
    )
}

/// Only on a builder.
fn on(builder: &str, script: &str) -> String {
    format!("if [ \"$BELLWETHER_BUILDER\" = {builder} ]; then\n{script}fi\n")
}

/// Fails on one builder, while another waits until that was said.
fn breaks(gate: &str) -> String {
    on("race", "echo it breaks\nexit 1\n") + &on("linux", &wait_for(gate))
}

/// A test that fails each third time that it is counted by this name. Which time is the first follows from the seed.
pub(super) fn flaky(count: &str) -> String {
    format!(
        "{count}echo 'TAP version 13'\necho 1..2\necho 'ok 1 - steady'\n\
         if [ $(( (n + SEED) % 3 )) = 0 ]; then echo 'not ok 2 - flaky'; exit 1; fi\necho 'ok 2 - flaky'\n"
    )
}

/// How many patch sets of the flaky change are well before one fails.
pub(super) fn well_before(seed: u64) -> u64 {
    (3 - seed % 3) % 3
}

/// The stories on their world.
pub(super) struct Stories {
    world: World,
    names: Vec<&'static str>,
    /// By story.
    changes: BTreeMap<&'static str, Vec<Change>>,
    random: Random,
    seed: u64,
    began: Instant,
}

impl Stories {
    pub(super) fn new(world: World, names: Vec<&'static str>, seed: u64, began: Instant) -> Stories {
        Stories { world, names, changes: BTreeMap::new(), random: Random::new(seed), seed, began }
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    /// Tells all that were chosen.
    pub(super) fn tell(&mut self) -> Result<()> {
        self.say(&format!(
            "Gerrit at {}, the server at {}",
            self.world.gerrit.url(),
            self.world.server.address()
        ));
        self.upload()?;
        self.say("all is uploaded");
        self.vote()?;
        self.say("all is voted for");
        self.newer()?;
        self.killed()?;
        self.answers()?;
        self.flaky()?;
        self.outage()?;
        let all: Vec<Change> = self.changes.values().flatten().cloned().collect();
        self.world.until_quiet(&all)?;
        self.say("nothing is left to be said");
        // Whoever would say something once more does it then.
        std::thread::park_timeout(LOOKS);
        Ok(())
    }

    /// Ends the server, and Gerrit after it.
    pub(super) fn end(mut self) -> Result<()> {
        // What still waits, where something went wrong, would keep the server.
        for gate in STORIES {
            self.world.open(gate)?;
        }
        let ended = self.world.server.interrupt().context("the server's end");
        // Its machines would stay for a while, for a server that comes back.
        for worker in testkit::workers(self.world.server.data()) {
            worker.kill()?;
        }
        self.world.gerrit.stop()?;
        ended.map(|_| ())
    }

    /// What is in the reviews of a story's changes.
    pub(super) fn said(&self, story: &str) -> Result<String> {
        let changes = self.changes.get(story).context("a story has changes")?;
        let admin = self.world.gerrit.admin();
        let all: Vec<&Change> = self.changes.values().flatten().collect();
        changes.iter().map(|change| said::text(&admin, change, &all)).collect()
    }

    fn say(&self, what: &str) {
        eprintln!("{:>6.1} s  {what}", self.began.elapsed().as_secs_f64());
    }

    fn has(&self, story: &str) -> bool {
        self.names.contains(&story)
    }

    fn change(&self, story: &str) -> Result<&Change> {
        self.changes
            .get(story)
            .and_then(|changes| changes.last())
            .with_context(|| format!("no change of {story}"))
    }

    /// The same test, whatever the patch set, which counts for all of them.
    fn patch_set_of_flaky(&self, n: u64) -> String {
        format!("# patch set {n}\n{}", flaky(&self.world.counter.line("changed")))
    }

    fn upload(&mut self) -> Result<()> {
        let main = ("go", "main");
        for story in self.names.clone() {
            let (place, check) = match story {
                // Goes well, with a builder that somebody asks for, and one that there is not.
                "good" | "stranger" => (main, WELL.to_owned()),
                // Fails on one builder, which is said before the other is done.
                "breaking" => (main, breaks("breaking")),
                "flaky" => (("site", "main"), self.patch_set_of_flaky(1)),
                "release" => (("go", RELEASE), WELL.to_owned()),
                // Fails against the release of its toolchain alone.
                "text" => {
                    let fails = "[ \"$(cat \"$WORKDIR/go/VERSION\")\" != 1.1 ] || exit 1\n";
                    (("x/text", "main"), format!("{fails}{}", wait_for("text")))
                }
                // Begins, and is not done before something happens to it, to the server, or to Gerrit.
                "newer" | "killed" | "outage" => (main, on("race", &wait_for(story))),
                _ => {
                    // Each on the one before: the second breaks it, the third mends it.
                    let mut made: Vec<Change> = Vec::new();
                    for (n, check) in
                        [(1, WELL.to_owned()), (2, breaks("chain")), (3, "true # again\n".to_owned())]
                    {
                        let on = made.last().map(|change| change.commit.clone());
                        made.push(self.world.upload(&format!("{story}-{n}"), main, on.as_deref(), &check)?);
                    }
                    self.changes.insert(story, made);
                    continue;
                }
            };
            // Two commits with one tree, one parent and one time would differ by their messages alone: as it should be.
            let change = self.world.upload(story, place, None, &check)?;
            self.changes.insert(story, vec![change]);
        }
        Ok(())
    }

    fn vote(&mut self) -> Result<()> {
        if self.has("good") {
            // With no vote, it asks for nothing.
            self.world.comment(self.change("good")?, "TRY=race3")?;
        }
        if self.has("stranger") {
            let change = self.change("stranger")?;
            let refused = self.world.vote_without_right(change).err().context("Gerrit took Bela's vote")?;
            let why = format!("{refused:#}");
            ensure!(why.contains(": 403 ") && why.contains("Run-TryBot"), "Gerrit refused otherwise: {why}");
            self.world.comment(change, "TRY=longtest")?;
        }
        // The flaky one is asked for when no server dies any more: a build that is made once more runs its test once more.
        let asks = |name: &str| !["stranger", "flaky", "chain"].contains(&name);
        let mut all: Vec<Change> =
            self.changes.iter().filter(|(name, _)| asks(name)).flat_map(|(_, all)| all).cloned().collect();
        while !all.is_empty() {
            let change = all.swap_remove(self.random.index(all.len()));
            let words = (change.name == "good").then_some("TRY=longtest, nope");
            self.world.vote(&change, words)?;
        }
        // Each is tried with those before it, and says whether they were approved by then.
        for change in self.changes.get("chain").into_iter().flatten() {
            self.world.vote(change, None)?;
            self.world.until_begun(change)?;
        }
        Ok(())
    }

    /// A patch set in the middle: its commit was approved by nobody.
    fn newer(&mut self) -> Result<()> {
        if !self.has("newer") {
            return Ok(());
        }
        let mut change = self.change("newer")?.clone();
        self.world.until_said(&change, &["beginning"])?;
        self.world.until_runs(&change, "race")?;
        self.world.patch_set(&mut change, None, "true # patch set 2\n")?;
        self.world.until_said(&change, &["beginning", "cancelled"])?;
        self.world.vote(&change, None)?;
        self.say("newer: the first patch set's run is over, the second is voted for");
        self.changes.insert("newer", vec![change]);
        Ok(())
    }

    /// The server dies while a build runs, which ends meanwhile, and whatever else is under way.
    fn killed(&mut self) -> Result<()> {
        if !self.has("killed") {
            return Ok(());
        }
        let change = self.change("killed")?.clone();
        self.world.until_said(&change, &["beginning"])?;
        self.world.until_runs(&change, "race")?;
        std::thread::park_timeout(Duration::from_millis(u64::from(self.random.below(1500))));
        self.world.server.crash()?;
        self.say("killed: the server is dead");
        self.world.open("killed")?;
        self.world.server.resume()?;
        self.say("killed: the server is back");
        Ok(())
    }

    /// Waits for all that goes its way.
    fn answers(&mut self) -> Result<()> {
        for (story, gate) in [("breaking", 0), ("text", 0), ("chain", 1)] {
            let Some(changes) = self.changes.get(story) else { continue };
            self.world.until_said(&changes[gate], &["beginning", "progress"])?;
            self.world.open(story)?;
        }
        let told: [(&str, &[&str]); 7] = [
            ("good", &["beginning", "happy"]),
            ("breaking", &["beginning", "progress", "failed"]),
            ("release", &["beginning", "happy"]),
            ("text", &["beginning", "progress", "failed"]),
            ("newer", &["beginning", "cancelled", "beginning", "happy"]),
            ("killed", &["beginning", "happy"]),
            ("chain", &["beginning", "happy"]),
        ];
        for (story, kinds) in told {
            let Some(changes) = self.changes.get(story) else { continue };
            self.world.until_said(changes.last().context("a story has a change")?, kinds)?;
            if story == "chain" {
                self.world.until_said(&changes[0], kinds)?;
                self.world.until_said(&changes[1], &["beginning", "progress", "failed"])?;
            }
            self.say(&format!("{story}: told"));
        }
        Ok(())
    }

    /// Patch sets until one fails, which is well, as the test fails at times without it, too.
    fn flaky(&mut self) -> Result<()> {
        if !self.has("flaky") {
            return Ok(());
        }
        let mut change = self.change("flaky")?.clone();
        self.world.vote(&change, None)?;
        let mut told = vec!["beginning", "happy"];
        for patch_set in 1..=well_before(self.seed) {
            self.world.until_said(&change, &told)?;
            let check = self.patch_set_of_flaky(patch_set + 1);
            self.world.patch_set(&mut change, None, &check)?;
            self.world.vote(&change, None)?;
            told.extend(["beginning", "happy"]);
        }
        self.world.until_said(&change, &told)?;
        self.changes.insert("flaky", vec![change]);
        self.say("flaky: told");
        Ok(())
    }

    /// Gerrit goes away while a build runs, which ends meanwhile.
    fn outage(&mut self) -> Result<()> {
        if !self.has("outage") {
            return Ok(());
        }
        let change = self.change("outage")?.clone();
        self.world.until_said(&change, &["beginning"])?;
        self.world.until_runs(&change, "race")?;
        match self.seed.is_multiple_of(2) {
            true => self.world.gerrit.stop()?,
            false => self.world.gerrit.crash(),
        }
        self.say("outage: Gerrit is away");
        self.world.open("outage")?;
        self.world.until_run(&change, "passed")?;
        until("the answer to be tried in vain", || {
            self.world.fails_to_post().map(|fails| fails.then_some(()))
        })?;
        self.say("outage: the run is over, and nobody takes its answer");
        self.world.gerrit.resume()?;
        self.say("outage: Gerrit is back");
        self.world.until_said(&change, &["beginning", "happy"])?;
        self.say("outage: told");
        Ok(())
    }
}
