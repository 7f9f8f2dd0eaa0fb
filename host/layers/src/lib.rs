//! From a layer blob to a directory: verify, inflate, write.
