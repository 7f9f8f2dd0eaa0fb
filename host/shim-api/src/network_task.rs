/// Under this name a verbose status of a pod that is ready has the id of a task in the pod's network, where it has one of
/// its own: whoever reads `/proc/<id>/net` sees it. It is there as long as the pod's shim is.
pub const NETWORK_TASK: &str = "network-task";
