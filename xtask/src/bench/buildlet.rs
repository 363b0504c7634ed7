//! Today's original buildlet and ours, asked the same by one client, in turns.
//!
//! Both run on this machine with a work directory on the same file system. What comes out of them is unpacked by tar, and each tree is
//! held against the one that went in.

mod http;
mod report;
mod revdial;
mod side;
mod tree;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Args;
use crate::{interop, metadata, process, setup};
use side::{Kind, Side};
use tree::Tree;

pub(super) use revdial::section as over_revdial;

/// Bytes that a command prints.
const OUTPUT: u64 = 1_000_000_000;
/// Building ours as it is shipped.
const BUILD: Duration = Duration::from_secs(60 * 60);

/// What one side did: a value a round, in seconds unless said otherwise.
#[derive(Debug, Clone, Default)]
struct Figures {
    tar_in: Vec<f64>,
    tar_in_cpu: Vec<f64>,
    /// The archive that the side itself made.
    own_in: Vec<f64>,
    tar_out: Vec<f64>,
    tar_out_cpu: Vec<f64>,
    /// Bytes.
    archive: u64,
    /// Packed for another of its kind, and unpacked there.
    ends: Vec<f64>,
    /// Bytes.
    between: u64,
    listing: Vec<f64>,
    removal: Vec<f64>,
    removal_cpu: Vec<f64>,
    /// Milliseconds, of all rounds.
    exec: Vec<f64>,
    output: Vec<f64>,
    /// Bytes.
    idle: u64,
    peak: u64,
    program: u64,
}

/// What tar and pigz do on the same file system, in seconds.
#[derive(Debug, Clone, Default)]
struct Floor {
    unpack: Vec<f64>,
    pack: Vec<f64>,
}

/// Runs both sides and the floor in turns.
pub(super) fn section(args: &Args) -> Result<String> {
    setup::ensure("bench")?;
    let original = interop::original("xbuild-newest")?;
    let version = setup::version("xbuild-newest")?;
    let ours = program(args)?;
    let place = args.place.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::Builder::new().prefix("bw-buildlet-").tempdir_in(&place)?;
    let tree = Tree::of_go(dir.path())?;
    let mut sides = [
        Side::start(Kind::Original, &original, &dir.path().join("original"))?,
        Side::start(Kind::Ours, &ours, &dir.path().join("ours"))?,
    ];
    let mut figures = [Figures::default(), Figures::default()];
    for (side, figures) in sides.iter_mut().zip(&mut figures) {
        side.get("/status")?;
        figures.idle = side.resident()?;
        figures.program = std::fs::metadata(side.program())?.len();
    }
    let mut floor = Floor::default();
    for round in 0..args.rounds.max(1) {
        for (side, figures) in sides.iter_mut().zip(&mut figures) {
            one_round(side, figures, &tree, dir.path(), args)
                .with_context(|| format!("{:?}, round {round}", side.kind()))?;
            eprintln!("round {round}, {:?}: {}", side.kind(), report::last(figures));
        }
        floor_round(&mut floor, dir.path())?;
    }
    for (side, figures) in sides.iter().zip(&mut figures) {
        figures.peak = side.peak()?;
    }
    let [original, ours] = figures;
    Ok(report::markdown(&version, &original, &ours, &floor, &tree, args))
}

/// Ours as it is shipped: static, small, with all that it can.
fn program(args: &Args) -> Result<PathBuf> {
    if let Some(program) = &args.program {
        return program.canonicalize().with_context(|| program.display().to_string());
    }
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let mut command = process::cargo();
    command
        .args([
            "build",
            "--quiet",
            "--profile",
            "dist",
            "--package",
            "buildlet",
            "--all-features",
            "--target",
            &target,
        ])
        .current_dir(metadata::root());
    let compiler = format!("CC_{}", target.replace('-', "_"));
    if std::env::var_os(&compiler).is_none() {
        // What there is of C needs no library of its own.
        command.env(&compiler, "cc");
    }
    process::output(&mut command, BUILD)
        .with_context(|| format!("the static buildlet; `rustup target add {target}` may be missing"))?;
    let target_dir =
        std::env::var_os("CARGO_TARGET_DIR").map_or(metadata::root().join("target"), PathBuf::from);
    Ok(target_dir.join(&target).join("dist/buildlet"))
}

fn one_round(side: &mut Side, figures: &mut Figures, tree: &Tree, place: &Path, args: &Args) -> Result<()> {
    settle(place)?;
    let before = side.cpu()?;
    figures.tar_in.push(timed(|| side.unpack("in", &tree.archive))?);
    figures.tar_in_cpu.push(side.cpu()? - before);
    tree::equal("unpacked", &tree.manifest, &tree::manifest(&side.workdir().join("in"))?)?;

    settle(place)?;
    let mut archive = Vec::with_capacity(tree.archive.len() * 2);
    let before = side.cpu()?;
    figures.tar_out.push(timed(|| side.pack("in", &mut archive))?);
    figures.tar_out_cpu.push(side.cpu()? - before);
    figures.archive = archive.len() as u64;
    let packed = place.join("out.tar.gz");
    std::fs::write(&packed, &archive)?;
    let unpacked = place.join("out");
    std::fs::create_dir(&unpacked)?;
    tree::unpack(&packed, &unpacked)?;
    tree::equal("packed", &tree.manifest, &tree::manifest(&unpacked)?)?;
    std::fs::remove_dir_all(&unpacked)?;

    settle(place)?;
    figures.own_in.push(timed(|| side.unpack("own", &archive))?);
    tree::equal("packed and unpacked", &tree.manifest, &tree::manifest(&side.workdir().join("own"))?)?;
    side.remove("own")?;

    settle(place)?;
    archive.clear();
    figures.ends.push(timed(|| {
        side.pack_for_own("in", &mut archive)?;
        side.unpack("own", &archive)
    })?);
    figures.between = archive.len() as u64;
    tree::equal("packed for its own", &tree.manifest, &tree::manifest(&side.workdir().join("own"))?)?;
    drop(archive);

    settle(place)?;
    figures.listing.push(timed(|| {
        let listing = side.get("/ls?dir=in&recursive=true&digest=true")?;
        let lines = listing.iter().filter(|byte| **byte == b'\n').count();
        ensure!(lines == tree.manifest.len(), "{lines} lines of {}", tree.manifest.len());
        Ok(())
    })?);

    settle(place)?;
    let before = side.cpu()?;
    figures.removal.push(timed(|| side.remove("in"))?);
    figures.removal_cpu.push(side.cpu()? - before);
    ensure!(!side.workdir().join("in").exists(), "what was removed is there still");
    side.remove("own")?;

    settle(place)?;
    for _ in 0..args.execs {
        figures.exec.push(timed(|| side.run("true", &[]).map(drop))? * 1e3);
    }
    let mut bytes = 0;
    figures.output.push(timed(|| {
        bytes = side.run("head", &["-c", &OUTPUT.to_string(), "/dev/zero"])?;
        Ok(())
    })?);
    ensure!(bytes == OUTPUT, "{bytes} bytes of output");
    Ok(())
}

fn floor_round(floor: &mut Floor, place: &Path) -> Result<()> {
    let (packed, dir) = (place.join(tree::PACKED), place.join("floor"));
    std::fs::create_dir(&dir)?;
    settle(place)?;
    floor.unpack.push(tree::unpack(&packed, &dir)?.as_secs_f64());
    settle(place)?;
    floor.pack.push(tree::pack(&dir, &place.join("floor.tar.gz"))?.as_secs_f64());
    Ok(std::fs::remove_dir_all(&dir)?)
}

/// What was written before is none of the next one's cost.
fn settle(place: &Path) -> Result<()> {
    Ok(rustix::fs::syncfs(std::fs::File::open(place)?)?)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed().as_secs_f64())
}
