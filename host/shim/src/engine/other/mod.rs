//! A container by another shim of the protocol, which the pod's own starts and speaks to as a daemon would.
//!
//! One of them runs a pod. Roots and the pod's shared memory are mounted in a mount namespace that it is started in; the
//! container's streams are pipes of ours, which it opens by `/proc`.

mod events;
mod exec;
mod run;
mod server;
mod streams;
mod told;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use oci_spec::runtime::LinuxResources;
use wharf_error::{Result, ResultExt as _};
use wharf_runtime::Root;
use wharf_shim_api::{
    task::{
        CreateTaskRequest, CreateTaskResponse, DeleteRequest, DeleteResponse, Empty, KillRequest, PauseRequest,
        ResizePtyRequest, ResumeRequest, StartRequest, StartResponse, UpdateTaskRequest,
    },
    to_json,
};

use self::streams::Names;
pub use self::{
    events::OthersEvents,
    exec::Executed,
    server::{OtherRecord, Server, Start, delete_by_program, end, folder},
    streams::Ends,
    told::Told,
};
use super::{New, spec};

/// The type that containerd's clients name for limits.
const RESOURCES_TYPE_URL: &str = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

const SIGKILL: i32 = 9;

/// A container that was made.
pub struct OtherContainer {
    server: Arc<Server>,
    id: String,
    bundle: PathBuf,
    pid: i32,
    merge_image_groups: bool,
    /// For the users of what is executed; it is let go before the root is unmounted.
    root: Mutex<Option<Root>>,
    /// Where something is mounted for it.
    places: Vec<PathBuf>,
}

// === impl OtherContainer ===

impl OtherContainer {
    /// Makes it up to the point before its program; with it our ends of a terminal's streams, and how its end is heard of.
    /// Of one that cannot be made nothing is left.
    pub fn create(server: Arc<Server>, new: New<'_>) -> Result<(Self, Option<Ends>, Told)> {
        let made = spec::write(&new)?;
        let New { id, root, sources, namespaces, merge_image_groups, stdio, .. } = new;
        let kept = root.try_clone()?;
        let (mounts, places) = made.mounts(root, sources, namespaces)?;
        server.mounts().attach(&mounts)?;
        drop(mounts);
        let (names, ends) = Names::of(stdio)?;
        let request = CreateTaskRequest {
            id: id.to_owned(),
            bundle: made.bundle.display().to_string(),
            terminal: ends.is_some(),
            stdin: names.stdin.clone(),
            stdout: names.stdout.clone(),
            stderr: names.stderr.clone(),
            options: server.options()?.into(),
            ..CreateTaskRequest::default()
        };
        let created = server.ask::<_, CreateTaskResponse>("Create", &request);
        // It has opened what it was told, and the end of a stream is to be heard.
        drop(names);
        let pid = created.and_then(|made| i32::try_from(made.pid).step(|| "a container's pid".into()));
        let pid = pid.inspect_err(|_| {
            drop(server.ask::<_, DeleteResponse>("Delete", &delete(id, "")));
            if let Err(left) = server.mounts().detach(&places) {
                tracing::error!(container = id, error = %left, "something of it is left");
            }
        })?;
        let told = Told::new(&server, id, "");
        let container = Self {
            server,
            id: id.to_owned(),
            bundle: made.bundle,
            pid,
            merge_image_groups,
            root: Mutex::new(Some(kept)),
            places,
        };
        Ok((container, ends, told))
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    pub fn start(&self) -> Result<()> {
        let request = StartRequest { id: self.id.clone(), ..StartRequest::default() };
        self.server.ask::<_, StartResponse>("Start", &request).map(drop)
    }

    /// `all`: every process of it.
    pub fn kill(&self, exec_id: &str, signal: i32, all: bool) -> Result<()> {
        let request = KillRequest {
            id: self.id.clone(),
            exec_id: exec_id.into(),
            signal: signal.unsigned_abs(),
            all,
            ..KillRequest::default()
        };
        self.server.ask::<_, Empty>("Kill", &request).map(drop)
    }

    /// Ends all of it; that it has ended is as good, and so is a shim that does not answer: it has died.
    pub fn end(&self) {
        if let Err(error) = self.kill("", SIGKILL, true) {
            tracing::debug!(container = self.id, %error, "kill");
        }
    }

    pub fn set_paused(&self, paused: bool) -> Result<()> {
        if paused {
            let request = PauseRequest { id: self.id.clone(), ..PauseRequest::default() };
            return self.server.ask::<_, Empty>("Pause", &request).map(drop);
        }
        let request = ResumeRequest { id: self.id.clone(), ..ResumeRequest::default() };
        self.server.ask::<_, Empty>("Resume", &request).map(drop)
    }

    pub fn update(&self, resources: &LinuxResources) -> Result<()> {
        let request = UpdateTaskRequest {
            id: self.id.clone(),
            resources: Some(to_json(RESOURCES_TYPE_URL, resources)?).into(),
            ..UpdateTaskRequest::default()
        };
        self.server.ask::<_, Empty>("Update", &request).map(drop)
    }

    /// Tells the terminal of its first process, or of an executed one, its size.
    pub fn resize(&self, exec_id: &str, width: u16, height: u16) -> Result<()> {
        let request = ResizePtyRequest {
            id: self.id.clone(),
            exec_id: exec_id.into(),
            width: width.into(),
            height: height.into(),
            ..ResizePtyRequest::default()
        };
        self.server.ask::<_, Empty>("ResizePty", &request).map(drop)
    }

    /// Has the shim forget it; one that has died is cleaned up after by its program. Again is success.
    pub fn forget(&self) -> Result<()> {
        self.root.lock().unwrap_or_else(PoisonError::into_inner).take();
        match self.server.ask::<_, DeleteResponse>("Delete", &delete(&self.id, "")) {
            Err(error) if error.is_not_found() => {}
            Err(error) if self.server.has_ended() => {
                tracing::warn!(container = self.id, %error, "its shim has died");
                self.server.delete_by_program(&self.id, &self.bundle)?;
            }
            other => drop(other?),
        }
        self.server.mounts().detach(&self.places)
    }
}

fn delete(id: &str, exec_id: &str) -> DeleteRequest {
    DeleteRequest { id: id.to_owned(), exec_id: exec_id.to_owned(), ..DeleteRequest::default() }
}
