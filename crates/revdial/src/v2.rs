//! Version 2: a control connection, on which the dialer asks for a connection of its own for each stream.

mod dialer;
pub(crate) mod line;
mod listener;

pub use dialer::{Control as DialerControl, DialError, Dialer, Pickups, dialer};
pub use line::ControlError;
pub use listener::{Connect, Control as ListenerControl, Listener, Pickup, listener};
