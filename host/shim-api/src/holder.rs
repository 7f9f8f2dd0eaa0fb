/// Under this name a verbose status of a pod has the id of the process that stands for the pod in its cgroup, where
/// [`SandboxOptions::holder`](crate::SandboxOptions::holder) asked for one. It is there as long as the pod's shim is.
pub const HOLDER: &str = "holder";
