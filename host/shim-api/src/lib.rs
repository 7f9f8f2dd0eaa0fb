//! What daemon and shim say to each other: shim v2 over ttrpc, and our own options beside it.
//!
//! The services are containerd's published ones, so that any shim of that protocol is a runtime
//! handler of ours and ours is a runtime of stock containerd. What is ours alone travels in the
//! places the protocol leaves open: JSON in an `Any` ([`SandboxOptions`], [`CreateOptions`]), stdio
//! URIs ([`Stdio`]), call metadata ([`call`]), one file in a container's bundle ([`ExitRecord`]) and a service of its
//! own beside containerd's ([`Streams`]).
#![forbid(unsafe_code)]

mod any;
mod connect;
mod event;
mod exit;
mod features;
mod holder;
mod info;
mod network_task;
mod options;
mod other_shim;
mod percent;
mod protocol;
mod request;
mod status;
mod stdio;
mod streams;
mod task_v2;

pub use self::{
    any::{from_json, to_json, to_proto},
    connect::{address_of, connect, path_of},
    event::{TaskEvent, timestamp, timestamp_nanos},
    exit::{EXIT_FILE, ExitRecord},
    features::Features,
    holder::HOLDER,
    info::{encode_info, parse_info},
    network_task::NETWORK_TASK,
    options::{
        CREATE_OPTIONS_TYPE_URL, CreateOptions, IdRange, ImageMount, LayerMount, Namespace, OciRuntime,
        SANDBOX_OPTIONS_TYPE_URL, SandboxOptions, UserMappings,
    },
    other_shim::{Bootstrap, OtherShim, OtherTasks},
    protocol::{events, sandbox, task, ttrpc},
    request::{REQUEST_ID_KEY, call, request_id},
    status::{from_status, to_status},
    stdio::{DEFAULT_MAX_LINE, Stdio},
    streams::{
        AttachEnd, AttachRequest, AttachResponse, CheckMountsRequest, Done, ReopenLogRequest, Streams, StreamsClient,
        create_streams,
    },
    task_v2::create_task_v2,
};
