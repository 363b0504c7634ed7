//! The wire of gomote, the service by which people hold machines: messages, a client over any HTTP, and the trait that a
//! server implements. It knows nothing of the product.
//!
//! Made from `proto/gomote.proto` by its test, with `BELLWETHER_BLESS=1`.

#[allow(missing_docs, reason = "made from the protocol's definition, which says what each part is")]
#[allow(clippy::all, clippy::allow_attributes_without_reason, reason = "made by a program")]
#[rustfmt::skip]
mod generated;

pub use generated::*;
