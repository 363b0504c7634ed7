//! Links of an archive, which an original buildlet refuses (2017) or drops (today): they are made by a command of their own.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The most links of a tree.
const MOST: usize = 100_000;
/// The most bytes of their names and targets.
const BYTES: usize = 8 << 20;

/// Links that are still to be made, beneath the directory that their archive was unpacked into.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Links {
    links: Vec<Link>,
    bytes: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Link {
    path: String,
    target: String,
    kind: Kind,
}

/// Which kind of link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Symbolic,
    /// Its target is relative to the archive, not to the link.
    Hard,
}

impl Links {
    pub(in crate::attempt) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Takes a link in.
    ///
    /// # Errors
    /// Why it is not made, as one of ours says it: it leads out of the directory, or there are too many.
    pub(super) fn add(&mut self, path: &str, target: &str, kind: Kind) -> Result<(), String> {
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let stays = match kind {
            Kind::Symbolic => clean(above, target).is_some(),
            Kind::Hard => clean("", target).is_some_and(|target| !target.is_empty()),
        };
        if target.is_empty() || target.contains('\0') || !stays {
            return Err(format!("{path:?}: the link leads out of the directory"));
        }
        self.bytes += path.len() + target.len();
        if self.links.len() == MOST || self.bytes > BYTES {
            return Err(format!("{path:?}: there are too many links to make them all"));
        }
        self.links.push(Link { path: path.to_owned(), target: target.to_owned(), kind });
        Ok(())
    }

    /// A script for `sh`, in the work directory, that makes the links of the tree in `dir` and removes itself.
    pub(super) fn script(&self, dir: &str, itself: &str) -> String {
        let mut script = String::from("set -e\n");
        let mut made = BTreeSet::new();
        let at = |path: &str| quoted(&format!("./{dir}/{path}"));
        for Link { path, target, kind } in &self.links {
            let above = path.rsplit_once('/').map_or("", |(above, _)| above);
            if made.insert(above) {
                let _ = writeln!(script, "mkdir -p {}", at(above));
            }
            let (path, target) = (
                at(path),
                match kind {
                    Kind::Symbolic => quoted(target),
                    Kind::Hard => at(target),
                },
            );
            let how = if *kind == Kind::Symbolic { "ln -s --" } else { "ln" };
            let _ = writeln!(script, "rm -f {path}\n{how} {target} {path}");
        }
        let _ = writeln!(script, "rm -f ./{itself}");
        script
    }
}

/// A word for `sh` that is this text whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A path as its parts say it, relative to where it is rooted; none if it leads out. Beneath `dir`, which is clean.
pub(super) fn clean(dir: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = dir.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_out_is_refused_by_its_name() {
        let mut links = Links::default();
        for (path, target) in
            [("a", "/etc"), ("a", ".."), ("a/b", "../../c"), ("a", ""), ("a", "b\0c"), ("a", "b/../../c")]
        {
            let said = links.add(path, target, Kind::Symbolic).unwrap_err();
            assert!(said.starts_with(&format!("{path:?}: ")), "{said}");
        }
        for target in ["../a", "/a", ".", ""] {
            links.add("x/y", target, Kind::Hard).unwrap_err();
        }
        assert!(links.is_empty());
        links.add("a/b", "../c", Kind::Symbolic).unwrap();
        links.add("a/d", "a/b", Kind::Hard).unwrap();
        for n in 2..MOST {
            links.add(&n.to_string(), "a", Kind::Symbolic).unwrap();
        }
        assert!(links.add("z", "a", Kind::Symbolic).unwrap_err().contains("too many"));
    }

    #[test]
    fn a_real_shell_makes_them_whatever_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let odd = "it's $(odd) -n\n*";
        std::fs::create_dir_all(dir.path().join("tree/sub")).unwrap();
        std::fs::write(dir.path().join("tree/file"), "text").unwrap();
        std::fs::write(dir.path().join("tree/there"), "is in the way").unwrap();
        let mut links = Links::default();
        for (path, target, kind) in [
            ("sub/up", "../file", Kind::Symbolic),
            ("new/deep/up", "../../file", Kind::Symbolic),
            (odd, "-f", Kind::Symbolic),
            ("there", "file", Kind::Symbolic),
            ("same", "file", Kind::Hard),
        ] {
            links.add(path, target, kind).unwrap();
        }
        std::fs::write(dir.path().join("script"), links.script("tree", "script")).unwrap();
        let done = std::process::Command::new("sh").arg("script").current_dir(&dir).status().unwrap();
        assert!(done.success());
        let tree = dir.path().join("tree");
        for path in ["sub/up", "new/deep/up", "there", "same"] {
            assert_eq!(std::fs::read_to_string(tree.join(path)).unwrap(), "text", "{path}");
        }
        assert_eq!(std::fs::read_link(tree.join(odd)).unwrap().to_str(), Some("-f"));
        assert!(!dir.path().join("script").exists());
    }
}
