//! Makes containers natively: what an OCI command line would do between clone and exec, as a library.
//!
//! The parent compiles a specification into a flat program of prepared fds, strings and bytes; the child made by
//! `clone3` interprets it by raw system calls alone, without allocation or locks, for its maker has many threads.
//! A failing step comes back as its number and errno, and the parent names it. Nothing is mounted on the host:
//! roots are detached mounts that are attached in the container's own mount namespace and die with it.
//!
//! Calls block: make them on blocking threads. Each has a deadline.

mod attach;
mod cgroup_join;
mod child;
mod conduct;
mod container;
mod create;
mod device_filter;
mod exec;
mod features;
mod hooks;
mod mount_namespace;
mod namespaces;
mod net_devices;
mod own_program;
mod plan;
mod private_mounts;
mod probe;
mod process;
mod resolve_user;
mod root;
mod seccomp;
mod shared_memory;
mod state;
mod stdio;
mod supported;
mod sys;
mod time_namespace;
mod user;
mod user_namespace;

pub use self::{
    attach::{AttachRequest, StartRequest, attach},
    cgroup_join::CgroupJoin,
    container::{Container, send_signal, send_signal_to_group},
    create::{CreateRequest, Detached, create, create_detached},
    device_filter::attach_device_filter,
    exec::ExecRequest,
    features::features,
    hooks::run_poststop,
    mount_namespace::MountNamespace,
    namespaces::{PodNamespaces, PodNamespacesRequest, create_pod_namespaces, open_namespace, pin_netns, unpin_netns},
    own_program::read_only_program,
    private_mounts::PrivateMounts,
    probe::{probe_recursive_read_only, probe_user_namespaces},
    process::Process,
    resolve_user::resolve_user,
    root::{Root, RootKind, RootMount, assemble_idmapped_root, assemble_root},
    shared_memory::SharedMemory,
    stdio::{ProcessStdio, TerminalSize},
    supported::possible_capabilities,
    user_namespace::{IdMapping, IdMappings, UserNamespace, user_namespace},
};
