//! What daemon and shim say to each other: shim v2 over ttrpc, and our own options beside it.
