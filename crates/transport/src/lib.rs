//! An HTTP service, reached by its router in this process or by its URL.
//!
//! A Bellwether service talks to another only over HTTP; whether the other runs in the same process is a matter of
//! wiring. [`Service`] hides that difference and nothing else: it knows no path, no product type and no retry policy.

mod call;
mod escape;
mod service;

pub use call::{ApiError, CallError};
pub use escape::segment;
pub use service::Service;
