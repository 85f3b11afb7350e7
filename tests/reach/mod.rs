//! What a request may make the server open: batteries of paths and addresses that try to get elsewhere.

mod addresses;
#[cfg(unix)]
mod paths;
#[cfg(target_os = "linux")]
mod redirects;
pub(crate) mod web;
