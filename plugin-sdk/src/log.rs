//! The plugin's voice in the daemon's log. What is more than a call may write is dropped, and the log says so.

#[cfg(target_arch = "wasm32")]
use crate::bindings::wharf::host::log::{Level, emit};
#[cfg(not(target_arch = "wasm32"))]
use crate::{bindings::wharf::host::log::Level, fake::emit};

/// For who looks for a fault in the plugin.
pub fn debug(message: &str, fields: &[(String, String)]) {
    emit(Level::Debug, message, fields);
}

/// For who wants to know what the node does.
pub fn info(message: &str, fields: &[(String, String)]) {
    emit(Level::Info, message, fields);
}

/// For who keeps the node well.
pub fn warn(message: &str, fields: &[(String, String)]) {
    emit(Level::Warn, message, fields);
}

/// For who must act.
pub fn error(message: &str, fields: &[(String, String)]) {
    emit(Level::Error, message, fields);
}
