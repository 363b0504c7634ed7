//! States by text, sign and colour: each is told by any one of the three.

/// Returns a sign for the word of a state. The style sheet has a colour and a border for the word itself.
#[must_use]
pub fn sign(word: &str) -> &'static str {
    match word {
        "ok" | "idle" | "open" => "✓",
        "failed" | "closed" => "✗",
        "infra_failed" | "broken" | "throttled" => "!",
        "cancelled" => "⊘",
        "skipped" => "–",
        "queued" => "…",
        "leased" | "preparing" | "running" | "reporting" | "busy" => "▸",
        "due" => "○",
        "blocked" => "■",
        _ => "",
    }
}

/// Returns the word as it is read.
#[must_use]
pub fn label(word: &str) -> &str {
    match word {
        "infra_failed" => "infra failed",
        "left_out" => "left out",
        "none" => "",
        word => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_differ_without_colour() {
        let mut signs: Vec<_> =
            ["ok", "failed", "infra_failed", "cancelled", "skipped", "queued", "running"].map(sign).into();
        signs.sort_unstable();
        signs.dedup();
        assert_eq!(signs.len(), 7);
        assert_eq!(label("infra_failed"), "infra failed");
    }
}
