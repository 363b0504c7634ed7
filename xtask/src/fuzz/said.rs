//! What libFuzzer says of a run, in the few words that matter.

/// Above the lines of [`Said::line`].
pub(super) const HEAD: &str = "target             runs   per s  coverage    ways  corpus  finding";

/// Lines before the end that are kept to tell of a finding.
const LAST: usize = 60;

/// What one run said.
#[derive(Debug, Default)]
pub(super) struct Said {
    runs: u64,
    per_second: u64,
    /// Edges of the program that were gone over.
    coverage: u64,
    /// The same with how often, and what was compared.
    ways: u64,
    corpus: u64,
    file: Option<String>,
    panic: Option<String>,
    last: Vec<String>,
    why: Option<String>,
}

impl Said {
    pub(super) fn take(&mut self, line: &str) {
        let number = |text: &str| text.trim().parse().unwrap_or(0);
        if let Some((name, value)) = line.strip_prefix("stat::").and_then(|rest| rest.split_once(':')) {
            match name {
                "number_of_executed_units" => self.runs = number(value),
                "average_exec_per_sec" => self.per_second = number(value),
                _ => {}
            }
            return;
        }
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.file = Some(path.trim().to_owned());
            return;
        }
        // `#12345 DONE   cov: 2381 ft: 9012 corp: 530/61Kb exec/s: 2100 rss: 480Mb`
        if line.starts_with('#') && line.contains(" cov: ") {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let after = |name: &str| words.iter().skip_while(|word| **word != name).nth(1).copied();
            self.runs = after_mark(&words).unwrap_or(self.runs);
            self.coverage = after("cov:").map_or(self.coverage, number);
            self.ways = after("ft:").map_or(self.ways, number);
            let corpus = after("corp:").and_then(|word| word.split('/').next());
            self.corpus = corpus.map_or(self.corpus, number);
            self.per_second = after("exec/s:").map_or(self.per_second, number);
            return;
        }
        if self.panic.is_none() && (line.contains(" panicked at ") || line.contains("ERROR: ")) {
            self.panic = Some(line.to_owned());
        }
        if self.last.len() == LAST {
            self.last.remove(0);
        }
        self.last.push(line.to_owned());
    }

    /// Says why it ended, if that was not for its time.
    pub(super) fn ended(&mut self, why: Option<String>) {
        self.why = why;
    }

    /// What was found, with all that was said of it last.
    pub(super) fn finding(&self) -> Option<String> {
        let why = self.why.as_ref()?;
        let panic = self.panic.as_deref().unwrap_or("it ended");
        Some(format!("{}\nFOUND {panic} ({why})", self.last.join("\n")))
    }

    /// The file of the finding.
    pub(super) fn file(&self, name: &str) -> String {
        self.file.clone().unwrap_or_else(|| format!("(no file was written; see target/fuzz/found/{name})"))
    }

    pub(super) fn line(&self, name: &str) -> String {
        let Self { runs, per_second, coverage, ways, corpus, .. } = self;
        let finding = if self.why.is_some() { "FOUND" } else { "none" };
        format!("{name:<12} {runs:>10} {per_second:>7} {coverage:>9} {ways:>7} {corpus:>7}  {finding}")
    }
}

/// How many runs a line is of.
fn after_mark(words: &[&str]) -> Option<u64> {
    words.first()?.strip_prefix('#')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_in_a_line() {
        let mut said = Said::default();
        for line in [
            "INFO: Seed: 1",
            "#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 40Mb",
            "#70304\tDONE   cov: 2381 ft: 9012 corp: 530/61Kb lim: 4096 exec/s: 2100 rss: 480Mb",
            "stat::number_of_executed_units: 70310",
            "stat::average_exec_per_sec:     2130",
        ] {
            said.take(line);
        }
        said.ended(None);
        assert_eq!(said.finding(), None);
        assert_eq!(said.line("untar"), "untar             70310    2130      2381    9012     530  none");
    }

    #[test]
    fn a_finding_has_its_panic_and_its_file() {
        let mut said = Said::default();
        for line in [
            "#9\tNEW    cov: 10 ft: 11 corp: 3/1b exec/s: 7 rss: 40Mb",
            "thread '<unnamed>' panicked at src/a.rs:1:1:",
            "artifact_prefix='x/'; Test unit written to x/crash-1",
        ] {
            said.take(line);
        }
        said.ended(Some("exit status: 77".into()));
        assert!(
            said.finding()
                .unwrap()
                .ends_with("FOUND thread '<unnamed>' panicked at src/a.rs:1:1: (exit status: 77)")
        );
        assert_eq!(said.file("a"), "x/crash-1");
        assert!(said.line("a").ends_with("9       7        10      11       3  FOUND"));
    }
}
