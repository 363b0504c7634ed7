//! Repositories on GitHub, their labels and milestones.

use anyhow::Result;
use maintpb::{BoolChange, GithubLabel, GithubMilestone, GithubMutation};

use super::random::Random;
use super::words::Words;
use super::world::World;

pub struct Repo {
    pub owner: &'static str,
    pub name: &'static str,
    pub labels: Vec<GithubLabel>,
    pub milestones: Vec<GithubMilestone>,
    /// Of the newest issue.
    pub number: i32,
}

/// Name, labels, milestones.
const REPOS: &[(&str, u32, u32)] =
    &[("go", 96, 24), ("vscode-go", 32, 10), ("tools", 9, 0), ("oauth2", 9, 0), ("mobile", 9, 1)];

pub fn repos(random: &mut Random, words: &Words) -> Vec<Repo> {
    let mut id = 100_000;
    let mut next = |random: &mut Random| {
        id += 1 + i64::from(random.below(90_000));
        id
    };
    REPOS
        .iter()
        .map(|&(name, labels, milestones)| Repo {
            owner: "golang",
            name,
            labels: (0..labels)
                .map(|n| GithubLabel { id: next(random), name: label(random, words, n) })
                .collect(),
            milestones: (0..milestones)
                .map(|n| GithubMilestone {
                    id: next(random),
                    title: format!("Go1.{}", n + 2),
                    closed: Some(BoolChange { val: false }),
                    number: i64::from(n) + 1,
                })
                .collect(),
            number: 0,
        })
        .collect()
}

fn label(random: &mut Random, words: &Words, n: u32) -> String {
    match n % 4 {
        0 => format!("OS-{}", words.name(random)),
        1 => format!("help wanted: {}", words.name(random)),
        2 => format!("Needs{n}"),
        _ => words.name(random).to_owned(),
    }
}

impl Repo {
    fn says(&self, labels: Vec<GithubLabel>, milestones: Vec<GithubMilestone>) -> GithubMutation {
        GithubMutation { owner: self.owner.into(), repo: self.name.into(), labels, milestones }
    }
}

pub fn begin(world: &mut World) -> Result<()> {
    for repo in &world.repos {
        world.log.github(world.now, repo.says(repo.labels.clone(), Vec::new()))?;
        if !repo.milestones.is_empty() {
            world.log.github(world.now, repo.says(Vec::new(), repo.milestones.clone()))?;
        }
    }
    Ok(())
}

/// A milestone is over, one has another title, a label another name, and one is new.
pub fn half_year(world: &mut World, number: u64) -> Result<()> {
    for repo in &mut world.repos {
        let renamed = world.random.index(repo.labels.len());
        repo.labels[renamed].name = format!("{}-{number}", world.words.name(&mut world.random));
        let id = repo.labels.iter().map(|label| label.id).max().unwrap_or(0) + 7;
        repo.labels.push(GithubLabel { id, name: world.words.name(&mut world.random).to_owned() });
        let labels = vec![repo.labels[renamed].clone(), repo.labels[repo.labels.len() - 1].clone()];
        world.log.github(world.now, repo.says(labels, Vec::new()))?;
        if repo.milestones.is_empty() {
            continue;
        }
        let over = usize::try_from(number)? % repo.milestones.len();
        let title = world.random.index(repo.milestones.len());
        repo.milestones[title].title.push('x');
        let titled = &repo.milestones[title];
        let closed = GithubMilestone {
            id: repo.milestones[over].id,
            closed: Some(BoolChange { val: true }),
            ..GithubMilestone::default()
        };
        let named =
            GithubMilestone { id: titled.id, title: titled.title.clone(), ..GithubMilestone::default() };
        world.log.github(world.now, repo.says(Vec::new(), vec![closed, named]))?;
    }
    Ok(())
}
