//! Signals by SSH's names for them, of which Windows knows an end by force, and a key that interrupts.

use russh::Sig;

use crate::sys::Signal;

/// Finds what a client asks for; none, if it is nothing that is done to a command here.
pub(in crate::ssh) fn wanted(name: &Sig) -> Option<Signal> {
    Some(match name {
        Sig::INT => Signal::INT,
        Sig::KILL => Signal::KILL,
        _ => return None,
    })
}

/// Names what has ended a command, by its number; nothing is ended so here.
pub(in crate::ssh) fn named(number: i32) -> Sig {
    Sig::Custom(format!("{number}@bellwether"))
}
