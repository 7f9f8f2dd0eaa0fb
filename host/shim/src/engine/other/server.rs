use std::{
    collections::HashMap,
    fs,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use protobuf::Message;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::runtime::Handle;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::MountNamespace;
use wharf_shim_api::{
    Bootstrap, OtherShim, OtherTasks, call, connect, from_status, path_of,
    task::{Any, ConnectRequest, ConnectResponse, Empty, ShutdownRequest},
};

use super::run::Run;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(25);

/// How long it may take to end.
const END: Duration = Duration::from_secs(5);

/// What is started, and for whom.
pub struct Start<'a> {
    pub program: &'a OtherShim,
    /// The pod.
    pub id: &'a str,
    pub namespace: &'a str,
    /// The daemon's socket.
    pub address: &'a str,
    /// The socket that takes its events.
    pub events: &'a Path,
    /// The pod's bundle.
    pub bundle: &'a Path,
    /// Of its first container: whose pod it is.
    pub annotations: Option<&'a HashMap<String, String>>,
}

/// One that runs, for `delete` after we have died.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct OtherRecord {
    pub bundle: PathBuf,
    pub namespace: String,
    /// Once it has said so.
    pub pid: Option<i32>,
    pub address: String,
}

/// Another shim that runs.
pub struct Server {
    program: OtherShim,
    id: String,
    namespace: String,
    address: String,
    events: PathBuf,
    pub(super) tasks: OtherTasks,
    runtime: Handle,
    mounts: Arc<MountNamespace>,
    pidfd: OwnedFd,
    record: OtherRecord,
}

// === impl Server ===

impl Server {
    /// Starts it, and connects to it. To be called on a blocking thread of the event loop's. Blocks.
    pub fn start(new: &Start<'_>) -> Result<Self> {
        let bundle = folder(new.bundle);
        write_bundle(&bundle, new)?;
        let mounts = Arc::new(MountNamespace::new()?);
        let run = Run { program: new.program, id: new.id, namespace: new.namespace, address: new.address };
        let printed = run.run("start", &bundle, Some(&mounts), new.events)?;
        let bootstrap = Bootstrap::parse(&printed)?;
        let runtime = Handle::current();
        let client = runtime.block_on(async { tokio::time::timeout(DEADLINE, connect(&bootstrap.address)).await });
        let late = || Error::new(Kind::DeadlineExceeded, format!("connect to {}: no answer", bootstrap.address));
        let tasks = OtherTasks::new(client.map_err(|_| late())??, &bootstrap);
        let request = ConnectRequest { id: new.id.to_owned(), ..ConnectRequest::default() };
        let answer: ConnectResponse = ask(&runtime, &tasks, new.program, "Connect", &request)?;
        let pid = i32::try_from(answer.shim_pid).ok().and_then(Pid::from_raw);
        let pid =
            pid.ok_or_else(|| Error::internal(format!("{}: it does not say its pid", new.program.path.display())))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(std::io::Error::from);
        let namespace = new.namespace.to_owned();
        let record =
            OtherRecord { bundle, namespace, pid: Some(pid.as_raw_nonzero().get()), address: bootstrap.address };
        Ok(Self {
            program: new.program.clone(),
            id: new.id.to_owned(),
            namespace: new.namespace.to_owned(),
            address: new.address.to_owned(),
            events: new.events.to_owned(),
            tasks,
            runtime,
            mounts,
            pidfd: pidfd.step(|| format!("open process {}", pid.as_raw_nonzero()))?,
            record,
        })
    }

    pub fn program(&self) -> &OtherShim {
        &self.program
    }

    pub fn record(&self) -> &OtherRecord {
        &self.record
    }

    pub fn mounts(&self) -> &MountNamespace {
        &self.mounts
    }

    pub fn options(&self) -> Result<Option<Any>> {
        self.program.options()
    }

    /// One call. To be made on a blocking thread of the event loop's. Blocks, 25 seconds at most.
    pub fn ask<Q: Message, A: Message>(&self, method: &str, request: &Q) -> Result<A> {
        ask(&self.runtime, &self.tasks, &self.program, method, request)
    }

    pub fn has_ended(&self) -> bool {
        ended_within(&self.pidfd, Duration::ZERO)
    }

    /// Has its program take away what it knows of a container, once it has died.
    pub fn delete_by_program(&self, id: &str, bundle: &Path) -> Result<()> {
        let run = Run { program: &self.program, id, namespace: &self.namespace, address: &self.address };
        run.run("delete", bundle, Some(&self.mounts), &self.events).map(drop)
    }

    /// Ends it; its containers are gone.
    pub fn shut_down(&self) -> Result<()> {
        let request = ShutdownRequest { id: self.id.clone(), now: true, ..ShutdownRequest::default() };
        if let Err(error) = self.ask::<_, Empty>("Shutdown", &request) {
            // Its end may be faster than its answer.
            tracing::debug!(%error, "shut another shim down");
        }
        if !ended_within(&self.pidfd, END) {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            if !ended_within(&self.pidfd, END) {
                let what = format!("{}: process {:?} does not end", self.program.path.display(), self.record.pid);
                return Err(Error::new(Kind::DeadlineExceeded, what));
            }
        }
        remove_socket(&self.record.address)
    }
}

/// Where another shim's own files are in a pod's bundle.
pub fn folder(bundle: &Path) -> PathBuf {
    bundle.join("shim")
}

/// Ends another shim after we have died, and its socket. None there is success.
pub fn end(record: &OtherRecord, id: &str) -> Result<()> {
    // One that had not yet said so has written it down, as containerd's own do.
    let written = |name: &str| fs::read_to_string(record.bundle.join(name)).ok();
    let pid = || written("shim.pid")?.trim().parse().ok();
    if let Some(pid) = record.pid.or_else(pid).and_then(Pid::from_raw)
        && let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty())
    {
        // Looked at after the pidfd was opened, so that it is this process that is looked at.
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        if line.split(|&byte| byte == 0).any(|word| word == id.as_bytes()) {
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            if !ended_within(&pidfd, END) {
                let what = format!("another shim, process {}: it does not end", pid.as_raw_nonzero());
                return Err(Error::new(Kind::DeadlineExceeded, what));
            }
        }
    }
    let address =
        if record.address.is_empty() { written("address").unwrap_or_default() } else { record.address.clone() };
    remove_socket(address.trim())
}

/// Has a shim's program take away what it knows of a container, after we and it have died.
pub fn delete_by_program(program: &OtherShim, id: &str, namespace: &str, bundle: &Path) -> Result<()> {
    if !bundle.is_dir() {
        return Ok(());
    }
    Run { program, id, namespace, address: "" }.run("delete", bundle, None, Path::new("")).map(drop)
}

/// The bundle of the pod, as containerd writes it for a pod's first container: whose it is, by its annotations.
fn write_bundle(bundle: &Path, new: &Start<'_>) -> Result<()> {
    let step = || format!("write {}", bundle.display());
    fs::DirBuilder::new().recursive(true).mode(0o711).create(bundle).step(step)?;
    let mut annotations: HashMap<&str, &str> = HashMap::new();
    for (key, value) in new.annotations.into_iter().flatten() {
        if key.starts_with("io.kubernetes.cri.sandbox-") {
            annotations.insert(key, value);
        }
    }
    annotations.insert("io.kubernetes.cri.container-type", "sandbox");
    annotations.insert("io.kubernetes.cri.sandbox-id", new.id);
    let config = json!({
        "ociVersion": "1.0.2", "process": { "args": ["/pause"], "cwd": "/", "user": { "uid": 0, "gid": 0 } },
        "root": { "path": "rootfs" }, "annotations": annotations, "linux": {},
    });
    fs::write(bundle.join("config.json"), config.to_string()).step(step)?;
    // It opens what is there; a file waits for no reader.
    fs::write(bundle.join("log"), "").step(step)
}

fn ask<Q: Message, A: Message>(
    runtime: &Handle,
    tasks: &OtherTasks,
    program: &OtherShim,
    method: &str,
    request: &Q,
) -> Result<A> {
    let what = || format!("{}: {method}", program.path.display());
    let asked = async { tokio::time::timeout(DEADLINE, tasks.ask(call(DEADLINE, ""), method, request)).await };
    match runtime.block_on(asked) {
        Ok(answer) => answer.map_err(|error| from_status(&what(), error)),
        Err(_) => Err(Error::new(Kind::DeadlineExceeded, format!("{}: no answer within {DEADLINE:?}", what()))),
    }
}

fn ended_within(pidfd: &OwnedFd, patience: Duration) -> bool {
    let left = Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: 0 };
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&left)).is_ok_and(|count| count > 0)
}

fn remove_socket(address: &str) -> Result<()> {
    let Ok(path) = path_of(address) else { return Ok(()) };
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).step(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
