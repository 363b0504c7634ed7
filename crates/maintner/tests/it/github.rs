//! A repo on GitHub, followed.

mod described;
mod differ;
mod follow;
mod world;
