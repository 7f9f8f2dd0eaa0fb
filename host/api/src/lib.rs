//! CRI v1, generated from our own interface description.
