//! A table for people: as wide as its texts, some thousand rows at a time.

use std::io::{self, Write};

use super::acts;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Rows whose columns are as wide as each other's; the names stand above each page.
const ROWS: usize = 5000;
/// Between columns.
const GAP: &str = "  ";

/// Rows that wait for their widths.
pub struct Page {
    names: Vec<String>,
    numbers: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Page {
    /// Columns of these names, and whether they are of numbers, which stand at the right.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>, numbers: impl Iterator<Item = bool>) -> Self {
        Self {
            names: names.map(|name| cut(name, usize::MAX)).collect(),
            numbers: numbers.collect(),
            rows: Vec::new(),
        }
    }

    /// Appends a row, each cell on one line and no longer than so many characters.
    pub fn push(&mut self, cells: impl Iterator<Item = String>, width: usize) {
        self.rows.push(cells.map(|cell| cut(&cell, width)).collect());
    }

    /// Whether it is to be printed before there are more.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= ROWS
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints what there is and begins anew.
    pub fn print(&mut self, out: &mut impl Write) -> io::Result<()> {
        let mut widths: Vec<usize> = self.names.iter().map(|name| name.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        self.line(out, &widths, &self.names)?;
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        self.line(out, &widths, &rule)?;
        for row in std::mem::take(&mut self.rows) {
            self.line(out, &widths, &row)?;
        }
        Ok(())
    }

    fn line(&self, out: &mut impl Write, widths: &[usize], cells: &[String]) -> io::Result<()> {
        let mut line = String::new();
        for ((cell, width), number) in cells.iter().zip(widths).zip(&self.numbers) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let blanks = " ".repeat(width.saturating_sub(cell.width()));
            let (before, after) = if *number { (&*blanks, "") } else { ("", &*blanks) };
            line.push_str(before);
            line.push_str(cell);
            line.push_str(after);
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// On one line, without what acts on a terminal, and cut where it is too wide.
fn cut(text: &str, width: usize) -> String {
    let (mut shown, mut wide) = (String::new(), 0);
    for letter in text.chars() {
        let letter = if acts(letter) { ' ' } else { letter };
        let columns = letter.width().unwrap_or(0);
        if wide + columns > width {
            while wide + 1 > width
                && let Some(last) = shown.pop()
            {
                wide -= last.width().unwrap_or(0);
            }
            shown.push('…');
            break;
        }
        shown.push(letter);
        wide += columns;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_cut_by_what_they_show() {
        for (text, width, shown) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("a\nb", 9, "a b"),
            ("a\u{202e}b\u{1b}", 9, "a b "),
            ("日本語", 5, "日本…"),
            ("日本語", 6, "日本語"),
        ] {
            assert_eq!(cut(text, width), shown, "{text}");
        }
    }

    #[test]
    fn numbers_stand_at_the_right() {
        let mut page = Page::new(["n", "what"].into_iter(), [true, false].into_iter());
        page.push(["7".into(), "x".into()].into_iter(), 9);
        page.push(["1234".into(), "yz".into()].into_iter(), 9);
        let mut out = Vec::new();
        page.print(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "   n  what\n----  ----\n   7  x\n1234  yz\n");
        assert!(page.is_empty());
    }
}
