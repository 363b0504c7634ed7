//! Several machines at once: names with commas between them, and groups of them that are kept here.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use gomote::ListInstancesRequest;

use super::desk::Desk;
use super::dirs;
use crate::args::{Group, Server};

/// What stands before a group's name where a machine's may stand.
const GROUP: char = '@';

/// The machine that is meant.
pub(super) fn one(name: &str) -> Result<String> {
    let name = said(name)?;
    ensure!(
        !name.contains(',') && !name.starts_with(GROUP),
        "{name}: this is done on one machine at a time; name one of them"
    );
    Ok(name)
}

/// The machines that are meant. Those of a group that are not held any more are taken out of it.
pub(super) async fn all(desk: &Desk, server: &Server, name: &str) -> Result<Vec<String>> {
    let name = said(name)?;
    let mut names = Vec::new();
    for part in name.split(',') {
        match part.strip_prefix(GROUP) {
            Some(group) => {
                let held = held(desk).await?;
                let members = Groups::of(server)?.members(group, &held)?;
                ensure!(!members.is_empty(), "no machine of group {group} is held any more");
                names.extend(members);
            }
            None => names.push(part.to_owned()),
        }
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

fn said(name: &str) -> Result<String> {
    match name {
        "-" => {
            std::env::var("GOMOTE").context("- means the machine in the variable GOMOTE, which is not set")
        }
        name => Ok(name.to_owned()),
    }
}

async fn held(desk: &Desk) -> Result<BTreeSet<String>> {
    let list = desk.done(|mut api| async move { api.list_instances(ListInstancesRequest {}).await }).await?;
    Ok(list.instances.into_iter().map(|instance| instance.gomote_id).collect())
}

/// Does something on each of several machines at once. What fails is told as it does, by the machine's name.
pub(super) async fn each<T>(names: Vec<String>, act: impl AsyncFn(String) -> Result<T>) -> Result<Vec<T>> {
    each_of("machines", names, act).await
}

/// The same with what is called otherwise.
pub(super) async fn each_of<T>(
    called: &str,
    names: Vec<String>,
    act: impl AsyncFn(String) -> Result<T>,
) -> Result<Vec<T>> {
    if let [name] = &*names {
        return Ok(vec![act(name.clone()).await?]);
    }
    let count = names.len();
    let act = &act;
    let acts = names.into_iter().map(|name| async move { (name.clone(), act(name).await) });
    let mut acts: FuturesUnordered<_> = acts.collect();
    let mut done = Vec::new();
    while let Some((name, result)) = acts.next().await {
        match result {
            Ok(value) => done.push(value),
            Err(error) => eprintln!("{name}: error: {error:#}"),
        }
    }
    ensure!(done.len() == count, "it failed on {} of {count} {called}", count - done.len());
    Ok(done)
}

/// Groups of machines, a file of names for each.
pub(super) struct Groups(PathBuf);

impl Groups {
    pub fn of(server: &Server) -> Result<Groups> {
        Ok(Groups(dirs::of_server(server, "XDG_CONFIG_HOME", ".config", "gomote-groups")?))
    }

    fn file(&self, group: &str) -> Result<PathBuf> {
        ensure!(dirs::is_plain(group), "{group:?} is no name of a group: letters, digits, . _ and -");
        Ok(self.0.join(group))
    }

    fn read(&self, group: &str) -> Result<BTreeSet<String>> {
        let file = self.file(group)?;
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("there is no group {group}; `bellwether gomote group list` has yours")
            }
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }

    fn write(&self, group: &str, names: &BTreeSet<String>) -> Result<()> {
        let file = self.file(group)?;
        let new = self.0.join(format!(".new-{}", std::process::id()));
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        let write = |file: &Path| {
            std::fs::create_dir_all(&self.0)?;
            std::fs::write(&new, text)?;
            std::fs::rename(&new, file)
        };
        write(&file).with_context(|| format!("writing {}", file.display()))
    }

    /// Puts machines into a group, which is made where there is none.
    pub fn add(&self, group: &str, names: &[String]) -> Result<()> {
        let mut members = if self.file(group)?.exists() { self.read(group)? } else { BTreeSet::new() };
        members.extend(names.iter().cloned());
        self.write(group, &members)
    }

    fn remove(&self, group: &str, names: &[String]) -> Result<()> {
        let mut members = self.read(group)?;
        for name in names {
            ensure!(members.remove(name), "{name} is not in group {group}");
        }
        self.write(group, &members)
    }

    fn forget(&self, group: &str) -> Result<()> {
        self.read(group)?;
        let file = self.file(group)?;
        std::fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))
    }

    /// The machines of a group that are held; the others are taken out.
    fn members(&self, group: &str, held: &BTreeSet<String>) -> Result<Vec<String>> {
        let members = self.read(group)?;
        let live: BTreeSet<String> = members.intersection(held).cloned().collect();
        if live != members {
            self.write(group, &live)?;
        }
        Ok(live.into_iter().collect())
    }

    fn names(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("reading {}", self.0.display()))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string().ok().filter(|name| dirs::is_plain(name)));
        }
        names.sort();
        Ok(names)
    }
}

pub(super) async fn run(command: &Group) -> Result<()> {
    match command {
        Group::List(server) => {
            let groups = Groups::of(server)?;
            let names = groups.names()?;
            if names.is_empty() {
                eprintln!(
                    "there is no group; `bellwether gomote create BUILDER --count 3 --group NAME` makes one"
                );
                return Ok(());
            }
            let held = held(&Desk::new(server)?).await?;
            for name in names {
                println!("{name}: {}", groups.members(&name, &held)?.join(" "));
            }
            Ok(())
        }
        Group::Add { server, group, names } => Groups::of(server)?.add(group, names),
        Group::Remove { server, group, names } => Groups::of(server)?.remove(group, names),
        Group::Forget { server, group } => Groups::of(server)?.forget(group),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_group_has_the_machines_that_are_held_still() {
        let dir = tempfile::tempdir().unwrap();
        let groups = Groups(dir.path().join("groups"));
        assert_eq!(groups.names().unwrap(), [""; 0]);
        groups.add("g", &["a-0".into(), "a-1".into()]).unwrap();
        groups.add("g", &["b-0".into()]).unwrap();
        groups.remove("g", &["a-0".into()]).unwrap();
        assert_eq!(groups.members("g", &set(&["a-1", "b-0", "c-0"])).unwrap(), ["a-1", "b-0"]);
        assert_eq!(groups.members("g", &set(&["b-0"])).unwrap(), ["b-0"]);
        assert_eq!(groups.read("g").unwrap(), set(&["b-0"]));
        assert_eq!(groups.names().unwrap(), ["g"]);
        assert!(groups.remove("g", &["a-1".into()]).unwrap_err().to_string().contains("not in group g"));
        groups.forget("g").unwrap();
        assert!(groups.read("g").unwrap_err().to_string().contains("no group g"));
        for bad in ["", ".", "..", "a/b", "-x", "a b"] {
            assert!(groups.add(bad, &[]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_is_one() {
        assert_eq!(one("a-0").unwrap(), "a-0");
        for several in ["a,b", "@g"] {
            assert!(one(several).unwrap_err().to_string().contains("one machine at a time"));
        }
    }
}
