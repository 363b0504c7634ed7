//! `cargo xtask book`: makes the manual of docs/ with mdBook, and follows every link inside of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{metadata, process, setup};

/// The time mdBook may take.
const LIMIT: Duration = Duration::from_secs(2 * 60);

/// Arguments of `cargo xtask book`.
#[derive(clap::Args)]
pub struct Args {
    /// Where the pages go [default: target/book]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Makes the book, and fails if a link or a chapter leads nowhere.
pub fn run(args: &Args) -> Result<ExitCode> {
    let root = metadata::root();
    let docs = root.join("docs");
    let to = args.to.clone().unwrap_or_else(|| root.join("target/book"));
    setup::ensure("docs")?;
    let mdbook = setup::path("mdbook")?.join("bin/mdbook");
    let mut command = Command::new(&mdbook);
    command.arg("build").arg("--dest-dir").arg(&to).arg(&docs);
    process::output(&mut command, LIMIT).context("mdbook build")?;
    let mut wrong = left_out(&docs)?;
    let pages = pages(&to)?;
    let (links, broken) = follow(&pages, &to);
    wrong.extend(broken);
    for one in &wrong {
        eprintln!("{one}");
    }
    println!("book: {} pages, {links} links, {} problems; {}", pages.len(), wrong.len(), to.display());
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Chapters that no line of SUMMARY.md names.
fn left_out(docs: &Path) -> Result<Vec<String>> {
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).context("docs/SUMMARY.md")?;
    let mut missing = Vec::new();
    for entry in std::fs::read_dir(docs)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") && name != "SUMMARY.md" && !summary.contains(&format!("({name})")) {
            missing.push(format!("docs/{name}: not in docs/SUMMARY.md"));
        }
    }
    missing.sort();
    Ok(missing)
}

/// What is to be known of a page.
struct Page {
    links: Vec<String>,
    ids: BTreeSet<String>,
}

/// All pages, by their path below the book. The one for printing repeats all others, and the one for what is not there
/// has its links from the top.
fn pages(book: &Path) -> Result<BTreeMap<PathBuf, Page>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![book.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".html")
                && !matches!(name.as_str(), "print.html" | "404.html" | "toc.html")
            {
                let html = std::fs::read_to_string(&path)?;
                let below = path.strip_prefix(book).context("a page outside of the book")?.to_owned();
                let links = [attributes(&html, "href"), attributes(&html, "src")].concat();
                found.insert(below, Page { links, ids: attributes(&html, "id").into_iter().collect() });
            }
        }
    }
    if found.is_empty() {
        bail!("mdbook made no page in {}", book.display());
    }
    Ok(found)
}

/// The values of an attribute in all tags, as mdBook writes them: in double quotes.
fn attributes(html: &str, name: &str) -> Vec<String> {
    let marker = format!(" {name}=\"");
    let mut found = Vec::new();
    for tag in html.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or(tag);
        if let Some((_, rest)) = tag.split_once(&marker)
            && let Some((value, _)) = rest.split_once('"')
        {
            found.push(value.replace("&amp;", "&"));
        }
    }
    found
}

/// Follows all links that stay inside; gives how many there are, and those that lead nowhere.
fn follow(pages: &BTreeMap<PathBuf, Page>, book: &Path) -> (usize, Vec<String>) {
    let mut seen = 0;
    let mut broken = Vec::new();
    for (path, page) in pages {
        for link in page.links.iter().collect::<BTreeSet<_>>() {
            if link.contains("://") || link.starts_with("mailto:") || link.starts_with("data:") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => Some(path.clone()),
                file => inside(path.parent().unwrap_or(Path::new("")), file),
            };
            let there = |target: &PathBuf| match pages.get(target) {
                Some(page) => anchor.is_empty() || page.ids.contains(anchor),
                None => book.join(target).exists(),
            };
            if !target.as_ref().is_some_and(there) {
                broken.push(format!("{}: the link {link:?} leads nowhere", path.display()));
            }
        }
    }
    (seen, broken)
}

/// A relative link as a path below the book; nothing if it leads out.
fn inside(from: &Path, link: &str) -> Option<PathBuf> {
    let mut at: Vec<String> = from.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    for part in Path::new(link).components() {
        match part {
            Component::Normal(name) => at.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => drop(at.pop()?),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(at.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_anchors_that_lead_nowhere_are_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let one = "<a href=\"sub/b.html#here\">x</a><a class=\"y\" href=\"sub/b.html#gone\">x</a><a href=\"../out\">x</a>\
                   <a href=\"https://example.org/none\">x</a><img src=\"none.png\">";
        std::fs::write(dir.path().join("a.html"), one).unwrap();
        let two = "<h1 id=\"here\">x</h1><a href=\"../a.html\">x</a><a href=\"#here\">x</a>";
        std::fs::write(dir.path().join("sub/b.html"), two).unwrap();
        let (seen, broken) = follow(&pages(dir.path()).unwrap(), dir.path());
        assert_eq!(seen, 6);
        let wanted = ["../out", "none.png", "sub/b.html#gone"];
        assert_eq!(broken, wanted.map(|link| format!("a.html: the link {link:?} leads nowhere")));
    }

    #[test]
    fn a_chapter_that_the_summary_does_not_name_is_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("SUMMARY.md"), "- [A](a.md)\n").unwrap();
        for name in ["a.md", "b.md"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(left_out(dir.path()).unwrap(), ["docs/b.md: not in docs/SUMMARY.md"]);
    }

    /// Every chapter of this tree has its line.
    #[test]
    fn the_summary_names_every_chapter() {
        assert_eq!(left_out(&metadata::root().join("docs")).unwrap(), Vec::<String>::new());
    }
}
