//! The harness of the end-to-end tests: a private daemon, the real crictl, images from a registry on loopback,
//! and the check that nothing is left. The tests are in `tests/`, one subject a file.
#![forbid(unsafe_code)]

mod cni;
mod cri;
mod images;
mod node;

pub use self::{
    cni::Cni,
    cri::Cri,
    images::{IMAGES, registry_address},
    node::{Node, Pod},
};
