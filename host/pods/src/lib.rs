//! The life of pods and containers, whoever asks.
//!
//! CRI today and containerd's Tasks later call the same verbs here, one a file. The rules they share:
//!
//! * **Work is not the call.** A verb that makes something runs as a spawned operation keyed by what the caller
//!   named; the caller only waits for it. A caller that goes away detaches, a retry joins, and a retry after
//!   success gets the same answer ([`Pods::run_pod`], [`Pods::create_container`]).
//! * **A row first.** Before a shim, a directory, a namespace or a snapshot is made, a row says so; what a killed
//!   daemon leaves half made is undone from the rows by the next one ([`Pods::open`]).
//! * **The shim knows what runs.** Exit codes live in the pod's shim until they are in our books; a daemon that
//!   starts asks every shim and answers with what it says.
#![forbid(unsafe_code)]

mod config;
mod container;
mod entry;
mod events;
mod exec;
mod features;
mod files;
mod handler;
mod id;
mod inner;
mod operations;
mod pod;
mod recover;
mod request_id;
mod shim;
mod silent;
mod stats;
mod store;
mod streams;
mod time;

pub use self::{
    config::{CgroupDriver, PodsConfig},
    container::{Container, ContainerMetadata, ContainerRequest, ContainerState, ImageVolume, NewContainer, User},
    events::{Event, EventKind, Events},
    exec::{ExecOutput, ExecRequest},
    handler::Handler,
    inner::Pods,
    pod::{Pod, PodMetadata, PodProcess, PodRequest, PodState},
    request_id::{new_request_id, request_id, with_request_id},
    stats::{
        ContainerMetrics, ContainerStats, Disk, GroupStats, InterfaceUsage, OpenFiles, PodMetrics, PodStats,
        WritableLayer,
    },
    time::now,
};
