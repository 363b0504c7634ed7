//! A repo on GitHub, followed.

mod differ;
