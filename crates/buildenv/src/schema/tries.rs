//! The keys of `[tries]`.

use super::Section;
use super::Type::*;
use super::keys::key;

pub(super) static TRIES: Section = Section {
    name: "tries",
    header: "[tries]",
    doc: "How somebody asks in a review for a try run, and how the answer is given: see docs/tries.md. Which changes are looked at \
          is said by `changes` of each repository, and what is known of them by `[maintnerd]`.",
    project: false,
    keys: &[
        key(
            "label",
            Text,
            r#""Run-TryBot""#,
            r#"label = "Commit-Queue""#,
            "The label of Gerrit by which somebody asks. Who may vote on it is Gerrit's matter, and is what is trusted.",
        ),
        key("value", Int(1, 2), "1", "value = 2", "The vote from which on it asks."),
        key(
            "result",
            Text,
            r#""TryBot-Result""#,
            r#"result = "Verified""#,
            "The label of the answer. A change that has a vote on it is not tried, until that is taken away.",
        ),
        key(
            "pulls_every",
            Timeout,
            r#""10s""#,
            r#"pulls_every = "30s""#,
            "How often GitHub is asked for the heads of pull requests. An answer that nothing changed costs nothing of what GitHub allows.",
        ),
        key(
            "topics",
            OneOf(&["apart", "together"]),
            r#""apart""#,
            r#"topics = "together""#,
            "Whether open changes of one topic are tried together, as a Gerrit with `change.submitWholeTopic` submits them.",
        ),
        key(
            "reruns",
            Int(0, 200),
            "24",
            "reruns = 12",
            "How often what fails in a run is built again at most, with the change and at its base, to tell whose fault it is \
             (docs/flakes.md); 0 blames the change for everything.",
        ),
        key(
            "rerun_time",
            Timeout,
            r#""2h""#,
            r#"rerun_time = "30m""#,
            "How long that may take. What is not known by then counts as the change's fault.",
        ),
    ],
};
