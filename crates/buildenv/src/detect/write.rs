//! Writes what was found as a project file.

use std::fmt::Write;

use super::Found;
use crate::tree::quote;

/// Writes a commented `bellwether.toml` for what was found, building `branch`; if that is empty, the default branch.
#[must_use]
pub fn to_toml(found: &[Found], branch: &str) -> String {
    let mut out = String::from(
        "# How Bellwether builds this repository. Written by `bellwether init` from the files it found;\n\
         # change it freely. Every key is described in docs/CONFIG.md.\n\n",
    );
    out.push_str(
        "# Branches that are built; \"release-*\" is a pattern. Without this, the default branch.\n",
    );
    let _ = match branch {
        "" => writeln!(out, "# branches = [\"main\"]\n"),
        branch => writeln!(out, "branches = [{}]\n", quote(branch)),
    };
    out.push_str("# How many commits back empty cells are filled.\n# horizon = 20\n");
    for project in found {
        out.push('\n');
        for reason in &project.because {
            let _ = writeln!(out, "# {}", reason.replace(char::is_control, " "));
        }
        let _ = writeln!(out, "# Needs: {}.", project.tools.join(", "));
        let recipe = quote(project.recipe_name.as_str());
        let (builder_key, recipe_key) =
            (key(project.builder_name.as_str()), key(project.recipe_name.as_str()));
        let _ = writeln!(out, "[builder.{builder_key}]\nrecipe = {recipe}");
        out.push_str("# needs = { os = \"linux\" }   # which machines; without it, any\n");
        let _ = writeln!(out, "# try = true                # build changes under review too\n");
        let _ = writeln!(out, "[recipe.{recipe_key}]");
        if !project.dir.is_empty() {
            let _ = writeln!(out, "dir = {}", quote(&project.dir));
        }
        out.push_str("timeout = \"20m\"\n");
        for step in &project.steps {
            let _ = writeln!(
                out,
                "\n[[recipe.{recipe_key}.step]]\nname = {}\nrun = {}",
                quote(step.name),
                literal(&step.run)
            );
        }
    }
    out
}

fn key(name: &str) -> String {
    crate::tree::show_key(name)
}

/// Commands are easier to read without escapes.
fn literal(text: &str) -> String {
    let plain = !text.contains('\'') && !text.chars().any(char::is_control);
    if plain { format!("'{text}'") } else { quote(text) }
}
