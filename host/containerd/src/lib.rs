//! As much of containerd's API as cAdvisor asks for, read-only: `Version`, `Containers.Get` and `Tasks.Get` in the namespace
//! of our pods (`k8s.io`).
//!
//! The kubelet's cAdvisor knows containers by their control groups, and asks a containerd socket for whose they are: without
//! an answer its metrics have no names of pods and containers. A pod is shown as what containerd has for one, a container
//! labelled `io.cri-containerd.kind=sandbox`, whose task is in the pod's network. Every other call is `Unimplemented`.
#![forbid(unsafe_code)]

mod containers;
mod namespace;
mod routes;
mod tasks;
mod time;
mod version;

pub use self::routes::routes;
