//! `delete`: takes away what a shim that has died left behind.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use protobuf::Message as _;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use wharf_cgroups::Hierarchies;
use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::{run_poststop, unpin_netns};
use wharf_shim_api::{ExitRecord, task::DeleteResponse, timestamp};

use crate::{
    args::{Args, NAME},
    engine::{delete_by_program, end_other, inner_bundle, remove_oci},
    logs::now_nanos,
    record::{ContainerRecord, Record},
    start::{lock, socket_of},
    task::read_spec,
};

/// How long each cgroup may take to be empty after its processes were killed.
const EMPTY: Duration = Duration::from_secs(10);

/// How long a killed shim may take to end.
const END: Duration = Duration::from_secs(5);

/// What a container gets whose end nobody saw: killed.
const KILLED: i32 = 137;

/// Cleans up and prints a `DeleteResponse`.
pub fn delete(args: &Args) -> Result<()> {
    // A bundle that is gone is nobody's to start in.
    let _lock = if args.bundle.exists() { Some(lock(&args.bundle)?) } else { None };
    clean_locked(args)?;
    let response = DeleteResponse {
        exit_status: KILLED.unsigned_abs(),
        exited_at: Some(timestamp(now_nanos())).into(),
        ..DeleteResponse::default()
    };
    let bytes = response.write_to_bytes().step(|| "encode the answer".into())?;
    io::stdout().write_all(&bytes).step(|| "print the answer".into())
}

/// Kills the shim should it still run, its containers, and removes cgroups, pin and socket. Everything is
/// tried; the first failure is reported. Again is success. Callers hold the bundle's [`lock`].
pub fn clean_locked(args: &Args) -> Result<()> {
    let (bundle, id) = (args.bundle.as_path(), args.id.as_str());
    let mut done = end_shim(bundle, id);
    point!("shim.clean.shim");
    let record = Record::read(bundle)?;
    if let Some(other) = &record.other {
        done = done.and(end_other(other, id));
    }
    let namespace = record.other.as_ref().map_or("", |other| other.namespace.as_str());
    if !record.containers.is_empty() || record.cgroup_parent.is_some() {
        let hierarchies = Hierarchies::detect()?;
        for (id, container) in &record.containers {
            done = done.and(end_container(&hierarchies, id, namespace, container));
        }
        if let Some(parent) = &record.cgroup_parent {
            done = done.and(end_cgroup(&hierarchies, parent));
        }
    }
    point!("shim.clean.cgroups");
    if let Some(netns) = &record.netns {
        done = done.and(unpin_netns(netns));
    }
    point!("shim.clean.netns");
    done = done.and(remove(&socket_of(args)));
    done?;
    point!("shim.clean.socket");
    Record::remove(bundle)
}

/// The process of `shim.pid`, if it is this pod's shim: it hangs, or nobody would ask us.
fn end_shim(bundle: &Path, id: &str) -> Result<()> {
    let Ok(text) = fs::read_to_string(bundle.join("shim.pid")) else { return Ok(()) };
    let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else { return Ok(()) };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
    // Looked at after the pidfd was opened, so that it is this process that is looked at.
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
    if words.first() != Some(&NAME.as_bytes()) || !words.contains(&id.as_bytes()) {
        return Ok(());
    }
    let _ = pidfd_send_signal(&pidfd, Signal::KILL);
    let end = Timespec { tv_sec: END.as_secs().cast_signed(), tv_nsec: 0 };
    match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&end)) {
        Ok(0) => Err(Error::new(Kind::DeadlineExceeded, format!("shim {}: it does not end", pid.as_raw_nonzero()))),
        Ok(_) => Ok(()),
        Err(error) => Err(io::Error::from(error)).step(|| "wait for the shim's end".into()),
    }
}

fn end_container(hierarchies: &Hierarchies, id: &str, namespace: &str, container: &ContainerRecord) -> Result<()> {
    if let Some(runtime) = &container.oci {
        remove_oci(runtime, &container.bundle, id)?;
    }
    if let Some(program) = &container.other {
        delete_by_program(program, id, namespace, &inner_bundle(&container.bundle))?;
    }
    end_cgroup(hierarchies, &container.cgroup)?;
    // Without its specification nobody knows what was to be run at its end.
    if let Ok(spec) = read_spec(&container.bundle) {
        for failure in run_poststop(id, &container.bundle, &spec) {
            tracing::warn!(container = id, failure, "hook");
        }
    }
    if container.bundle.is_dir() && ExitRecord::read(&container.bundle)?.is_none() {
        ExitRecord { exit_code: KILLED, exited_at_ns: now_nanos(), oom: false }.write(&container.bundle)?;
    }
    Ok(())
}

fn end_cgroup(hierarchies: &Hierarchies, path: &str) -> Result<()> {
    let cgroup = hierarchies.open(path)?;
    cgroup.kill(9)?;
    point!("shim.clean.killed");
    cgroup.delete(EMPTY)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).step(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
