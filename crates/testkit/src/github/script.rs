//! Operations by a seed.

use super::world::{Gone, World};

/// Does one operation after the other, the same for the same seed.
#[derive(Debug)]
pub struct Script {
    random: fastrand::Rng,
    steps: u64,
}

impl Script {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), steps: 0 }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.random.usize(..from.len())])
    }

    fn user(&mut self) -> i64 {
        self.random.i64(1..=5)
    }

    /// Does the next one.
    pub(super) fn step(&mut self, world: &mut World, now: i64) {
        self.steps += 1;
        let (step, user) = (self.steps, self.user());
        let numbers = world.numbers();
        let kind = self.random.u32(..100);
        let Some(number) = self.pick(&numbers).filter(|_| kind >= 14) else {
            let pull = self.random.u32(..3) == 0;
            let body = if self.random.bool() { format!("body {step} <&> ü") } else { String::new() };
            world.open(now, user, pull, &format!("title {step}"), &body);
            return;
        };
        match kind {
            14..36 => world.comment(now, number, user, &format!("comment {step}")),
            36..41 => {
                let nth = self.random.usize(..5);
                world.edit_comment(now, number, nth, &format!("edited {step}"));
            }
            41..45 => world.rename(now, number, user, &format!("renamed {step}")),
            45..49 => {
                let body = if self.random.bool() { format!("body {step}") } else { String::new() };
                world.edit(now, number, user, &body);
            }
            49..61 => self.label(world, now, number, user),
            61..68 => world.toggle(now, number, user),
            68..74 => {
                let whom = self.user();
                world.assign(now, number, user, whom);
            }
            74..80 => self.milestone(world, now, number, user),
            80..83 => world.lock(now, number, user),
            83..90 => {
                let state = self.pick(&["APPROVED", "COMMENTED", "CHANGES_REQUESTED"]).unwrap_or("COMMENTED");
                world.review(now, number, user, state, &format!("review {step}"));
            }
            90..92 => world.dismiss(now, number, user),
            92..94 => {
                let whom = self.user();
                world.ask(now, number, user, whom);
            }
            94..95 => world.remove(number, user, Gone::Deleted),
            95..96 => world.remove(number, user, Gone::Transferred),
            96..98 => world.remove(number, user, Gone::Hidden),
            _ => {
                if let Some(hidden) = self.pick(&world.hidden()) {
                    world.show(hidden);
                }
            }
        }
    }

    fn label(&mut self, world: &mut World, now: i64, number: i32, user: i64) {
        let known: Vec<i64> = world.labels.keys().copied().collect();
        let label = match self.pick(&known).filter(|_| self.random.u32(..5) > 0) {
            Some(label) => label,
            None => world.new_label(&format!("label {}", self.steps)),
        };
        if self.random.u32(..6) == 0 {
            world.rename_label(label, &format!("label {} again", self.steps));
        }
        world.label(now, number, user, label);
    }

    fn milestone(&mut self, world: &mut World, now: i64, number: i32, user: i64) {
        let known: Vec<i64> = world.milestones.keys().copied().collect();
        let milestone = match self.pick(&known).filter(|_| self.random.u32(..4) > 0) {
            Some(milestone) => milestone,
            None => world.new_milestone(now, &format!("Go1.{}", self.steps)),
        };
        if self.random.u32(..5) == 0 {
            world.change_milestone(now, milestone, &format!("Go1.{}", self.steps));
        }
        let milestone = Some(milestone).filter(|_| self.random.u32(..3) > 0);
        world.milestone(now, number, user, milestone);
    }
}
