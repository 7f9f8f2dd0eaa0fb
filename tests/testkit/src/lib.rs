//! What tests, demo and bench share: real images made on the spot, registries on loopback, a private daemon,
//! the real crictl, and a check that nothing is left.
//!
//! Everything blocks and has a deadline. Nothing here links the daemon's crates: it is judged from outside.
#![forbid(unsafe_code)]

mod cache;
mod cgroups;
mod crictl;
mod daemon;
mod docker_registry;
mod http;
mod image;
mod layer;
mod leaks;
mod mixed;
mod packages;
mod process;
mod registry;
mod samples;
mod skip;
mod tree;
mod userland;
mod wait;
mod work_dir;

pub use self::{
    cache::{cache_dir, lock_cache},
    crictl::{Crictl, Ran},
    daemon::{Daemon, DaemonOptions},
    docker_registry::DockerRegistry,
    http::{Response, request},
    image::{Blob, Image, Kind, architecture, digest_of},
    layer::{Compression, Layer},
    leaks::{Leaks, Scope},
    mixed::mixed,
    packages::{apt_is_here, unpacked_package},
    process::{Process, processes},
    registry::{Auth, Registry, Seen},
    samples::{busybox, busybox_layers, many_layers, odd},
    skip::{in_ci, need, root, skipped},
    tree::{Entry, Node, Tree},
    userland::{Userland, userland},
    wait::wait_for,
    work_dir::WorkDir,
};
