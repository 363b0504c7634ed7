//! `config check` of files of mute rules.

use std::path::Path;

use buildenv::{Config, MuteFile};
use coordinator::check_mutes;
use serde_json::{Value, json};

use crate::args::ConfigFiles;
use crate::system::composed::{PROJECT_FILE, today};

/// What is wrong with the files, and which rules have expired.
pub struct Checked {
    /// In the order of the files.
    pub mistakes: Vec<coordinator::MuteProblem>,
    /// Rules that mute nothing any more.
    pub expired: Vec<coordinator::Expired>,
}

/// Puts in the files that repositories name, each from beside its project file.
pub fn with_projects(config: Config, files: &ConfigFiles) -> Config {
    let mut mutes: Vec<MuteFile> = config.mutes().to_vec();
    for file in &mut mutes {
        let Some(repo) = file.repo.as_ref().map(ToString::to_string) else { continue };
        let named = files.projects.iter().find_map(|project| match project.split_once('=') {
            Some((name, path)) => (name == repo).then_some(path),
            None => Some(project.as_str()),
        });
        let top = Path::new(named.unwrap_or(PROJECT_FILE)).parent().unwrap_or(Path::new(""));
        let path = top.join(&file.name);
        file.text = std::fs::read_to_string(&path).ok();
        file.file = path.display().to_string();
    }
    config.with_mutes(mutes)
}

/// Looks into all files.
pub fn check(config: &Config) -> Checked {
    let check = check_mutes(config, today());
    let mistakes = check.server.into_iter().chain(check.projects).collect();
    Checked { mistakes, expired: check.expired }
}

impl Checked {
    /// The mistakes in the form of all others.
    pub fn json(&self) -> Vec<Value> {
        let one = |mistake: &coordinator::MuteProblem| {
            let place = &mistake.place;
            json!({
                "file": place.file, "line": place.line, "column": place.column, "key": "mute", "message": mistake.message,
                "expected": mistake.remedy, "nearest": null, "notes": [], "project": null, "snippet": "", "width": 1,
            })
        };
        self.mistakes.iter().map(one).collect()
    }
}
