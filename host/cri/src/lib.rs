//! The CRI services, one RPC a file.
