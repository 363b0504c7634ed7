//! Rows of figures of a small and a large world.

use std::fmt::Write;

/// How much more the large world may cost.
#[derive(Debug, Clone, Copy)]
pub(super) enum Budget {
    /// At most so many times the small one.
    Times(f64),
    /// It is only shown.
    None,
}

/// A table whose first column names a row, its second is of the small world, its third of the large one.
pub(super) struct Table(String);

impl Table {
    pub(super) fn new(small: &str, large: &str) -> Self {
        Self(format!("| what | {small} | {large} | ratio | budget | |\n|---|---|---|---|---|---|\n"))
    }

    pub(super) fn row(&mut self, what: &str, unit: &str, small: f64, large: f64, budget: Budget) {
        let ratio = large / small.max(1e-9);
        let (budget, mark) = match budget {
            Budget::Times(times) => {
                (format!("≤ {times} ×"), if ratio <= times { "met" } else { "**missed**" })
            }
            Budget::None => ("–".to_owned(), ""),
        };
        let _ = writeln!(
            self.0,
            "| {what} | {small:.2} {unit} | {large:.2} {unit} | {ratio:.2} × | {budget} | {mark} |"
        );
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_met_up_to_its_ratio() {
        let mut table = Table::new("1", "100");
        table.row("a", "ms", 2.0, 4.0, Budget::Times(2.0));
        table.row("b", "ms", 2.0, 4.1, Budget::Times(2.0));
        table.row("c", "MiB", 2.0, 9.0, Budget::None);
        let text = table.finish();
        assert!(text.contains("| a | 2.00 ms | 4.00 ms | 2.00 × | ≤ 2 × | met |"), "{text}");
        assert!(text.contains("| 2.05 × | ≤ 2 × | **missed** |"), "{text}");
        assert!(text.contains("| 4.50 × | – |  |"), "{text}");
    }
}
