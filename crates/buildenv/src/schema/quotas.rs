//! The keys of `[quotas]`.

use super::Section;
use super::Type::*;
use super::keys::key;

pub(super) static QUOTAS: Section = Section {
    name: "quotas",
    header: "[quotas]",
    doc: "How many builds a repository, or whoever asks for them, may have under way at once: see docs/scheduler.md. A change counts \
          with the next build that begins; none is ended for it.",
    project: false,
    keys: &[
        key(
            "repo",
            Int(0, 1_000_000),
            "0 (no limit)",
            "repo = 40",
            "Of each repository that has none of its own.",
        ),
        key(
            "user",
            Int(0, 1_000_000),
            "0 (no limit)",
            "user = 4",
            "Of each person that has none of their own. Counted are the machines that they hold by gomote: builds are their repository's.",
        ),
        key(
            "own",
            Tables(&OWN),
            "none",
            r#"own = [{ repo = "go", max = 200 }, { user = "gopher@example.org", max = 20 }]"#,
            "Quotas of single repositories and people, in place of those.",
        ),
    ],
};

static OWN: Section = Section {
    name: "own",
    header: "own = [{ … }]",
    doc: "The quota of one. One of `repo` and `user`.",
    project: false,
    keys: &[
        key("repo", Name, "none", r#"repo = "go""#, "The repository."),
        key(
            "user",
            Text,
            "none",
            r#"user = "gopher@example.org""#,
            "The person, as `bellwether gomote list` has them.",
        ),
        key("max", Int(0, 1_000_000), "0 (no limit)", "max = 20", "At most so many at once."),
    ],
};
