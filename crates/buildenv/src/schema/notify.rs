//! The keys of who is told, and of alarms.

use super::Section;
use super::Type::*;
use super::keys::key;

pub(super) static NOTIFY: Section = Section {
    name: "notify",
    header: "[notify.NAME]",
    doc: "Who is told when a builder breaks on a branch and when it is mended, and of alarms: see docs/notifications.md. \
          What is told to two rules is told twice.",
    project: false,
    keys: &[
        key("repo", Patterns, "all", r#"repo = ["go", "x-*"]"#, "Of builds of these repositories."),
        key("branch", Patterns, "all", r#"branch = ["main", "release-*"]"#, "On these branches."),
        key("builder", Patterns, "all", r#"builder = ["linux-*", "!*-race"]"#, "By these builders."),
        key(
            "tell",
            Texts,
            r#"["broken", "mended"]"#,
            r#"tell = ["broken", "mended", "alarms"]"#,
            "What is told. An alarm of a machine is of no builder, repository or branch: it is told whatever these say.",
        ),
        key(
            "mail",
            Texts,
            "nobody",
            r#"mail = ["go-team@example.org"]"#,
            "Who gets a mail, together. Needs `[mail]`.",
        ),
        key(
            "webhook",
            Names,
            "none",
            r#"webhook = "chat""#,
            "The sections `[webhook.NAME]` that are posted to.",
        ),
        key(
            "review",
            Bool,
            "false",
            "review = true",
            "Whether a comment says that a builder broke: in the review in which the first commit that failed was tried, else on that \
             commit on GitHub. Needs `[gerrit.NAME]` or `[github_posts]`; where neither fits, nothing is said.",
        ),
    ],
};

pub(super) static ALARMS: Section = Section {
    name: "alarms",
    header: "[alarms]",
    doc: "From when on a machine or a builder is a cause for alarm: see docs/statistics.md. Shown at `/status`, and told to who \
          wants alarms in `[notify.NAME]`.",
    project: false,
    keys: &[
        key(
            "off",
            Texts,
            "none",
            r#"off = ["silent"]"#,
            "Alarms that there are not: `machine_retries`, `builder_retries`, `budget`, `silent`, `short`.",
        ),
        key("builder", Patterns, "all", r#"builder = "!plan9-*""#, "The builders of which there are alarms."),
        key(
            "machine_retries",
            Int(1, 100),
            "25",
            "machine_retries = 40",
            "Percent of a machine's attempts of the last day that were for nothing: lost by it, or failed where another attempt did not.",
        ),
        key(
            "builder_retries",
            Int(1, 100),
            "30",
            "builder_retries = 50",
            "Percent of a builder's builds of the last day that had more than one attempt.",
        ),
        key(
            "least",
            Int(1, 10_000),
            "8",
            "least = 20",
            "So many attempts, or builds, there are at least before these are looked at, and builds before `budget` is.",
        ),
        key(
            "budget",
            Vars,
            "none",
            r#"budget = { "linux-*" = "20m", "*" = "1h" }"#,
            "How long builds of builders may take on average of a day. The first pattern that fits counts.",
        ),
        key(
            "silent",
            Timeout,
            "\"6h\"",
            r#"silent = "1h""#,
            "How long no build of a builder may end while one waits or runs as long.",
        ),
        key("short", Timeout, "\"2h\"", r#"short = "30m""#, "How long a build may wait for a machine."),
    ],
};
