//! Signals by SSH's names for them (RFC 4254, 6.10).

use russh::Sig;

use crate::sys::Signal;

/// Finds what a client asks for; none, if it is nothing that is sent to a command.
pub(in crate::ssh) fn wanted(name: &Sig) -> Option<Signal> {
    Some(match name {
        Sig::ABRT => Signal::ABORT,
        Sig::ALRM => Signal::ALARM,
        Sig::FPE => Signal::FPE,
        Sig::HUP => Signal::HUP,
        Sig::ILL => Signal::ILL,
        Sig::INT => Signal::INT,
        Sig::KILL => Signal::KILL,
        Sig::PIPE => Signal::PIPE,
        Sig::QUIT => Signal::QUIT,
        Sig::SEGV => Signal::SEGV,
        Sig::TERM => Signal::TERM,
        Sig::USR1 => Signal::USR1,
        Sig::Custom(name) if name == "USR2" => Signal::USR2,
        Sig::Custom(_) => return None,
    })
}

/// Names what has ended a command, by its number.
pub(in crate::ssh) fn named(number: i32) -> Sig {
    match Signal::from_named_raw(number) {
        Some(Signal::ABORT) => Sig::ABRT,
        Some(Signal::ALARM) => Sig::ALRM,
        Some(Signal::FPE) => Sig::FPE,
        Some(Signal::HUP) => Sig::HUP,
        Some(Signal::ILL) => Sig::ILL,
        Some(Signal::INT) => Sig::INT,
        Some(Signal::KILL) => Sig::KILL,
        Some(Signal::PIPE) => Sig::PIPE,
        Some(Signal::QUIT) => Sig::QUIT,
        Some(Signal::SEGV) => Sig::SEGV,
        Some(Signal::TERM) => Sig::TERM,
        Some(Signal::USR1) => Sig::USR1,
        Some(Signal::USR2) => Sig::Custom("USR2".to_owned()),
        // The form that is left to everybody for names of their own.
        _ => Sig::Custom(format!("{number}@bellwether")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_there_and_back() {
        for number in 1..=31 {
            let name = named(number);
            match wanted(&name) {
                Some(signal) => assert_eq!(signal.as_raw(), number),
                None => assert!(matches!(name, Sig::Custom(text) if text == format!("{number}@bellwether"))),
            }
        }
        assert_eq!(wanted(&Sig::TERM), Some(Signal::TERM));
        assert_eq!(wanted(&Sig::Custom("STOP".into())), None);
    }
}
