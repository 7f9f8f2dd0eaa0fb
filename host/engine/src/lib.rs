//! The one wasmtime configuration that the compiler and the daemon share.
