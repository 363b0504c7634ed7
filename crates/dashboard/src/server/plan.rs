//! What the configuration says about a branch: who builds it, against which branches of its toolchain.

use buildenv::{Class, Config, RepoName};

/// A branch against one branch of its toolchain, or by itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Pairing {
    /// Repo and branch that it is built against.
    pub(super) toolchain: Option<(String, String)>,
    /// Who builds it.
    pub(super) builders: Vec<String>,
    /// Who does not, and why.
    pub(super) left_out: Vec<(String, String)>,
}

/// What is planned for a branch.
#[derive(Debug, Clone, Default)]
pub(super) struct Planned {
    pub(super) pairings: Vec<Pairing>,
    /// Why there are none though the configuration wants them.
    pub(super) blocked: Option<String>,
    /// How many commits back are filled.
    pub(super) horizon: u32,
}

/// Plans a branch. `branches_of` lists the live branches of a repo.
pub(super) fn plan(
    config: &Config,
    repo: &str,
    branch: &str,
    default_branch: Option<&str>,
    branches_of: impl Fn(&str) -> Vec<String>,
) -> Planned {
    let Some(known) = config.repo(repo) else { return Planned::default() };
    if !known.builds_branch(branch, default_branch) {
        return Planned::default();
    }
    let mut planned = Planned { horizon: known.horizon.max(1), ..Planned::default() };
    let Some(toolchain) = config.toolchain_of(repo) else {
        planned.pairings.push(pairing(config, &known.name, branch, None));
        return planned;
    };
    let others = branches_of(toolchain.name.as_str());
    for other in buildenv::toolchain_pairs(config, &known.name, branch, &others) {
        let with = (toolchain.name.to_string(), other);
        planned.pairings.push(pairing(config, &known.name, branch, Some(with)));
    }
    if planned.pairings.is_empty() {
        planned.blocked = Some(if others.is_empty() {
            format!("waits for the first commits of {}", toolchain.name)
        } else {
            format!("no branch of {} goes with it", toolchain.name)
        });
    }
    planned
}

fn pairing(config: &Config, repo: &RepoName, branch: &str, toolchain: Option<(String, String)>) -> Pairing {
    let other = toolchain.as_ref().map(|(_, branch)| branch.as_str());
    let plan = buildenv::plan(config, repo, branch, other, Class::PostSubmit);
    Pairing {
        builders: plan.builds.iter().map(|planned| planned.builder.name.to_string()).collect(),
        left_out: plan.left_out.into_iter().map(|out| (out.builder.name.to_string(), out.reason)).collect(),
        toolchain,
    }
}
