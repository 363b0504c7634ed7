//! The one port of a real server: those who send nothing, too slowly or too much keep nobody else out and cost no memory;
//! TLS; files that are read again while it runs.

mod many;
mod reload;
mod tls;
