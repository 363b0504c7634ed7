//! Measuring: queues of commits, and what was measured.

use serde_json::json;
use store::Tx;
use store::legacy::bench_results::Measured;
use store::legacy::commits::CommitRow;
use store::legacy::{bench_queues, bench_results, commits, tags};

use super::answer::{Fault, NO_ENTITY, Outcome, null};
use super::call::{Call, Desk};
use super::input::Input;
use super::logs;

/// The benchmark that says that a commit is done.
pub(super) const DONE: &str = "meta-done";

/// Puts a new commit into every queue that there is.
pub(super) async fn queue(tx: &mut Tx, dash: &str, num: i64) -> Result<(), Fault> {
    for (builder, mut nums) in bench_queues::list(tx, dash).await? {
        nums.push(num);
        bench_queues::put(tx, dash, &builder, &nums).await?;
    }
    Ok(())
}

/// The next commit to be measured, and what of it is measured.
pub(super) async fn next(desk: &Desk, builder: &str) -> Result<Option<(CommitRow, Vec<String>)>, Fault> {
    let dash = desk.dash.name();
    let mut reader = desk.dashboard.db().read().await?;
    let nums = match bench_queues::get(&mut reader, dash, builder).await? {
        Some(nums) => nums,
        None => {
            drop(reader);
            let mut tx = desk.begin().await?;
            let nums = new_queue(&mut tx, dash).await?;
            bench_queues::put(&mut tx, dash, builder, &nums).await?;
            tx.commit().await?;
            reader = desk.dashboard.db().read().await?;
            nums
        }
    };
    let Some(num) = nums.last() else { return Ok(None) };
    let commit = commits::by_num(&mut reader, dash, "", *num).await?;
    let commit = commit.ok_or_else(|| Fault::new(NO_ENTITY))?;
    if !commit.bench {
        return Err(Fault::new("commit from perf todo queue is not intended for benchmarking"));
    }
    let mut done = bench_results::of(&mut reader, dash, &commit.hash, builder).await?;
    done.retain(|benchmark| benchmark != DONE);
    Ok(Some((commit, done)))
}

/// Releases are next, then new commits and old ones by turns. What is older than release go1 is not measured.
async fn new_queue(tx: &mut Tx, dash: &str) -> Result<Vec<i64>, Fault> {
    let releases = tags::list(tx, dash).await?;
    let (mut nums, mut first) = (Vec::new(), Vec::new());
    for (num, hash) in commits::measured(tx, dash, "").await? {
        let release = releases.iter().find(|tag| tag.kind == "release" && tag.hash == hash);
        if release.is_some() {
            first.push(num);
        }
        if release.is_some_and(|tag| tag.name == "go1") {
            break;
        }
        nums.push(num);
    }
    let mut queue = order(nums);
    queue.extend(first);
    Ok(queue)
}

/// Orders numbers so that, from the end, two of the newest come before one out of the whole history, whose places
/// halve the gaps that are left.
fn order(mut nums: Vec<i64>) -> Vec<i64> {
    nums.sort_unstable();
    let n = nums.len();
    let bits = n.next_power_of_two().trailing_zeros();
    let scattered = |turn: usize| if bits == 0 { 0 } else { turn.reverse_bits() >> (usize::BITS - bits) };
    let mut taken = vec![false; n];
    let mut served = Vec::with_capacity(n);
    let mut newest = (0..n).rev();
    let mut turns = (0..n.next_power_of_two()).map(scattered).filter(|at| *at < n);
    while served.len() < n {
        for _ in 0..2 {
            if let Some(at) = newest.by_ref().find(|at| !taken[*at]) {
                taken[at] = true;
                served.push(nums[at]);
            }
        }
        if let Some(at) = turns.by_ref().find(|at| !taken[*at]) {
            taken[at] = true;
            served.push(nums[at]);
        }
    }
    served.reverse();
    served
}

/// `/perf-result`
pub(super) async fn perf_result(mut call: Call) -> Outcome {
    call.post_only()?;
    let decoding = |fault: Fault| fault.within("decoding Body");
    let input = Input::read(&call.body().await?).map_err(decoding)?;
    let builder = input.text("Builder").map_err(decoding)?;
    call.speaks_for(&builder)?;
    let benchmark = input.text("Benchmark").map_err(decoding)?;
    let hash = input.text("Hash").map_err(decoding)?;
    let data = measured(&call.desk, &input).await?;
    let dash = call.desk.dash.name();
    let mut tx = call.desk.begin().await?;
    let commit = commits::get(&mut tx, dash, "", &hash).await?;
    let commit = commit.ok_or_else(|| Fault::new(NO_ENTITY))?;
    if !commit.bench {
        return Call::refuse("commit does not need benchmarking");
    }
    let name = benchmark.split('-').next().unwrap_or_default();
    if benchmark == DONE {
        if let Some(mut nums) = bench_queues::get(&mut tx, dash, &builder).await? {
            nums.retain(|num| *num != commit.num);
            bench_queues::put(&mut tx, dash, &builder, &nums).await?;
        }
    } else if !bench_results::known(&mut tx, dash, &builder, name).await? {
        // A benchmark that is new to a builder: all commits are to be measured again.
        bench_queues::delete(&mut tx, dash, &builder).await?;
    }
    let what = Measured { hash: &hash, builder: &builder, benchmark: &benchmark };
    bench_results::put(&mut tx, dash, what, &data).await?;
    tx.commit().await?;
    null()
}

/// What was measured, with its files kept as logs.
async fn measured(desk: &Desk, input: &Input) -> Result<String, Fault> {
    let mut metrics = Vec::new();
    for metric in input.list("Metrics")? {
        metrics.push(json!({"type": metric.text("Type")?, "value": metric.number("Val")?}));
    }
    let mut files = Vec::new();
    for file in input.list("Artifacts")? {
        let sha1 = logs::put(desk, file.bytes("Body")?).await?;
        files.push(json!({"type": file.text("Type")?, "sha1": sha1}));
    }
    Ok(json!({"ok": input.truth("OK")?, "metrics": metrics, "files": files}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_new_ones_then_one_out_of_history() {
        let served = |nums: &[i64]| order(nums.to_vec()).into_iter().rev().collect::<Vec<_>>();
        assert_eq!(served(&[7, 6, 3, 1]), [7, 6, 1, 3]);
        assert_eq!(served(&[3, 1]), [3, 1]);
        assert_eq!(served(&[5]), [5]);
        assert!(served(&[]).is_empty());
        let all: Vec<i64> = (0..16).collect();
        assert_eq!(served(&all), [15, 14, 0, 13, 12, 8, 11, 10, 4, 9, 7, 2, 6, 5, 1, 3]);
    }
}
