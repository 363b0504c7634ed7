//! Which targets there are, what is asked of each, and the table in the book that says so.

use anyhow::{Result, bail};

/// Where the table is.
pub(super) const BOOK: &str = "docs/BUILDLET.md";

/// Systems of the original's list that rustc has no standard library for, ready made; their buildlet is the original's.
pub(super) const NOT_HAD: &[(&str, &str)] = &[
    ("x86_64-unknown-openbsd", "rustup has no standard library of it"),
    ("x86_64-unknown-dragonfly", "rustup has no standard library of it"),
    ("powerpc64-ibm-aix", "rustup has no standard library of it"),
];

/// One target.
pub(super) struct Target {
    pub(super) triple: &'static str,
    pub(super) features: Features,
    pub(super) asked: Asked,
    /// What this tells, for the book.
    pub(super) told: &'static str,
    /// Whether it is like enough to another to be looked at only when that is asked for.
    pub(super) rarely: bool,
}

/// What is in the agent.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Features {
    /// What is shipped: TLS and SSH.
    Whole,
    /// Neither, for where no C can be compiled.
    Bare,
}

/// What is done for a target.
#[derive(Clone, Copy)]
pub(super) enum Asked {
    /// `cargo clippy` without a warning; with `--link` a program too, where this compiler is.
    Check { linked_by: Option<&'static str> },
    /// A program, with a C compiler for parts of the cryptography and a linker where rustc's own choice won't do.
    Link { compiler: &'static str, linker: Option<&'static str>, runner: Runner },
}

/// What runs the program here.
#[derive(Clone, Copy)]
pub(super) enum Runner {
    /// This machine, if it is of that kind.
    Itself(&'static str),
    /// A program that is given the other one.
    By(&'static str),
}

const CLIPPY: Asked = Asked::Check { linked_by: None };

pub(super) const TARGETS: &[Target] = &[
    Target {
        triple: "x86_64-unknown-linux-musl",
        features: Features::Whole,
        asked: Asked::Link { compiler: "cc", linker: None, runner: Runner::Itself("x86_64") },
        told: "linked, static; says its version",
        rarely: false,
    },
    Target {
        triple: "aarch64-unknown-linux-musl",
        features: Features::Whole,
        asked: Asked::Link {
            compiler: "aarch64-linux-gnu-gcc",
            linker: Some("rust-lld"),
            runner: Runner::By("qemu-aarch64"),
        },
        told: "with `--all`: linked, static; says its version under `qemu-aarch64`",
        rarely: true,
    },
    Target {
        triple: "x86_64-unknown-freebsd",
        features: Features::Whole,
        asked: CLIPPY,
        told: "clippy",
        rarely: false,
    },
    Target {
        triple: "x86_64-unknown-netbsd",
        features: Features::Whole,
        asked: CLIPPY,
        told: "clippy, with `--all`",
        rarely: true,
    },
    Target {
        triple: "aarch64-apple-darwin",
        features: Features::Whole,
        asked: CLIPPY,
        told: "clippy, with `--all`",
        rarely: true,
    },
    Target {
        triple: "x86_64-apple-darwin",
        features: Features::Bare,
        asked: CLIPPY,
        told: "clippy, with `--all`",
        rarely: true,
    },
    Target {
        triple: "x86_64-pc-windows-gnu",
        features: Features::Whole,
        asked: Asked::Check { linked_by: Some("x86_64-w64-mingw32-gcc") },
        told: "clippy; with `--link`, linked by MinGW; with `--wine`, its tests under Wine",
        rarely: false,
    },
];

impl Features {
    /// As the table and the lines say it.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Whole => "TLS and SSH",
            Self::Bare => "neither",
        }
    }

    /// As cargo is told.
    pub(super) const fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Whole => &["--all-features"],
            Self::Bare => &["--no-default-features"],
        }
    }
}

/// The rows that the book's table must have.
fn rows() -> Vec<String> {
    let row =
        |target: &Target| format!("| {} | {} | {} |", target.triple, target.features.text(), target.told);
    let left = |(triple, why): &(&str, &str)| format!("| {triple} | – | left out: {why} |");
    TARGETS.iter().map(row).chain(NOT_HAD.iter().map(left)).collect()
}

/// Fails unless the book has exactly the rows of this list, and says what to put there.
pub(super) fn told_in(book: &str) -> Result<()> {
    let told: Vec<&str> = book
        .lines()
        .skip_while(|line| !line.starts_with("| target | with |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let rows = rows();
    if told != rows {
        bail!(
            "the table of targets in {BOOK} is not xtask/src/targets/list.rs; its rows are:\n{}",
            rows.join("\n")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_tells_the_list() {
        let book = std::fs::read_to_string(crate::metadata::root().join(BOOK)).unwrap();
        told_in(&book).unwrap();
        let why = told_in("| target | with |\n|---|---|\n| x86_64-unknown-linux-musl | TLS |\n").unwrap_err();
        assert!(why.to_string().contains("x86_64-unknown-netbsd"), "{why}");
    }

    #[test]
    fn no_target_is_there_twice() {
        for (nth, target) in TARGETS.iter().enumerate() {
            let same = |other: &Target| other.triple == target.triple && other.features == target.features;
            assert!(!TARGETS[..nth].iter().any(same), "{}", target.triple);
        }
    }
}
