//! Whose configuration a file is, by its name and its first keys.

use crate::System;

/// Guesses whose configuration a file is.
#[must_use]
pub fn recognize(path: &str, text: &str) -> Option<System> {
    let path = path.replace('\\', "/");
    let name = path.rsplit('/').next().unwrap_or(&path);
    if path.contains(".github/workflows/") {
        return Some(System::GitHub);
    }
    if name.ends_with(".gitlab-ci.yml") || name.ends_with(".gitlab-ci.yaml") {
        return Some(System::GitLab);
    }
    if name == "master.cfg" || name.ends_with(".py") {
        return Some(System::Buildbot);
    }
    if matches!(name, "zuul.yaml" | ".zuul.yaml" | "zuul.yml" | ".zuul.yml") || path.contains("zuul.d/") {
        return Some(System::Zuul);
    }
    if matches!(name, ".prow.yaml" | ".prow.yml") || path.contains(".prow/") {
        return Some(System::Prow);
    }
    let begins = |keys: &[&str]| {
        text.lines().any(|line| {
            keys.iter().any(|key| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))
        })
    };
    if begins(&["presubmits", "postsubmits", "periodics"]) {
        Some(System::Prow)
    } else if begins(&["jobs"]) && begins(&["on", "\"on\"", "'on'"]) {
        Some(System::GitHub)
    } else if begins(&["- job", "- project", "- nodeset", "- project-template"]) {
        Some(System::Zuul)
    } else if begins(&["stages", "before_script", "workflow"]) || text.contains("\n  script:") {
        Some(System::GitLab)
    } else if text.contains("BuildmasterConfig") {
        Some(System::Buildbot)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_and_by_keys() {
        let of = |path, text| recognize(path, text).map(System::as_str);
        assert_eq!(of("x/.github/workflows/ci.yml", ""), Some("github"));
        assert_eq!(of("ci.yml", "name: x\non: push\njobs:\n"), Some("github"));
        assert_eq!(of(".gitlab-ci.yml", ""), Some("gitlab"));
        assert_eq!(of("ci.yml", "test:\n  script: make\n"), Some("gitlab"));
        assert_eq!(of("master.cfg", ""), Some("buildbot"));
        assert_eq!(of("jobs.yaml", "- job:\n    name: x\n"), Some("zuul"));
        assert_eq!(of("jobs.yaml", "presubmits:\n"), Some("prow"));
        assert_eq!(of("x.yaml", "a: 1\n"), None);
    }
}
