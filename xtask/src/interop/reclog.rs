//! Both readers of records are fed the same bytes, whole logs with some of them changed: they take as many records, and both
//! take all or both do not.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::around;
use crate::corpus::random::Random;
use crate::server_binary;

/// How many runs of bytes.
const INPUTS: usize = 100_000;
/// Any other is as good.
const SEED: u64 = 5;
/// What stands in a header, so that changes meet it often.
const LIKELY: &[u8] = b"REC@+=-0123456789abcdefABCDEF";

/// Feeds both, and says what came of it.
pub(super) fn agree() -> Result<String> {
    let mut random = Random::new(SEED);
    let inputs: Vec<Vec<u8>> = (0..INPUTS).map(|_| input(&mut random)).collect();
    let theirs = answers(&around("reclog", "./reclog")?, &inputs)?;
    let ours = answers(&server_binary::example("records")?, &inputs)?;
    let (mut whole, mut signs) = (0, 0);
    for (input, (theirs, ours)) in inputs.iter().zip(theirs.iter().zip(&ours)) {
        let said = Said::of(ours)?;
        whole += usize::from(said.broken.is_none());
        if said.records == Said::of(theirs)?.records && ours.contains("ok") == theirs.contains("ok") {
            continue;
        }
        // The original takes a length below zero as nothing, and an offset of minus zero; we do not (spec maintner, 2.1 and 11).
        let sign = said.broken.is_some_and(|at| has_sign(input, at));
        ensure!(sign, "{:?}: the original says {theirs}, we say {ours}", String::from_utf8_lossy(input));
        signs += 1;
    }
    // A test in which nothing is taken, or all is, would show little.
    ensure!(whole > INPUTS / 20 && whole < INPUTS / 2, "{whole} of {INPUTS} inputs were whole");
    ensure!(signs > 0, "no input has a number below zero");
    Ok(format!("{INPUTS} inputs, {whole} of them whole: equal but for {signs} with a minus sign"))
}

/// An answer: records, and where it is broken, by ours only.
struct Said {
    records: u32,
    broken: Option<usize>,
}

impl Said {
    fn of(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let broken = words.get(2).map(|at| at.parse()).transpose()?;
        Ok(Self { records: words[0].parse().with_context(|| line.to_owned())?, broken })
    }
}

/// Whether there is a minus sign in the header at an offset.
fn has_sign(input: &[u8], at: usize) -> bool {
    let rest = input.get(at..).unwrap_or_default();
    rest.split(|byte| *byte == b'=').next().is_some_and(|header| header.contains(&b'-'))
}

/// What a program says of each input.
fn answers(program: &Path, inputs: &[Vec<u8>]) -> Result<Vec<String>> {
    let mut framed = Vec::new();
    for input in inputs {
        framed.extend(u32::try_from(input.len())?.to_le_bytes());
        framed.extend(input);
    }
    let shown = || program.display().to_string();
    let mut command = Command::new(program);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(shown)?;
    let mut into = child.stdin.take().with_context(shown)?;
    let feeder = std::thread::spawn(move || into.write_all(&framed));
    let output = child.wait_with_output()?;
    feeder.join().map_err(|_| anyhow::anyhow!("the feeder panicked"))??;
    ensure!(output.status.success(), "{}: {}", shown(), output.status);
    let lines: Vec<String> = String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect();
    ensure!(lines.len() == inputs.len(), "{} answered {} of {} inputs", shown(), lines.len(), inputs.len());
    Ok(lines)
}

/// A header as writers write it.
fn header(offset: usize, length: usize) -> String {
    format!("REC@{offset:x}+{length:x}=")
}

/// A log of a few records, with up to three changes.
fn input(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(6) {
        let payload: Vec<u8> = (0..random.below(20)).map(|_| byte(random)).collect();
        bytes.extend(written(bytes.len(), payload.len(), random).into_bytes());
        bytes.extend(payload);
    }
    for _ in 0..random.below(4) {
        change(&mut bytes, random);
    }
    bytes
}

/// A header as writers write it, or one that only readers accept.
fn written(offset: usize, length: usize, random: &mut Random) -> String {
    let usual = header(offset, length);
    match random.below(12) {
        0 => usual.to_ascii_uppercase(),
        1 => format!("REC@{offset:0width$x}+{length:x}=", width = random.index(36)),
        2 => format!("REC@{offset:x}+{length:0width$x}=", width = random.index(36)),
        3 if length == 0 => format!("REC@{offset:x}+-{:x}=", random.below(3)),
        _ => usual,
    }
}

fn byte(random: &mut Random) -> u8 {
    if random.one_in(3) { random.next().to_le_bytes()[0] } else { LIKELY[random.index(LIKELY.len())] }
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.index(bytes.len().max(1));
    match random.below(6) {
        _ if bytes.is_empty() => bytes.push(byte(random)),
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = byte(random),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, byte(random)),
        4 => drop(bytes.remove(at)),
        // A record again, which is where it does not belong.
        _ => bytes.extend_from_within(at..),
    }
}
