//! Images on the node: pull, import, list, remove.
