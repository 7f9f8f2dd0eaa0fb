use std::{collections::HashMap, path::PathBuf};

use oci_spec::runtime::{ContainerState, Spec, State};

/// What the runtime specification calls a container's state, but for what changes: told to those who are asked about
/// its system calls.
#[derive(Debug)]
pub(crate) struct Facts {
    version: String,
    id: String,
    bundle: PathBuf,
    annotations: Option<HashMap<String, String>>,
}

impl Facts {
    pub(crate) fn new(id: &str, bundle: PathBuf, spec: &Spec) -> Self {
        Self { version: spec.version().clone(), id: id.to_owned(), bundle, annotations: spec.annotations().clone() }
    }

    /// The state of now. `pid` is that of the first process, as we see it; 0 when it has ended.
    pub(crate) fn state(&self, status: ContainerState, pid: i32) -> State {
        let mut state = State::default();
        state
            .set_version(self.version.clone())
            .set_id(self.id.clone())
            .set_status(status)
            .set_pid(Some(pid).filter(|pid| *pid > 0))
            .set_bundle(self.bundle.clone())
            .set_annotations(self.annotations.clone());
        state
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }
}
