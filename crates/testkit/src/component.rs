//! What `cargo xtask setup` has fetched.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The folder in the cache of a component of components.toml that has a digest.
///
/// # Errors
/// Where there is no such component, or it was not fetched.
pub fn component(name: &str) -> Result<PathBuf> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../components.toml");
    let text = std::fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    let entry = text.split("[[component]]").find(|entry| entry.contains(&format!("\nname = \"{name}\"\n")));
    let digest = entry.and_then(|entry| entry.split("\nsha256 = \"").nth(1)?.split('"').next());
    let digest = digest.with_context(|| format!("components.toml has no {name} with a digest"))?;
    let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(&std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    let folder = cache.join("bellwether/components").join(digest);
    let missing = || format!("no {}: `cargo xtask setup --only {name}` installs it", folder.display());
    folder.is_dir().then_some(()).with_context(missing)?;
    Ok(folder)
}

/// The one file of a component that is a file.
///
/// # Errors
/// As [`component`].
pub fn component_file(name: &str) -> Result<PathBuf> {
    let folder = component(name)?;
    let file = std::fs::read_dir(&folder)?.next().transpose()?;
    Ok(file.with_context(|| format!("nothing in {}", folder.display()))?.path())
}
