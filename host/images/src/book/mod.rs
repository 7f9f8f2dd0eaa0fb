//! The rows of images: durable, keyed by containerd namespace and name.

mod read;
mod rows;

pub(crate) use self::{
    read::{Book, Entry},
    rows::{ImageRow, Images, NameRow, Names, NamespaceRow, Namespaces},
};
