//! The plugins that ship, carried inside the binary as components.
