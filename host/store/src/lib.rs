//! What the daemon knows, in one transactional database per lifetime.
