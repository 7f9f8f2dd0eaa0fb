//! The one wasmtime configuration that the compiler and the daemon share.
//!
//! What one compiles the other loads only when both were configured alike, so there is one function for it. The daemon
//! is built without Cranelift: compiling a component happens in `wharf-compile`, a short-lived child without rights.
#![forbid(unsafe_code)]

mod config;
mod key;
mod pool;

pub use self::{config::config, key::key, pool::pool};

/// The exact version of wasmtime in this build.
pub const WASMTIME_VERSION: &str = env!("WASMTIME_VERSION");

/// Calls into plugins that can run at once in the pool; more wait for their turn.
pub const CALLS: u32 = 32;

/// Memories that a component may have to run in the pool.
pub const MEMORIES: u32 = 2;

/// Tables that a component may have to run in the pool.
pub const TABLES: u32 = 4;

/// Core instances that a component may have to run in the pool. A Rust guest has three or four: the module, and what
/// the component tools put around it.
pub const CORE_INSTANCES: u32 = 8;

/// Elements of a table in the pool: Rust guests have a few hundred functions, C# ones ten thousand.
pub const TABLE_ELEMENTS: usize = 10_000;

/// The largest memory that a call in the pool can be granted.
pub const MEMORY: usize = 1 << 30;
