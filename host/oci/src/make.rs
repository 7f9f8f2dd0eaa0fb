use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use oci_spec::runtime::Spec;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use wharf_cgroups::Cgroup;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::{
    Container, CreateRequest, Detached, PodNamespaces, ProcessStdio, RootKind, RootMount, assemble_root,
    create_detached, run_poststop, user_namespace,
};

use crate::{
    bundle::{self, Bundle},
    cgroup, console, descriptors,
    init::ends,
    report::Report,
    store::{Folder, Init, Record, Store},
};

/// How long the process of a container that could not be made may take to end.
const END: Duration = Duration::from_secs(10);

/// What `create` and `run` have in common.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// The bundle's folder; the current one without
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// The Unix socket that receives the master of the container's terminal
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// The Unix socket that receives a pidfd of the container's first process
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,
    /// The file that the process id is written to
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Move the root over the host's instead of pivoting: for a root file system on a ramdisk
    #[arg(long)]
    no_pivot: bool,
    /// Taken for others' sake: no keyring is made
    #[arg(long)]
    no_new_keyring: bool,
    /// Pass so many further descriptors, from 3 on, to the container
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// The name for the container
    pub(crate) id: String,
}

/// A container that waits for its start, with nobody but itself.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) folder: Folder,
    pub(crate) record: Record,
    pub(crate) container: Container,
    /// Where it was not sent away.
    pub(crate) terminal: Option<OwnedFd>,
}

/// Makes a container; of one that cannot be made nothing is left.
pub(crate) fn make(options: &Options, detached: bool, store: &Store, report: &Report) -> Result<Made> {
    let preserved_fds = descriptors::preserved(options.preserve_fds)?;
    let bundle = bundle::load(options.bundle.as_deref())?;
    let terminal = bundle.spec.process().as_ref().and_then(|process| process.terminal()) == Some(true);
    console::check(terminal, options.console_socket.as_deref(), detached)?;
    let folder = store.reserve(&options.id)?;
    let mut begun = false;
    let made = record(options, &bundle, &folder).and_then(|record| {
        begun = true;
        let made = fill(options, preserved_fds, &bundle, &folder, record.clone(), report);
        if made.is_err()
            && let Err(left) = cgroup::clear(&record.cgroup)
        {
            report.warning(&format!("container {}: something of it is left: {left}", options.id));
        }
        made
    });
    match made {
        Ok((record, container, terminal)) => Ok(Made { folder, record, container, terminal }),
        Err(error) => {
            if let Err(left) = folder.remove() {
                report.warning(&format!("container {}: something of it is left: {left}", options.id));
            }
            // What hooks of its creation have set up is theirs to take down.
            if begun {
                for failed in run_poststop(&options.id, &bundle.path, &bundle.spec) {
                    report.warning(&failed);
                }
            }
            Err(error)
        }
    }
}

/// What is about to be made is written down first.
fn record(options: &Options, bundle: &Bundle, folder: &Folder) -> Result<Record> {
    let created = OffsetDateTime::now_utc().format(&Rfc3339).step(|| "tell the time".into())?;
    let record = Record {
        id: options.id.clone(),
        oci_version: bundle.spec.version().clone(),
        bundle: bundle.path.clone(),
        rootfs: bundle.rootfs.clone(),
        created,
        annotations: bundle.spec.annotations().clone().unwrap_or_default(),
        cgroup: cgroup::path_of(&bundle.spec, &options.id)?,
        init: None,
        late_steps: Vec::new(),
    };
    // Refused before it is a reason to take a group away that others are in.
    let inside = cgroup::open(&record.cgroup)?.pids()?;
    if !inside.is_empty() {
        let what = format!("container's cgroup is not empty: {} holds processes {inside:?}", record.cgroup);
        return Err(
            Error::new(Kind::FailedPrecondition, what).hint("give each container a linux.cgroupsPath of its own")
        );
    }
    folder.save_spec(&bundle.spec)?;
    folder.save(&record)?;
    Ok(record)
}

fn fill(
    options: &Options,
    preserved_fds: u32,
    bundle: &Bundle,
    folder: &Folder,
    mut record: Record,
    report: &Report,
) -> Result<(Record, Container, Option<OwnedFd>)> {
    let group = cgroup::create(&record.cgroup)?;
    limit(&group, &bundle.spec, report)?;
    let namespaces = PodNamespaces::default();
    let user = user_namespace(&bundle.spec, &namespaces)?;
    let root = RootMount { kind: RootKind::Tree { source: bundle.rootfs.clone() }, label: None, beneath: "/".into() };
    let terminal = bundle.spec.process().as_ref().and_then(|process| process.terminal()) == Some(true);
    let stdio = if terminal { ProcessStdio::Terminal { size: None } } else { descriptors::inherited()? };
    let request = CreateRequest {
        id: &options.id,
        bundle: &bundle.path,
        spec: &bundle.spec,
        root: assemble_root(&root)?,
        sources: BTreeMap::new(),
        namespaces: &namespaces,
        user_namespace: user,
        cgroup: Some(cgroup::join(&group)?),
        merge_image_groups: false,
        folders: &[],
        stdio,
    };
    let root_at = folder.path().join("rootfs");
    let detached = Detached { start: folder.listen()?, root_at, preserved_fds, no_pivot: options.no_pivot };
    let mut container = create_detached(request, detached)?;
    let finish = (|| {
        for warning in container.warnings() {
            report.warning(warning);
        }
        report.debug(|| format!("container {}: process {} waits for its start", options.id, container.pid()));
        record.init = Some(Init::of(container.pid())?);
        record.late_steps = container.late_steps().to_vec();
        let mut master = container.take_terminal();
        if let (Some(terminal), Some(socket)) = (&master, &options.console_socket) {
            console::send(terminal, socket)?;
            master = None;
        }
        if let Some(socket) = &options.pidfd_socket {
            console::send_pidfd(container.pidfd(), socket)?;
        }
        if let Some(path) = &options.pid_file {
            write_pid(path, container.pid())?;
        }
        folder.save(&record)?;
        container.detach()?;
        Ok(master)
    })();
    match finish {
        Ok(master) => Ok((record, container, master)),
        Err(error) => {
            end(&container);
            Err(error)
        }
    }
}

fn limit(group: &Cgroup, spec: &Spec, report: &Report) -> Result<()> {
    if let Some(resources) = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()) {
        for warning in cgroup::limit(group, resources)? {
            report.warning(&warning);
        }
    }
    Ok(())
}

/// Ends and reaps a process that waits.
pub(crate) fn end(container: &Container) {
    // One that has ended is as good.
    let _ = container.kill(Signal::KILL.as_raw());
    if let Ok(pidfd) = container.pidfd().try_clone_to_owned()
        && ends(&pidfd, END).unwrap_or(false)
    {
        let _ = waitid(WaitId::PidFd(container.pidfd()), WaitIdOptions::EXITED);
    }
}

/// Whole or not at all, for others watch for it.
pub(crate) fn write_pid(path: &Path, pid: i32) -> Result<()> {
    let step = || format!("write pid file {}", path.display());
    let name = path.file_name().ok_or_else(|| Error::invalid(format!("{}: it has no name", step())))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    let new = path.with_file_name(hidden);
    let written =
        fs::File::create(&new).and_then(|mut file| write!(file, "{pid}")).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.step(step)
}
