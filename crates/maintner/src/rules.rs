//! Where we decide otherwise than the original.

/// Whose rules a corpus is made by; spec/maintner.md §11 lists each difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rules {
    /// The product's.
    #[default]
    Ours,
    /// The original's of 2026, mistakes included: for comparing with it, and for nothing else.
    Original,
}
