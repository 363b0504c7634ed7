//! Rows of figures of the original and of ours.

use std::fmt::Write;

use super::peer::percentile;

/// By which ratio a row's budget (design §8) is met: how many times less ours takes, or more it does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Budget {
    Less(f64),
    More(f64),
    /// It is only shown, as how many times less ours takes.
    None,
}

/// A table whose first column names a row, its second is the original's, its third ours.
#[derive(Debug, Default)]
pub(super) struct Beside(String);

impl Beside {
    pub(super) fn row(&mut self, what: &str, unit: &str, original: f64, ours: f64, budget: Budget) {
        let (ratio, text, met) = match budget {
            Budget::Less(limit) => {
                let ratio = original / ours.max(1e-9);
                (format!("{ratio:.2} × less"), format!("≥ {limit:.1} × less"), Some(ratio >= limit))
            }
            Budget::More(limit) => {
                let ratio = ours / original.max(1e-9);
                (format!("{ratio:.2} ×"), format!("≥ {limit:.1} ×"), Some(ratio >= limit))
            }
            Budget::None => (format!("{:.2} × less", original / ours.max(1e-9)), "–".to_owned(), None),
        };
        let mark = met.map_or("", |met| if met { "met" } else { "**missed**" });
        let _ = writeln!(
            self.0,
            "| {what} | {original:.2} {unit} | {ours:.2} {unit} | {ratio} | {text} | {mark} |"
        );
    }

    pub(super) fn finish(self) -> String {
        format!("| what | original | ours | ratio | budget | |\n|---|---|---|---|---|---|\n{}", self.0)
    }
}

pub(super) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

pub(super) fn median(values: &[f64]) -> f64 {
    percentile(&sorted(values), 50)
}
