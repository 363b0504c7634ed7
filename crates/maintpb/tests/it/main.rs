//! What the messages are on the wire, and that their code was made of their definition.

mod generated;
mod vectors;
