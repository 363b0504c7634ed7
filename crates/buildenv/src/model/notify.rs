//! Who is told of what, and what is a cause for alarm.

use std::time::Duration;

use crate::fields::Fields;
use crate::pattern::{Pattern, Patterns};
use crate::quantity::parse_duration;

/// Something that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// A builder broke on a branch.
    Broken,
    /// It is mended.
    Mended,
    /// An alarm began or ended.
    Alarms,
}

impl Tell {
    /// As the configuration has them.
    pub const NAMES: [(&'static str, Tell); 3] =
        [("broken", Tell::Broken), ("mended", Tell::Mended), ("alarms", Tell::Alarms)];
}

/// A rule about who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// Its name.
    pub name: String,
    /// Of builds of these repositories.
    pub repo: Patterns,
    /// On these branches.
    pub branch: Patterns,
    /// By these builders.
    pub builder: Patterns,
    /// What is told.
    pub tell: Vec<Tell>,
    /// Who gets a mail.
    pub mail: Vec<String>,
    /// Webhooks that are posted to, by name.
    pub webhooks: Vec<String>,
    /// Whether it is said in the review of the commit that broke a builder, or on that commit.
    pub review: bool,
}

impl Notify {
    pub(crate) fn read(name: String, f: Fields<'_>) -> Self {
        let said = f.texts("tell");
        let wanted = |(word, _): &&(&str, Tell)| match said.is_empty() {
            true => *word != "alarms",
            false => said.iter().any(|said| said == word),
        };
        Self {
            name,
            repo: f.patterns("repo"),
            branch: f.patterns("branch"),
            builder: f.patterns("builder"),
            tell: Tell::NAMES.iter().filter(wanted).map(|(_, tell)| *tell).collect(),
            mail: f.texts("mail"),
            webhooks: f.texts("webhook"),
            review: f.flag("review"),
        }
    }

    /// Whether it tells this of a builder on a branch.
    #[must_use]
    pub fn tells_of_build(&self, what: Tell, repo: &str, branch: &str, builder: &str) -> bool {
        let is_of = self.repo.matches(repo) && self.branch.matches(branch) && self.builder.matches(builder);
        self.tell.contains(&what) && is_of
    }

    /// Whether it tells alarms of a builder, or (without one) of machines.
    #[must_use]
    pub fn tells_alarms(&self, builder: Option<&str>) -> bool {
        self.tell.contains(&Tell::Alarms) && builder.is_none_or(|builder| self.builder.matches(builder))
    }
}

/// From when on a machine or a builder is a cause for alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarms {
    /// Kinds that there are not.
    pub off: Vec<String>,
    /// The builders of which there are alarms.
    pub builder: Patterns,
    /// Percent of a machine's attempts of a day that were for nothing.
    pub machine_retries: u32,
    /// Percent of a builder's builds of a day that had more than one attempt.
    pub builder_retries: u32,
    /// So many attempts or builds there are at least before a share of them counts.
    pub least: u32,
    /// How long builds may take on average, by pattern of builders.
    pub budgets: Vec<(Pattern, Duration)>,
    /// How long no build may end while one waits or runs as long.
    pub silent: Duration,
    /// How long a build may wait for a machine.
    pub short: Duration,
}

impl Alarms {
    /// The kinds.
    pub const KINDS: [&'static str; 5] = ["machine_retries", "builder_retries", "budget", "silent", "short"];

    pub(crate) fn read(f: Fields<'_>) -> Self {
        let budget =
            |(pattern, time): (String, String)| Some((pattern.parse().ok()?, parse_duration(&time)?));
        Self {
            off: f.texts("off"),
            builder: f.patterns("builder"),
            machine_retries: f.int("machine_retries").unwrap_or(25),
            builder_retries: f.int("builder_retries").unwrap_or(30),
            least: f.int("least").unwrap_or(8),
            budgets: f.vars("budget").into_iter().filter_map(budget).collect(),
            silent: f.duration("silent").unwrap_or(Duration::from_secs(6 * 3600)),
            short: f.duration("short").unwrap_or(Duration::from_secs(2 * 3600)),
        }
    }

    /// How long builds of a builder may take on average, if that is said.
    #[must_use]
    pub fn budget(&self, builder: &str) -> Option<Duration> {
        self.budgets.iter().find(|(pattern, _)| pattern.matches(builder)).map(|(_, time)| *time)
    }
}
