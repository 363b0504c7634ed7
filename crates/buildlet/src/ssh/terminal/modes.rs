//! How a client's terminal behaves, carried over to ours (RFC 4254, 8).
//!
//! Only what people notice is: which keys do what, and what is echoed. The rest stays as the system has it, which is right for
//! a terminal that no wire leads to.

use std::io;
use std::os::fd::AsFd;

use russh::Pty;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex as Code, Termios, tcgetattr,
    tcsetattr,
};

/// What SSH says for a key that does nothing.
const NO_KEY: u32 = 255;
/// What this system says for it.
const DISABLED: u8 = if cfg!(target_os = "linux") { 0 } else { 255 };

const KEYS: [(Pty, Code); 12] = [
    (Pty::VINTR, Code::VINTR),
    (Pty::VQUIT, Code::VQUIT),
    (Pty::VERASE, Code::VERASE),
    (Pty::VKILL, Code::VKILL),
    (Pty::VEOF, Code::VEOF),
    (Pty::VEOL, Code::VEOL),
    (Pty::VSTART, Code::VSTART),
    (Pty::VSTOP, Code::VSTOP),
    (Pty::VSUSP, Code::VSUSP),
    (Pty::VREPRINT, Code::VREPRINT),
    (Pty::VWERASE, Code::VWERASE),
    (Pty::VLNEXT, Code::VLNEXT),
];
const INPUT: [(Pty, InputModes); 6] = [
    (Pty::INLCR, InputModes::INLCR),
    (Pty::IGNCR, InputModes::IGNCR),
    (Pty::ICRNL, InputModes::ICRNL),
    (Pty::IXON, InputModes::IXON),
    (Pty::IXANY, InputModes::IXANY),
    (Pty::IXOFF, InputModes::IXOFF),
];
const LOCAL: [(Pty, LocalModes); 11] = [
    (Pty::ISIG, LocalModes::ISIG),
    (Pty::ICANON, LocalModes::ICANON),
    (Pty::ECHO, LocalModes::ECHO),
    (Pty::ECHOE, LocalModes::ECHOE),
    (Pty::ECHOK, LocalModes::ECHOK),
    (Pty::ECHONL, LocalModes::ECHONL),
    (Pty::NOFLSH, LocalModes::NOFLSH),
    (Pty::TOSTOP, LocalModes::TOSTOP),
    (Pty::IEXTEN, LocalModes::IEXTEN),
    (Pty::ECHOCTL, LocalModes::ECHOCTL),
    (Pty::ECHOKE, LocalModes::ECHOKE),
];
const OUTPUT: [(Pty, OutputModes); 2] = [(Pty::OPOST, OutputModes::OPOST), (Pty::ONLCR, OutputModes::ONLCR)];

/// Lets a terminal behave so.
pub(super) fn set(terminal: impl AsFd, modes: &[(Pty, u32)]) -> io::Result<()> {
    let mut attributes = tcgetattr(&terminal)?;
    for &(mode, value) in modes {
        apply(&mut attributes, mode, value);
    }
    Ok(tcsetattr(terminal, OptionalActions::Now, &attributes)?)
}

fn apply(attributes: &mut Termios, mode: Pty, value: u32) {
    let on = value != 0;
    if let Some((_, code)) = KEYS.iter().find(|(known, _)| *known == mode) {
        let key = if value == NO_KEY { Some(DISABLED) } else { u8::try_from(value).ok() };
        if let Some(key) = key {
            attributes.special_codes[*code] = key;
        }
    } else if let Some((_, flag)) = INPUT.iter().find(|(known, _)| *known == mode) {
        attributes.input_modes.set(*flag, on);
    } else if let Some((_, flag)) = LOCAL.iter().find(|(known, _)| *known == mode) {
        attributes.local_modes.set(*flag, on);
    } else if let Some((_, flag)) = OUTPUT.iter().find(|(known, _)| *known == mode) {
        attributes.output_modes.set(*flag, on);
    }
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    if mode == Pty::IUTF8 {
        attributes.input_modes.set(InputModes::IUTF8, on);
    }
}
