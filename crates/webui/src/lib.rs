//! What all pages share: the shell, the style sheet and scripts, words and signs of states, charts, and text that
//! comes from outside made fit to be shown.
//!
//! It knows nothing of builds. A service renders its own templates; in its `askama.toml` it names this crate's
//! `templates` folder, from which `base.html` comes, and [`Text`] as the escaper of everything.

#![forbid(unsafe_code)]

// Templates name this crate by its name, in other crates and here.
extern crate self as webui;

pub mod ansi;
pub mod assets;
pub mod chart;
mod escape;
pub mod page;
pub mod state;
pub mod time;

pub use escape::{Text, visible};

/// HTML that was made here, from text that was escaped here. Templates show it as it is; `|safe` has no place in them.
pub type Markup = askama::filters::Safe<String>;
