//! Makes containers natively: namespaces, mounts, roots, credentials, exec.
