//! `cargo xtask gerrit --try`: changes in a real Gerrit are tried by the real server, and each story ends as it was written down.
//!
//! One Gerrit and one server serve all stories: [`world`] has them and what people do, [`stories`] what is done in which order,
//! [`table`] what must be in the reviews at the end, [`said`] reads what is there, and [`diff`] says how that differs.

mod diff;
mod said;
mod stories;
mod table;
mod world;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::server_binary;
use stories::{STORIES, Stories};
use world::World;

/// Tells the stories of these names in a folder, and compares.
pub(super) fn run(dir: &Path, names: &[String], seed: u64, program: Option<&Path>) -> Result<ExitCode> {
    let names = chosen(names)?;
    let program = match program {
        Some(program) => program.to_owned(),
        None => server_binary::tested()?,
    };
    let began = Instant::now();
    let world = World::start(dir, program, seed)?;
    let mut stories = Stories::new(world, names.clone(), seed, began);
    let told = stories.tell();
    let mut differences = 0;
    if told.is_ok() {
        for name in &names {
            let (is, meant) = (stories.said(name)?, table::meant(name, seed));
            if is == meant {
                println!("{name:<10} as it was written down: {} lines", is.lines().count());
            } else {
                differences += 1;
                println!("{name:<10} differs (- written down, + in Gerrit):\n{}", diff::lines(&meant, &is));
            }
        }
    }
    if told.is_err() || differences > 0 {
        eprintln!("the server's last words:\n{}", stories.world().last_words());
    }
    let ended = stories.end();
    told?;
    ended?;
    let took = began.elapsed().as_secs_f64();
    println!("{} stories with seed {seed}, {differences} differ, {took:.1} s", names.len());
    Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The stories that are asked for, in the order of the list.
fn chosen(names: &[String]) -> Result<Vec<&'static str>> {
    for name in names {
        if name != "all" && !STORIES.contains(&name.as_str()) {
            bail!("there is no story {name}: `all`, or of {}", STORIES.join(", "));
        }
    }
    let wanted = |story: &&&str| names.iter().any(|name| name == "all" || name == **story);
    Ok(STORIES.iter().filter(wanted).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stories_are_chosen_by_name() {
        let of = |names: &[&str]| chosen(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["all"]).unwrap(), STORIES);
        assert_eq!(of(&["killed", "good"]).unwrap(), ["good", "killed"]);
        assert!(
            of(&["god"]).unwrap_err().to_string().starts_with("there is no story god: `all`, or of good, ")
        );
    }

    #[test]
    fn each_story_is_written_down_for_each_phase_of_the_flake() {
        for name in STORIES {
            for seed in 0..3 {
                assert!(table::meant(name, seed).starts_with(name), "{name}");
            }
        }
    }
}
