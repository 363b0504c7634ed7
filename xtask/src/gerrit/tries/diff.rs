//! How one text differs from another, by lines.

/// The lines of both in their order: ` ` in both, `-` only in the first, `+` only in the second.
pub(super) fn lines(meant: &str, is: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (meant.lines().collect(), is.lines().collect());
    // Lengths of the longest common rests. The texts have some hundred lines at most.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, String::new());
    while i < old.len() || j < new.len() {
        let (mark, line);
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (mark, line) = (' ', old[i]);
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            (mark, line) = ('-', old[i]);
            i += 1;
        } else {
            (mark, line) = ('+', new[j]);
            j += 1;
        }
        out.push(mark);
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_more_less_and_other_is_marked() {
        assert_eq!(super::lines("a\nb\nc\n", "a\nx\nc\nd\n"), " a\n-b\n+x\n c\n+d\n");
        assert_eq!(super::lines("", "a"), "+a\n");
        assert_eq!(super::lines("a", ""), "-a\n");
    }
}
