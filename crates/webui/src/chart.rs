//! Charts as SVG: classes and attributes only, so that they pass a policy without inline styles. Each has its text
//! beside it in the page, so a chart itself is an image with a name. On a small screen it can be scrolled.

use std::fmt::Write as _;

use askama::filters::Safe;

use crate::Markup;
use crate::escape::visible;

/// A bar of a [`bars`] chart.
#[derive(Debug, Clone, Default)]
pub struct Bar {
    /// How high it is.
    pub value: f64,
    /// The word of a state, which gives its colour.
    pub class: &'static str,
    /// What it is, shown when it is pointed at.
    pub title: String,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 140.0;

/// Draws bars beside one another, from the left, the highest as high as the chart. `label` names the image; `top` is
/// the text at the highest value.
#[must_use]
pub fn bars(label: &str, top: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let step = WIDTH / bars.len().max(1) as f64;
    let step = step.min(40.0);
    let mut svg = open("chart", label, WIDTH, HEIGHT + 4.0);
    rule(&mut svg, top, 0.5);
    for (n, bar) in bars.iter().enumerate() {
        let height = if most > 0.0 { (bar.value / most * (HEIGHT - 16.0)).max(2.0) } else { 2.0 };
        let (x, y) = (step * n as f64, HEIGHT - height);
        let _ = write!(
            svg,
            "<rect class=\"bar {}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>",
            bar.class,
            (step - 1.5).max(1.0),
        );
        visible(&mut svg, &bar.title);
        svg.push_str("</title></rect>");
    }
    svg.push_str("</svg></figure>");
    Safe(svg)
}

/// Draws a line through values, from the left, the highest as high as the chart.
#[must_use]
pub fn line(label: &str, top: &str, values: &[f64]) -> Markup {
    let most = values.iter().copied().fold(0.0, f64::max);
    let step = WIDTH / values.len().saturating_sub(1).max(1) as f64;
    let mut svg = open("chart", label, WIDTH, HEIGHT + 4.0);
    rule(&mut svg, top, 0.5);
    svg.push_str("<polyline class=\"line\" points=\"");
    for (n, value) in values.iter().enumerate() {
        let y = if most > 0.0 { HEIGHT - value / most * (HEIGHT - 16.0) } else { HEIGHT };
        let _ = write!(svg, "{:.1},{y:.1} ", step * n as f64);
    }
    svg.push_str("\"/></svg></figure>");
    Safe(svg)
}

/// A row of a [`rows`] chart.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// How long its bar is.
    pub value: f64,
    /// The value, for people.
    pub text: String,
}

/// Draws bars below one another, the longest as long as the chart, each with its name before and its value after it.
/// `class` is the word of a state, which gives their colour.
#[must_use]
pub fn rows(label: &str, class: &str, rows: &[Row]) -> Markup {
    let most = rows.iter().map(|row| row.value).fold(0.0, f64::max);
    let mut svg = open("chart", label, WIDTH, ROW * rows.len() as f64 + 4.0);
    for (n, row) in rows.iter().enumerate() {
        let width = if most > 0.0 { row.value / most * (WIDTH - NAMES - AFTER) } else { 0.0 };
        let bar =
            Placed { x: NAMES, width, name: &row.name, text: &row.text, class: &format!("bar {class}") };
        place(&mut svg, n, &bar);
    }
    svg.push_str("</svg></figure>");
    Safe(svg)
}

/// A row of a [`ranges`] chart.
#[derive(Debug, Clone, Default)]
pub struct Range {
    /// Its name.
    pub name: String,
    /// How long the part of its bar is that stands out.
    pub usual: f64,
    /// How long its whole bar is.
    pub most: f64,
    /// The values, for people.
    pub text: String,
}

/// Draws bars below one another whose beginning stands out, the longest as long as the chart, each with its name before
/// and its values after it.
#[must_use]
pub fn ranges(label: &str, rows: &[Range]) -> Markup {
    const NAMES: f64 = 235.0;
    const AFTER: f64 = 150.0;
    let longest = rows.iter().map(|row| row.most.max(row.usual)).fold(0.0, f64::max);
    let width = |value: f64| {
        let share = if longest > 0.0 { value / longest } else { 0.0 };
        (share * (WIDTH - NAMES - AFTER)).max(2.0)
    };
    let mut svg = open("chart", label, WIDTH, ROW * rows.len() as f64 + 4.0);
    for (n, row) in rows.iter().enumerate() {
        let y = ROW * n as f64 + 2.0;
        let (usual, most) = (width(row.usual), width(row.most.max(row.usual)));
        let _ = write!(svg, "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">", NAMES - 8.0, y + 14.0);
        visible(&mut svg, &cut(&row.name, 34));
        let _ = write!(
            svg,
            "</text><rect class=\"bar most\" x=\"{NAMES:.1}\" y=\"{y:.1}\" width=\"{most:.1}\" height=\"{0:.0}\"/><rect \
             class=\"bar running\" x=\"{NAMES:.1}\" y=\"{y:.1}\" width=\"{usual:.1}\" height=\"{0:.0}\"/><text \
             class=\"took\" x=\"{1:.1}\" y=\"{2:.1}\">",
            ROW - 4.0,
            NAMES + most + 6.0,
            y + 14.0,
        );
        visible(&mut svg, &row.text);
        svg.push_str("</text>");
    }
    svg.push_str("</svg></figure>");
    Safe(svg)
}

/// Height of a row, width before the bars for names, and after them for values.
const ROW: f64 = 22.0;
const NAMES: f64 = 150.0;
const AFTER: f64 = 90.0;

struct Placed<'a> {
    x: f64,
    width: f64,
    name: &'a str,
    text: &'a str,
    class: &'a str,
}

fn place(svg: &mut String, row: usize, bar: &Placed<'_>) {
    let y = ROW * row as f64 + 2.0;
    let _ = write!(svg, "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">", NAMES - 8.0, y + 14.0);
    visible(svg, &short(bar.name));
    let _ = write!(
        svg,
        "</text><rect class=\"{}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.0}\"/><text class=\"took\" x=\"{:.1}\" y=\"{:.1}\">",
        bar.class,
        bar.x,
        bar.width.max(2.0),
        ROW - 4.0,
        bar.x + bar.width.max(2.0) + 6.0,
        y + 14.0,
    );
    visible(svg, bar.text);
    svg.push_str("</text>");
}

/// A part of a [`spans`] chart, in microseconds from its beginning.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// When it begins.
    pub start: i64,
    /// When it ends.
    pub end: i64,
    /// How long it took, for people.
    pub took: String,
    /// Whether the whole would have been shorter without it.
    pub critical: bool,
    /// Whether something went wrong in it.
    pub failed: bool,
}

/// Draws parts below one another along one axis of time.
#[must_use]
pub fn spans(label: &str, parts: &[Part]) -> Markup {
    let from = parts.iter().map(|part| part.start).min().unwrap_or(0);
    let whole = (parts.iter().map(|part| part.end).max().unwrap_or(0) - from).max(1) as f64;
    let at = |time: i64| NAMES + (time - from) as f64 / whole * (WIDTH - NAMES - AFTER);
    let mut svg = open("chart", label, WIDTH, ROW * parts.len() as f64 + 4.0);
    for (n, part) in parts.iter().enumerate() {
        let class = match (part.failed, part.critical) {
            (true, _) => "span failed",
            (false, true) => "span critical",
            (false, false) => "span",
        };
        let (x, width) = (at(part.start), at(part.end) - at(part.start));
        place(&mut svg, n, &Placed { x, width, name: &part.name, text: &part.took, class });
    }
    svg.push_str("</svg></figure>");
    Safe(svg)
}

/// Marks the parts without which the whole would have been shorter: from the last end backwards, always the part that
/// was at work the longest before.
pub fn mark_critical(parts: &mut [Part]) {
    let Some(mut until) = parts.iter().map(|part| part.end).max() else { return };
    loop {
        let open =
            parts.iter_mut().filter(|part| !part.critical && part.start < until && part.end > part.start);
        let Some(next) = open.max_by_key(|part| (part.end.min(until), std::cmp::Reverse(part.start))) else {
            return;
        };
        next.critical = true;
        until = next.start;
    }
}

fn open(class: &str, label: &str, width: f64, height: f64) -> String {
    let mut svg = format!(
        "<figure class=\"scroll\" tabindex=\"0\"><svg class=\"{class}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\""
    );
    visible(&mut svg, label);
    svg.push_str("\">");
    svg
}

fn rule(svg: &mut String, text: &str, y: f64) {
    let _ = write!(
        svg,
        "<line class=\"rule\" x1=\"0\" x2=\"{WIDTH:.0}\" y1=\"{HEIGHT:.0}\" y2=\"{HEIGHT:.0}\"/>"
    );
    let _ = write!(svg, "<text class=\"top\" x=\"{WIDTH:.0}\" y=\"{:.1}\" text-anchor=\"end\">", y + 11.0);
    visible(svg, text);
    svg.push_str("</text>");
}

fn short(name: &str) -> String {
    cut(name, 20)
}

fn cut(name: &str, most: usize) -> String {
    match name.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, start: i64, end: i64) -> Part {
        Part { name: name.into(), start, end, ..Part::default() }
    }

    #[test]
    fn the_critical_path_leaves_out_what_ran_beside_it() {
        let mut parts = [
            part("queued", 0, 5),
            part("fetch", 5, 9),
            part("prepare", 5, 20),
            part("test", 20, 50),
            part("note", 50, 50),
        ];
        mark_critical(&mut parts);
        let path: Vec<_> = parts.iter().filter(|part| part.critical).map(|part| &*part.name).collect();
        assert_eq!(path, ["queued", "prepare", "test"]);
    }

    #[test]
    fn charts_have_no_inline_style_and_escape_names() {
        let evil = "<script>\"";
        let all = [
            bars(evil, evil, &[Bar { value: 1.0, title: evil.into(), class: "ok" }]),
            line(evil, evil, &[1.0, 2.0, 0.0]),
            spans(evil, &[part(evil, 0, 10)]),
            bars("none", "", &[]),
            line("none", "", &[]),
            spans("none", &[]),
            ranges(evil, &[Range { name: evil.into(), usual: 0.0, most: 0.0, text: evil.into() }]),
            ranges("none", &[]),
            rows(evil, "ok", &[Row { name: evil.into(), value: 0.0, text: evil.into() }]),
        ];
        for Safe(svg) in all {
            assert!(
                !svg.contains("style=") && !svg.contains("<script") && svg.ends_with("</svg></figure>"),
                "{svg}"
            );
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
