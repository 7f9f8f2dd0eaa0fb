use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use wharf_error::{Error, Kind, Result};
use wharf_images::Image;

use crate::Pod;

/// What tells one container of a pod from another.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ContainerMetadata {
    /// The container's name.
    pub name: String,
    /// How often the kubelet has made it before.
    pub attempt: u32,
}

/// What a client asks of [`Pods::create_container`](crate::Pods::create_container).
#[derive(Clone, Debug)]
pub struct ContainerRequest {
    /// The pod's id.
    pub pod: String,
    /// Name and attempt: together with the pod, the container's identity.
    pub metadata: ContainerMetadata,
    /// Labels, kept and filtered by.
    pub labels: BTreeMap<String, String>,
    /// Annotations, kept as they are.
    pub annotations: BTreeMap<String, String>,
    /// The image as the user wrote it.
    pub image_ref: String,
    /// The image itself.
    pub image: Image,
    /// Other images that are mounted into it.
    pub image_volumes: Vec<ImageVolume>,
    /// The log file on the host; none: output is discarded.
    pub log_path: Option<PathBuf>,
    /// Whether a client may write to its standard input.
    pub stdin: bool,
    /// Whether standard input closes after the first client.
    pub stdin_once: bool,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// The signal that asks it to end; none: SIGTERM.
    pub stop_signal: Option<i32>,
    /// Whether its process has none of the groups that the image gives its user.
    pub strict_groups: bool,
    /// Whether it has a PID namespace of its own although the pod's containers share one.
    pub own_pids: bool,
    /// The client's request, encoded: kept, and compared when the same container is asked for again.
    pub request: Vec<u8>,
}

/// An image that is mounted into a container, read-only.
#[derive(Clone, Debug)]
pub struct ImageVolume {
    /// Where: the destination of one of the specification's mounts.
    pub destination: PathBuf,
    /// The image.
    pub image: Image,
    /// A path inside of it; empty: all of it.
    pub sub_path: PathBuf,
}

/// What is kept of an [`ImageVolume`]: a look at the image's layers, which are not removed as long as it is there.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct VolumeView {
    pub(crate) destination: PathBuf,
    pub(crate) sub_path: PathBuf,
    pub(crate) image_id: String,
    pub(crate) chain_id: String,
    /// The key of its snapshot.
    pub(crate) key: String,
}

/// Who a process is, as itself sees it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct User {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The groups that it has besides.
    pub groups: Vec<u32>,
}

/// What the builder of a container's OCI specification needs to know of what was decided here.
#[derive(Clone, Debug)]
pub struct NewContainer {
    /// The new container's id.
    pub id: String,
    /// Its pod.
    pub pod: Pod,
    /// Its bundle; `rootfs` inside is where its root appears, in its own mount namespace only.
    pub bundle: PathBuf,
    /// Its control group, for `linux.cgroupsPath`.
    pub cgroup: String,
    /// The pod's folder with the generated `hosts`, `hostname` and `resolv.conf`.
    pub pod_dir: PathBuf,
}

impl NewContainer {
    /// A file of the pod's folder, to be mounted into the container.
    pub fn pod_file(&self, name: &str) -> PathBuf {
        self.pod_dir.join(name)
    }
}

/// CRI's states of a container.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ContainerState {
    /// Made, never started: it has a root and no process.
    Created,
    /// Its process runs.
    Running,
    /// Its process has ended, or could not be started.
    Exited,
    /// Its shim does not answer.
    Unknown,
}

/// Where a container is in its life: what a new daemon has to do about it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Stage {
    /// Being made; a new daemon undoes it.
    Making,
    /// Made, not started.
    Created,
    /// Being started; a new daemon asks the shim how far it came.
    Starting,
    /// Started.
    Running,
    /// Ended; `exit_code` and `finished_at` are set.
    Exited,
    /// Being removed; a new daemon goes on with it.
    Removing,
}

/// A container as it is now.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Container {
    /// 64 hex digits.
    pub id: String,
    /// Its pod's id.
    pub pod_id: String,
    /// The client's own name for it.
    pub metadata: ContainerMetadata,
    /// As requested.
    pub labels: BTreeMap<String, String>,
    /// As requested.
    pub annotations: BTreeMap<String, String>,
    /// The image as the user wrote it.
    pub image_ref: String,
    /// The image's id.
    pub image_id: String,
    /// The folders that the image wants in its root, whether it brings them or not.
    #[serde(default)]
    pub declared_volumes: Vec<PathBuf>,
    /// Where its log is, if it has one.
    pub log_path: Option<PathBuf>,
    /// As requested.
    pub stdin: bool,
    /// As requested.
    pub stdin_once: bool,
    /// As requested.
    pub tty: bool,
    /// As requested or as the image says.
    pub stop_signal: Option<i32>,
    /// As requested.
    #[serde(default)]
    pub strict_groups: bool,
    /// As requested.
    #[serde(default)]
    pub own_pids: bool,
    /// Who its process was when it began; none before.
    #[serde(default)]
    pub user: Option<User>,
    /// Nanoseconds since 1970.
    pub created_at: i64,
    /// Nanoseconds since 1970; 0: not started.
    pub started_at: i64,
    /// Nanoseconds since 1970; 0: not ended.
    pub finished_at: i64,
    /// Set once it has ended.
    pub exit_code: Option<i32>,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, `Unknown`, or empty while it has not ended.
    pub reason: String,
    /// A sentence for people where `reason` does not say it all.
    pub message: String,
    /// Its process on the host while it runs.
    pub pid: Option<u32>,
    /// Its control group.
    pub cgroup: String,
    /// The client's request, encoded.
    #[serde(with = "crate::store::bytes")]
    pub request: Vec<u8>,
    #[serde(default)]
    pub(crate) volumes: Vec<VolumeView>,
    pub(crate) stage: Stage,
}

impl Container {
    /// Whether it runs, or is about to, by the books.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::Starting | Stage::Running)
    }

    /// CRI's word for where it is.
    pub fn state(&self) -> ContainerState {
        match self.stage {
            Stage::Making | Stage::Created | Stage::Starting => ContainerState::Created,
            Stage::Running => ContainerState::Running,
            Stage::Exited => ContainerState::Exited,
            // What is being removed has no process any more.
            Stage::Removing if self.finished_at != 0 => ContainerState::Exited,
            Stage::Removing => ContainerState::Unknown,
        }
    }

    /// `FailedPrecondition` for one that does not run.
    pub(crate) fn expect_running(&self) -> Result<()> {
        if self.state() == ContainerState::Running {
            return Ok(());
        }
        Err(Error::new(Kind::FailedPrecondition, format!("container {} is not running", self.id)))
    }

    /// The ids of the images that it needs: its own, and those that are mounted into it.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.image_id.as_str()).chain(self.volumes.iter().map(|volume| volume.image_id.as_str()))
    }

    /// The key of its root's snapshot.
    pub fn snapshot_key(&self) -> &str {
        &self.id
    }

    pub(crate) fn key(pod: &str, metadata: &ContainerMetadata) -> String {
        format!("container {}_{} of pod {pod}", metadata.name, metadata.attempt)
    }

    pub(crate) fn bundle(&self, pods: &Path) -> PathBuf {
        pods.join(&self.pod_id).join("containers").join(&self.id)
    }

    /// Sets what is known of its end. `oom`: its control group lost a process to the memory limit.
    pub(crate) fn set_exited(&mut self, code: i32, finished_at: i64, oom: bool) {
        self.stage = Stage::Exited;
        self.pid = None;
        self.exit_code = Some(code);
        self.finished_at = finished_at;
        self.reason = match (oom, code) {
            (true, _) => "OOMKilled",
            (false, 0) => "Completed",
            (false, _) => "Error",
        }
        .to_owned();
    }
}
