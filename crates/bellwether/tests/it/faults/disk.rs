//! Full disks, real ones: file systems of their own, small and in memory. They need root; without it these tests say
//! that they did not run.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::wait_for;

use super::world::{LIMIT, World};

/// A small file system in memory, unmounted with the value.
struct Small {
    at: PathBuf,
}

impl Small {
    /// Mounts it at `at`, which is made if need be; `None` without the right to do so.
    fn mount(at: &Path, size: &str) -> Option<Small> {
        use rustix::mount::{MountFlags, mount};
        std::fs::create_dir_all(at).unwrap();
        let options = std::ffi::CString::new(format!("size={size},mode=700")).unwrap();
        match mount("tmpfs", at, "tmpfs", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Some(Small { at: at.to_owned() }),
            Err(error) => {
                eprintln!("not run: a file system can't be mounted here ({error}); it needs root");
                None
            }
        }
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.at.join("fill")).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![1; size]).is_err() {
                size /= 2;
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.at.join("fill")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Whatever still has files open there keeps them until its end.
        let _ = rustix::mount::unmount(&self.at, rustix::mount::UnmountFlags::DETACH);
    }
}

/// Lets the workers' own files lie elsewhere, as an administrator would.
fn workers_elsewhere(world: &World) {
    std::fs::create_dir_all(world.data()).unwrap();
    std::fs::create_dir(world.path("workers")).unwrap();
    std::os::unix::fs::symlink(world.path("workers"), world.data().join("workers")).unwrap();
}

#[test]
fn the_servers_disk_is_full_for_a_while() {
    let mut world = World::new(&[
        "echo one >> $MARKS; echo begun; until [ -e $MARKS.go ]; do sleep 0.05; done; seq 1 300000; echo printed >> $MARKS",
        "echo two >> $MARKS; echo the end; echo kept > kept.out",
    ]);
    let Some(disk) = Small::mount(&world.data(), "64m") else { return };
    workers_elsewhere(&world);
    world.start();
    world.await_marks(1);
    disk.fill();
    std::fs::write(world.path("marks.go"), "").unwrap();
    wait_for("a word of the full disk", LIMIT, || {
        let printed = world.printed();
        Ok((printed.contains("trying again") && printed.contains("space")).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.printed()));
    // The worker has a disk of its own, and goes on.
    world.await_marks(2);
    disk.free();
    let build = world.await_done();
    assert_eq!(build["outcome"], "ok", "{build:#}\n{}", world.printed());
    assert_eq!(build["attempts"].as_array().map(Vec::len), Some(1), "{build:#}");
    assert_eq!(world.marks(), ["one", "printed", "two"]);
    let expected: String = (1..=300_000).map(|n| format!("{n}\n")).collect();
    assert!(world.log(&build) == format!("begun\n{expected}the end\n"), "every byte once");
    world.check_quiet();
    world.server = None;
}

/// A world whose workers have a small disk; `None` without the right to mount one.
fn small_workers(step: &str) -> Option<(World, Small)> {
    let world = World::new(&[step]);
    let disk = Small::mount(&world.path("workers-disk"), "64m")?;
    std::fs::create_dir_all(world.data()).unwrap();
    std::os::unix::fs::symlink(&disk.at, world.data().join("workers")).unwrap();
    Some((world, disk))
}

fn outcomes(build: &Value) -> Vec<(&str, &str)> {
    let attempts = build["attempts"].as_array().expect("attempts");
    fn text(value: &Value) -> &str {
        value.as_str().unwrap_or("")
    }
    attempts.iter().map(|attempt| (text(&attempt["outcome"]), text(&attempt["cause"]["kind"]))).collect()
}

#[test]
fn the_workers_disk_is_full_for_a_while() {
    let step = "echo one >> $MARKS; echo begun; until [ -e $MARKS.go ]; do sleep 0.05; done; seq 1 300000";
    let Some((mut world, disk)) = small_workers(step) else { return };
    world.start();
    world.await_marks(1);
    disk.fill();
    std::fs::write(world.path("marks.go"), "").unwrap();
    world.await_build("a lost attempt", |build| {
        outcomes(build).first().is_some_and(|first| first.0 == "infra_failed")
    });
    disk.free();
    let build = world.await_done();
    // The second attempt follows at once and may still find the disk full; the third has a pause before it.
    let outcomes = outcomes(&build);
    let (last, lost) = outcomes.split_last().unwrap();
    assert_eq!(*last, ("ok", ""), "{build:#}\n{}", world.printed());
    assert!(lost.iter().all(|one| *one == ("infra_failed", "worker_disk_full")), "{build:#}");
    let expected: String = (1..=300_000).map(|n| format!("{n}\n")).collect();
    assert!(world.log(&build) == format!("begun\n{expected}"), "every byte once");
    assert!(world.attempt_log(&build["attempts"][0]).starts_with("begun\n"));
    world.server = None;
}

#[test]
fn a_job_that_fills_its_workers_disk_ends_and_keeps_nobody_else_from_working() {
    let step = "echo one >> $MARKS; echo begun; head -c 60000000 /dev/zero > big; head -c 20000000 /dev/zero | tr '\\0' x";
    let Some((mut world, disk)) = small_workers(step) else { return };
    world.start();
    let build = world.await_done();
    assert_eq!(outcomes(&build), [("infra_failed", "worker_disk_full"); 3], "{build:#}\n{}", world.printed());
    assert_eq!(build["outcome"], "infra_failed");
    // The last machine is cleaned first.
    let aside = wait_for("three set aside", LIMIT, || {
        let status = world.status()?;
        let workers = status["workers"].as_array().cloned().unwrap_or_default();
        let aside: Vec<_> = workers.into_iter().filter(|worker| worker["state"] == "set_aside").collect();
        Ok((aside.len() == 3).then_some(aside))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.printed()));
    let full = |worker: &Value| worker["reason"].as_str().is_some_and(|why| why.contains("disk full"));
    assert!(aside.iter().all(full), "{aside:#?}");
    // What the job left is gone.
    let free = rustix::fs::statvfs(&disk.at).unwrap();
    let free = free.f_bavail * free.f_frsize;
    assert!(free > 50_000_000, "{free} bytes are free");
    world.server = None;
}
