use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use wharf_cgroups::Cgroup;
use wharf_error::{Error, Result};
use wharf_runtime::CgroupJoin;

use crate::{
    engine::{Engine, Executed},
    oom::Told,
    process::Process,
};

const SIGKILL: i32 = 9;

/// A container of the pod, from `Create` to `Delete`.
pub struct Container {
    pub id: String,
    pub bundle: PathBuf,
    pub cgroup: Cgroup,
    /// Its processes end with the first one by the kernel's hand.
    pub own_pids: bool,
    pub init: Arc<Process>,
    pub runtime: Arc<Engine>,
    /// What the daemon knows of its want of memory.
    pub oom: Told,
    /// One change of its life at a time: start, pause, update, delete.
    pub life: tokio::sync::Mutex<()>,
    paused: AtomicBool,
    execs: Mutex<HashMap<String, Arc<Exec>>>,
}

/// A process to be executed, or that was.
pub struct Exec {
    pub process: Arc<Process>,
    /// Until the start.
    pub spec: Mutex<Option<Box<oci_spec::runtime::Process>>>,
    pub runtime: Mutex<Option<Arc<Executed>>>,
}

/// What a container is made of.
pub struct Parts {
    pub id: String,
    pub bundle: PathBuf,
    pub cgroup: Cgroup,
    pub own_pids: bool,
    pub init: Arc<Process>,
    pub runtime: Engine,
}

// === impl Container ===

impl Container {
    pub fn new(parts: Parts) -> Self {
        Self {
            id: parts.id,
            bundle: parts.bundle,
            cgroup: parts.cgroup,
            own_pids: parts.own_pids,
            init: parts.init,
            runtime: Arc::new(parts.runtime),
            oom: Told::default(),
            life: tokio::sync::Mutex::default(),
            paused: AtomicBool::new(false),
            execs: Mutex::default(),
        }
    }

    /// Kills all of it. Blocks.
    pub fn end(&self) -> Result<()> {
        self.runtime.end();
        self.cgroup.kill(SIGKILL)
    }

    pub fn paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    pub fn execs(&self) -> MutexGuard<'_, HashMap<String, Arc<Exec>>> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn exec(&self, exec_id: &str) -> Result<Arc<Exec>> {
        self.execs().get(exec_id).cloned().ok_or_else(|| Error::not_found("exec", exec_id))
    }

    /// The first process for an empty id, else an executed one.
    pub fn process(&self, exec_id: &str) -> Result<Arc<Process>> {
        if exec_id.is_empty() { Ok(self.init.clone()) } else { Ok(self.exec(exec_id)?.process.clone()) }
    }
}

/// The cgroup as the runtime wants it.
pub fn join(cgroup: &Cgroup) -> Result<CgroupJoin> {
    let files = cgroup.join_files()?;
    Ok(CgroupJoin { tasks: files.tasks, unified: files.unified })
}

/// The same, for a process that is executed beside the container's first.
pub fn join_beside(cgroup: &Cgroup, first: i32) -> Result<CgroupJoin> {
    let files = cgroup.join_files_beside(first)?;
    Ok(CgroupJoin { tasks: files.tasks, unified: files.unified })
}
