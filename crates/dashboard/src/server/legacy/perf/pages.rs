//! How measurements are shown: a title, a table, a graph.

use askama::Template;
use webui::Markup;
use webui::chart;

use super::super::call::Desk;

/// A cell of the table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) to: Option<String>,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Cell { text: text.into(), to: None }
    }

    pub(super) fn link(text: &str, to: String) -> Self {
        Cell { text: text.to_owned(), to: Some(to) }
    }
}

/// A page about measurements.
#[derive(Template)]
#[template(path = "perf.html")]
pub(super) struct PerfPage {
    pub(super) title: String,
    pub(super) note: String,
    pub(super) heads: Vec<String>,
    pub(super) rows: Vec<Vec<Cell>>,
    pub(super) graph: Option<Markup>,
    pub(super) newer: Option<String>,
    pub(super) older: Option<String>,
}

impl PerfPage {
    pub(super) fn new(title: &str, heads: &[&str]) -> Self {
        PerfPage {
            title: title.to_owned(),
            note: String::new(),
            heads: heads.iter().map(|head| (*head).to_owned()).collect(),
            rows: Vec::new(),
            graph: None,
            newer: None,
            older: None,
        }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    /// Draws values, the oldest at the left.
    pub(super) fn draw(&mut self, values: &[f64]) {
        if values.len() > 1 {
            let most = number(values.iter().copied().fold(0.0, f64::max));
            self.graph = Some(chart::line(&format!("{}, the oldest at the left", self.title), &most, values));
        }
    }
}

/// An address below a dashboard's own.
pub(super) fn address(desk: &Desk, path: &str, query: &[(&str, &str)]) -> String {
    let mut address = format!("{}{path}", desk.dash.prefix());
    for (n, (key, value)) in query.iter().enumerate() {
        address.push(if n == 0 { '?' } else { '&' });
        address.push_str(&format!("{key}={}", transport::segment(value)));
    }
    address
}

/// A number without more digits than it has.
pub(super) fn number(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 { format!("{value:.0}") } else { format!("{value:.4}") }
}

/// What is noise, in percent.
pub(super) fn noise(value: f64) -> String {
    format!("{value:.2} %")
}

/// A change in percent, with its sign.
pub(super) fn percent(value: f64) -> String {
    format!("{value:+.2} %")
}
