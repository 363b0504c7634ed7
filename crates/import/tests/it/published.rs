//! Workflows as the packages that this workspace uses publish them. They are read where cargo keeps the packages.

use std::path::{Path, PathBuf};

use import::{Options, SourceFile, System, translate};

use super::{sound, unknown};

/// The folders of all packages in the lock file that come from a registry.
fn packages() -> Vec<PathBuf> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let folder = |package: &serde_json::Value| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        package["source"].is_string().then(|| manifest.parent().map(Path::to_owned))?
    };
    all["packages"].as_array().unwrap().iter().filter_map(folder).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "yml" || end == "yaml")).collect()
}

#[test]
fn workflows_of_the_packages_in_use_become_sound_configurations() {
    let (mut seen, mut builders, mut silent) = (0, 0, Vec::new());
    for folder in packages() {
        for path in files(&folder.join(".github/workflows")) {
            let name =
                format!("{}/{}", folder.file_name().unwrap().display(), path.file_name().unwrap().display());
            let file = SourceFile { name: name.clone(), text: std::fs::read_to_string(&path).unwrap() };
            let imported = translate(&[file], System::GitHub, &Options::default());
            let imported = imported.unwrap_or_else(|why| panic!("{why}"));
            sound(&imported);
            seen += 1;
            builders += imported.builders;
            silent.extend(unknown(&imported));
        }
        let gitlab = folder.join(".gitlab-ci.yml");
        if let Ok(text) = std::fs::read_to_string(&gitlab) {
            let file = SourceFile { name: gitlab.display().to_string(), text };
            match translate(&[file], System::GitLab, &Options::default()) {
                Ok(imported) => {
                    sound(&imported);
                    silent.extend(unknown(&imported));
                }
                Err(why) => panic!("{why}"),
            }
        }
    }
    println!("{seen} workflows, {builders} builders");
    assert!(seen >= 60 && builders >= 200, "{seen} workflows, {builders} builders");
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}
