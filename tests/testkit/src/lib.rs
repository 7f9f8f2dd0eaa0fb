//! What tests, demo and bench share: real images made on the spot, registries on loopback, a private daemon,
//! the real crictl, and a check that nothing is left.
//!
//! Everything blocks and has a deadline. Nothing here links the daemon's crates: it is judged from outside.
#![forbid(unsafe_code)]

mod bridge;
mod cache;
mod cgroups;
mod cni;
mod compiled;
mod crictl;
mod daemon;
mod docker_registry;
mod http;
mod image;
mod layer;
mod leaks;
mod loopback;
mod mixed;
mod mounts;
mod namespaces;
mod netns;
mod outputs;
mod packages;
mod process;
mod programs;
mod proxy;
mod python;
mod registry;
mod samples;
mod skip;
mod tree;
mod userland;
mod wait;
mod work_dir;

pub use self::{
    bridge::BridgeNetwork,
    cache::{cache_dir, lock_cache},
    cgroups::{make_cgroup, remove_cgroup},
    cni::CniPlugins,
    crictl::{Crictl, Ran},
    daemon::{Daemon, DaemonOptions},
    docker_registry::DockerRegistry,
    http::{Response, request},
    image::{Blob, Image, Kind, architecture, digest_of},
    layer::{Compression, Layer},
    leaks::{Leaks, Scope},
    mixed::{MIXED, mixed},
    mounts::MountNs,
    namespaces::{own_mounts, own_network},
    netns::NetNs,
    outputs::{closed_output, full_output},
    packages::{apt_is_here, unpacked_package},
    process::{Process, processes},
    programs::{in_path, install_missing},
    proxy::{Proxied, Proxy},
    python::python_grpc,
    registry::{Auth, Registry, Seen},
    samples::{busybox, busybox_layers, many_layers, odd},
    skip::{in_ci, need, root, skipped},
    tree::{Entry, Node, Tree},
    userland::{Userland, userland},
    wait::wait_for,
    work_dir::WorkDir,
};
