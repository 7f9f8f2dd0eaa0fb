//! The one file of this crate with `unsafe` of ours.
#![allow(unsafe_code, reason = "machine code that our own compiler made is loaded here and nowhere else")]

use wasmtime::{Engine, component::Component};

/// Native code that `wharf-compile` wrote for us: straight from its standard output, or from a file of ours whose
/// digest was found in our own record of what it wrote.
pub(crate) struct Native(Vec<u8>);

// === impl Native ===

impl Native {
    /// Takes the bytes for what they are said to be: only [`crate::compile`] and [`crate::compiled`] may.
    pub(crate) fn from_our_compiler(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, to be written to a file of ours.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Loads the code. An engine of another version, configuration or CPU refuses it.
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: `deserialize` runs what it is given, so the bytes must be an unmodified output of wasmtime's compiler.
        // Both ways to a `Native` see to that: a pipe from our own child, or a file in a directory that only root can
        // write, whose sha256 is checked against our record after it was read into this very buffer.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}
