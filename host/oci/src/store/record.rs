use std::{collections::HashMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// What a container is, from before anything of it was made.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) oci_version: String,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    /// RFC 3339.
    pub(crate) created: String,
    pub(crate) annotations: HashMap<String, String>,
    /// Its control group, in every hierarchy.
    pub(crate) cgroup: String,
    /// Its first process, from when it is there and waits.
    pub(crate) init: Option<Init>,
    /// What that is still to do at the start, by number: for errors.
    pub(crate) late_steps: Vec<(u32, String)>,
}

/// A process that no other can be taken for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Init {
    pub(crate) pid: i32,
    /// When it began, in clock ticks after the machine's start.
    pub(crate) start: u64,
}
