//! How much of one list of segments is how another begins. Source: spec/maintner.md §2.5, §7.1.

use crate::index::{Listed, Sum};

/// The bytes that both lists have from their beginning on. `begin` gives the digest of the first bytes of a segment of the
/// first or of the second list, which is asked at most once; an error of it is handed on.
pub(crate) fn common<E>(
    had: &[Listed],
    have: &[Listed],
    begin: impl FnOnce(Side, &Listed, u64) -> Result<Sum, E>,
) -> Result<u64, E> {
    let mut sum = 0;
    for (old, new) in had.iter().zip(have) {
        if old.sum == new.sum {
            sum += old.size;
            continue;
        }
        // Of equal size and another digest: they part somewhere within.
        let (side, larger, smaller) = match old.size.cmp(&new.size) {
            std::cmp::Ordering::Equal => break,
            std::cmp::Ordering::Less => (Side::New, new, old),
            std::cmp::Ordering::Greater => (Side::Old, old, new),
        };
        if begin(side, larger, smaller.size)? == smaller.sum {
            sum += smaller.size;
        }
        break;
    }
    Ok(sum)
}

/// Of which list a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Old,
    New,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(of: &[(u64, u8)]) -> Vec<Listed> {
        let one = |(number, (size, sum)): (u32, &(u64, u8))| Listed {
            number,
            size: *size,
            sum: [*sum; 28],
            url: String::new(),
        };
        (0..).zip(of).map(one).collect()
    }

    fn of(had: &[(u64, u8)], have: &[(u64, u8)], begin: Option<(Side, u64, u8)>) -> u64 {
        let mut asked = None;
        let result: Result<u64, ()> = common(&list(had), &list(have), |side, larger, size| {
            asked = Some((side, size));
            assert!(larger.size > size);
            Ok([begin.expect("nothing needs to be asked").2; 28])
        });
        assert_eq!(asked, begin.map(|(side, size, _)| (side, size)));
        result.unwrap()
    }

    #[test]
    fn the_table_of_the_original() {
        assert_eq!(of(&[(1, 0xab)], &[(1, 0xab)], None), 1);
        assert_eq!(of(&[(1, 0xab)], &[(1, 0xee)], None), 0);
        let (a, b) = ([(100, 0xab), (100, 0xaa)], [(100, 0xab), (50, 0xcc)]);
        assert_eq!(of(&a, &b, Some((Side::Old, 50, 0xcc))), 150);
        assert_eq!(of(&b, &a, Some((Side::New, 50, 0xcc))), 150);
        assert_eq!(of(&b, &a, Some((Side::New, 50, 0xcd))), 100);
        // What comes after a difference is not looked at.
        assert_eq!(of(&[(1, 1), (2, 2)], &[(1, 9), (2, 2)], None), 0);
        assert_eq!(of(&[], &a, None), 0);
        assert_eq!(of(&a, &[], None), 0);
    }
}
