//! A verdict in words.

use super::next::leaning;
use super::{Blame, Case, Evidence, Verdict};

/// What a person reads: the verdict first, then the numbers it rests on.
pub(super) fn sentence(case: &Case, verdict: Verdict, evidence: &Evidence, blame: Option<&Blame>) -> String {
    let test = &case.test;
    let mut text = match verdict {
        Verdict::Caused if evidence.new_test => format!("{test} came with this change and fails"),
        Verdict::Caused => format!("{test} fails because of this change"),
        Verdict::Flaky => format!("{test} is flaky: it fails at times with and without this change"),
        Verdict::BrokenAtBase => format!("{test} is broken without this change, too"),
        Verdict::Unknown => format!("it can't be told why {test} fails"),
    };
    let joint = if verdict == Verdict::Flaky { "; " } else { ": " };
    text.push_str(joint);
    text.push_str(&numbers(evidence));
    text.push('.');
    if let Some(worker) = &evidence.only_on_worker {
        text.push_str(&format!(" It failed only on the worker {worker}, which may be at fault."));
    }
    if verdict == Verdict::Unknown {
        text.push_str(why_unknown(evidence));
    }
    match blame {
        Some(Blame::Parts(parts)) => {
            let numbers: Vec<String> =
                parts.iter().map(|part| format!("number {}", u32::from(*part) + 1)).collect();
            text.push_str(&format!(" Of the changes, {} alone has it fail.", numbers.join(" as well as ")));
        }
        Some(Blame::OnlyTogether) => {
            text.push_str(" Each of the changes alone passes: only together they fail.")
        }
        Some(Blame::Untold) => text.push_str(" Which of the changes it is can't be told."),
        None => {}
    }
    text
}

/// `it failed again in 3 of 3 runs with the change, in 0 of 4 without it, and …`.
fn numbers(evidence: &Evidence) -> String {
    let (changed, base) = (evidence.changed(), evidence.base);
    let mut parts = vec![match changed.runs() {
        0 => "it could not be run again with the change".to_owned(),
        runs => format!("it failed again in {} of {runs} runs with the change", changed.failed()),
    }];
    if evidence.new_test {
        parts.push("the base does not have it".to_owned());
    } else if evidence.base_unbuildable {
        parts.push("the base can't be built".to_owned());
    } else if base.runs() > 0 {
        let other = if base.other > 0 { format!(" ({} in another way)", base.other) } else { String::new() };
        parts.push(format!("in {} of {} without it{other}", base.failed(), base.runs()));
    }
    let here = evidence.history.here;
    if here.runs > 0 {
        let other =
            if here.other > 0 { format!(" and {} times in another way", here.other) } else { String::new() };
        parts.push(format!(
            "and at landed commits on this builder {} times in {} runs{other}",
            here.same, here.runs
        ));
    }
    parts.join(", ")
}

fn why_unknown(evidence: &Evidence) -> &'static str {
    if evidence.base_unbuildable {
        " Without a base there is nothing to compare with."
    } else if evidence.base.other > 0 && evidence.base.same == 0 {
        " The base fails in another way, which hides what it would do otherwise."
    } else if evidence.nothing > evidence.changed().runs() + evidence.base.runs() {
        " Most runs were lost to machines."
    } else {
        match leaning(evidence) {
            Verdict::Caused => " It looks like the change, but not enough runs could be had to say so.",
            Verdict::Flaky => " It looks like a flake, but not enough runs could be had to say so.",
            Verdict::BrokenAtBase => {
                " It looks broken at the base, but not enough runs could be had to say so."
            }
            Verdict::Unknown => "",
        }
    }
}
