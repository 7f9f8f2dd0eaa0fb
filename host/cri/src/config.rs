use std::{collections::BTreeMap, path::PathBuf};

use glob::Pattern;

/// What the services say about this runtime, and where they look for what containers ask for.
#[derive(Clone, Debug)]
pub struct CriConfig {
    /// The name that `Version` answers.
    pub runtime_name: String,
    /// The version that `Version` answers.
    pub runtime_version: String,
    /// The snapshotter's name, for inspections.
    pub snapshotter: String,
    /// The folders of CDI's files; a later one goes before an earlier one.
    pub cdi_spec_dirs: Vec<PathBuf>,
    /// By runtime handler: which annotations it is told of; none where it is not here.
    pub annotations: BTreeMap<String, PassedAnnotations>,
}

/// Annotations that go into the OCI specification for a runtime that acts on them, as containerd's `pod_annotations` and
/// `container_annotations`: what is given to a container goes before what is given to its pod.
#[derive(Clone, Debug, Default)]
pub struct PassedAnnotations {
    /// Keys of the pod's.
    pub pod: Vec<Pattern>,
    /// Keys of the container's.
    pub container: Vec<Pattern>,
}

// === impl CriConfig ===

impl Default for CriConfig {
    fn default() -> Self {
        Self {
            runtime_name: "wharf".into(),
            runtime_version: env!("CARGO_PKG_VERSION").into(),
            snapshotter: "overlayfs".into(),
            cdi_spec_dirs: vec!["/etc/cdi".into(), "/var/run/cdi".into()],
            annotations: BTreeMap::new(),
        }
    }
}
