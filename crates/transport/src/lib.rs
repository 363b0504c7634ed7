//! An HTTP service, reached by its router in this process or by its URL.
//!
//! A Bellwether service talks to another only over HTTP; whether the other runs in the same process is a matter of
//! wiring. [`Service`] hides that difference and nothing else: it knows no path, no product type and no retry policy.
//! [`Routes`] is the other side: nothing is served that was not registered together with who may ask for it, and what is
//! described there is in the OpenAPI document.

mod call;
mod connect;
mod document;
mod escape;
pub mod extract;
pub mod grpc;
pub mod operation;
pub mod routes;
mod service;
mod standing;
mod viewer;

pub use call::{ApiError, CallError};
pub use connect::names::is_inner;
pub use escape::segment;
pub use routes::Routes;
pub use service::{Service, Upgraded};
pub use standing::Standing;
pub use viewer::{Role, UnknownRole, Viewer};
