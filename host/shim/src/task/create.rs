use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};
use wharf_cgroups::{Cgroup, OomWatch};
use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::{
    CreateRequest, PodNamespaces, RootMount, TerminalSize, assemble_idmapped_root, assemble_root, user_namespace,
};
use wharf_shim_api::{
    CREATE_OPTIONS_TYPE_URL, CreateOptions, ExitRecord, TaskEvent,
    events::{TaskCreate, TaskIO},
    from_json,
    task::{CreateTaskRequest, CreateTaskResponse},
};

use super::remove_container;
use crate::{
    container::{Container, Parts, join},
    engine::{Console, Ending, Engine, New, OciContainer, OtherContainer},
    exit,
    image_mounts::assemble_all,
    io,
    limits::set_limits,
    oom,
    operation::blocking,
    process::{Process, StdioNames},
    record::ContainerRecord,
    rootfs::{forget_volatile, root_of},
    shim::Shim,
};

/// How long the cgroup of a container that was not made may take to go.
const UNDO: Duration = Duration::from_secs(5);

/// Makes the container up to the point before its program.
pub async fn create(shim: Arc<Shim>, request: CreateTaskRequest) -> Result<CreateTaskResponse> {
    if !request.checkpoint.is_empty() {
        return Err(Error::new(Kind::Unsupported, format!("container {}: restore from a checkpoint", request.id)));
    }
    let sandbox = shim.sandbox();
    if sandbox.as_ref().is_some_and(|sandbox| sandbox.is_stopped()) {
        return Err(Error::new(Kind::FailedPrecondition, format!("container {}: the pod has stopped", request.id)));
    }
    let scope = sandbox.as_ref().and_then(|sandbox| sandbox.scope().cloned());
    let namespaces = sandbox.map(|sandbox| sandbox.namespaces.clone()).unwrap_or_default();
    let place = shim.reserve(&request.id)?;
    let (maker, asked) = (shim.clone(), request.clone());
    let made = blocking(move || {
        let what = format!("container {}", asked.id);
        make(&maker, asked, &namespaces, scope.as_ref()).step(|| what)
    })
    .await?;
    point!("shim.create.made");
    let Made { parts, mut attached, console, ending, oom } = made;
    let container = Arc::new(Container::new(parts));
    let pid = container.runtime.pid();
    container.init.set_pid(pid);
    let watched = exit::watch(&shim, &container, &container.init, ending);
    let owner = container.init.owner;
    let connected = console.map_or(Ok(()), |console| attached.connect_terminal(console, owner, &shim.logs));
    *container.init.attached() = Some(attached);
    if let Some(oom) = oom {
        oom::spawn(&shim, &container, oom);
    }
    place.fill(container.clone());
    if let Err(error) = watched.and(connected) {
        if let Err(left) = remove_container(&shim, &container).await {
            tracing::error!(container = container.id, error = %left, "something of it is left");
        }
        return Err(error).step(|| format!("container {}", request.id));
    }
    shim.events.publish(&TaskEvent::Create(event(request, pid)));
    Ok(CreateTaskResponse { pid: pid.unsigned_abs(), ..CreateTaskResponse::default() })
}

struct Made {
    parts: Parts,
    attached: io::Attached,
    /// Of a terminal.
    console: Option<Console>,
    ending: Ending,
    oom: Option<OomWatch>,
}

/// `scope`: the pod's cgroup where that is another's to make.
fn make(shim: &Shim, request: CreateTaskRequest, namespaces: &PodNamespaces, scope: Option<&Cgroup>) -> Result<Made> {
    let bundle = PathBuf::from(&request.bundle);
    if !bundle.is_absolute() {
        return Err(Error::invalid(format!("bundle `{}` is not absolute", request.bundle)));
    }
    let options = match request.options.as_ref().filter(|options| !options.value.is_empty()) {
        Some(options) if options.type_url == CREATE_OPTIONS_TYPE_URL => from_json::<CreateOptions>(options)?,
        // Of containerd's configuration for its own shims: nothing in them is for us.
        Some(options) => {
            tracing::warn!(container = request.id, kind = options.type_url, "options of another kind are not used");
            CreateOptions::default()
        }
        None => CreateOptions::default(),
    };
    let own;
    let namespaces = if options.own_pids {
        own = namespaces.without_pids()?;
        &own
    } else {
        namespaces
    };
    let spec = read_spec(&bundle)?;
    let root = root_of(&request.rootfs, &options, &spec, &bundle)?;
    let path = cgroup_path(&spec, shim, &request.id)?;
    let inside = shim.hierarchies()?.open(&path)?.pids()?;
    if !inside.is_empty() {
        // It would be killed and removed with the container.
        let what = format!("its cgroup {path} holds processes that are not its own: {inside:?}");
        return Err(Error::new(Kind::FailedPrecondition, what));
    }
    // One that was made, undone and is made again has not ended: how its first life did is nobody's news.
    ExitRecord::forget(&bundle)?;
    let record = ContainerRecord {
        bundle: bundle.clone(),
        cgroup: path.clone(),
        oci: options.oci.clone(),
        other: options.other.clone(),
    };
    shim.record_container(&request.id, record)?;
    // From here on a failure has something to take away.
    point!("shim.create.recorded");
    let in_scope = scope.and_then(|scope| Some((scope, path.strip_prefix(&scope.path())?.strip_prefix('/')?)));
    let cgroup = match in_scope {
        Some((scope, name)) => scope.create_child(name)?,
        None => shim.hierarchies()?.create(&path)?,
    };
    point!("shim.create.cgroup");
    let made = in_cgroup(shim, &request, &options, &spec, &root, namespaces, &bundle, &cgroup);
    if made.is_err() {
        let undone = cgroup.kill(9).and_then(|()| cgroup.delete(UNDO));
        match undone.and_then(|()| shim.forget_record(&request.id, &bundle)) {
            Ok(()) => {}
            Err(error) => tracing::error!(container = request.id, %error, "something of it is left"),
        }
        for failure in wharf_runtime::run_poststop(&request.id, &bundle, &spec) {
            tracing::warn!(container = request.id, failure, "hook");
        }
    }
    made
}

#[allow(clippy::too_many_arguments, reason = "the parts of one container, put together once")]
fn in_cgroup(
    shim: &Shim,
    request: &CreateTaskRequest,
    options: &CreateOptions,
    spec: &Spec,
    root: &RootMount,
    namespaces: &PodNamespaces,
    bundle: &Path,
    cgroup: &Cgroup,
) -> Result<Made> {
    if let Some(resources) = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()) {
        set_limits(&request.id, cgroup, resources)?;
    }
    // Before there is a process, so that nothing is missed.
    let oom = oom::watch(&request.id, cgroup);
    let stdio = StdioNames {
        stdin: request.stdin.clone(),
        stdout: request.stdout.clone(),
        stderr: request.stderr.clone(),
        terminal: request.terminal,
    };
    let owner = shim.new_owner();
    let size = spec.process().as_ref().and_then(|process| process.console_size()).and_then(|size| {
        let (rows, columns) = (u16::try_from(size.height()).ok()?, u16::try_from(size.width()).ok()?);
        Some(TerminalSize { rows, columns })
    });
    let (files, attached) = io::open(&stdio, owner, &shim.logs, size)?;
    forget_volatile(root)?;
    let merge_image_groups = !options.strict_groups;
    let for_others = |stdio| -> Result<New<'_>> {
        let assembled = assemble_root(root)?;
        point!("shim.create.root");
        Ok(New {
            id: &request.id,
            bundle,
            spec,
            root: assembled,
            sources: assemble_all(options, None)?,
            namespaces,
            merge_image_groups,
            folders: &options.folders,
            stdio,
        })
    };
    let (runtime, console, ending) = if let Some(runtime) = options.oci.clone() {
        let (container, master, pidfd) = OciContainer::create(runtime, for_others(files)?)?;
        (Engine::Oci(container), master.map(Console::Master), Ending::Child(pidfd))
    } else if let Some(program) = &options.other {
        let server = shim.other(program, spec.annotations().as_ref())?;
        let (container, ends, told) = OtherContainer::create(server, for_others(files)?)?;
        (Engine::Other(container), ends.map(Console::Streams), Ending::Told(told))
    } else {
        let user = user_namespace(spec, namespaces)?;
        let assembled = match &user {
            Some(user) if options.idmapped_root => assemble_idmapped_root(root, user)?,
            _ => assemble_root(root)?,
        };
        point!("shim.create.root");
        let sources = assemble_all(options, user.as_deref())?;
        let mut runtime = wharf_runtime::create(CreateRequest {
            id: &request.id,
            bundle,
            spec,
            root: assembled,
            sources,
            namespaces,
            user_namespace: user,
            cgroup: Some(join(cgroup)?),
            merge_image_groups,
            folders: &options.folders,
            stdio: files,
        })?;
        for warning in runtime.warnings() {
            tracing::warn!(container = request.id, warning, "create");
        }
        let pidfd = runtime.pidfd().try_clone_to_owned().step(|| "keep its pidfd".into())?;
        let master = runtime.take_terminal();
        (Engine::Native(runtime), master.map(Console::Master), Ending::Child(pidfd))
    };
    let parts = Parts {
        id: request.id.clone(),
        bundle: bundle.to_owned(),
        cgroup: cgroup.clone(),
        own_pids: has_own_pids(spec, namespaces),
        init: Arc::new(Process::new("", stdio, owner)),
        runtime,
    };
    Ok(Made { parts, attached, console, ending, oom })
}

pub fn read_spec(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let json = std::fs::read(&path).step(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&json).step_as(Kind::InvalidArgument, || format!("read {}", path.display()))
}

/// The specification's cgroup; without one, `/<namespace>/<id>`.
fn cgroup_path(spec: &Spec, shim: &Shim, id: &str) -> Result<String> {
    let path = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    match path.map(|path| path.to_str()) {
        Some(Some(path)) => Ok(path.to_owned()),
        Some(None) => Err(Error::invalid("linux.cgroupsPath is not text")),
        None => Ok(format!("/{}/{id}", shim.namespace)),
    }
}

/// A new PID namespace: its first process takes all others with it.
fn has_own_pids(spec: &Spec, pod: &PodNamespaces) -> bool {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let is_new = |namespace: &LinuxNamespace| namespace.typ() == LinuxNamespaceType::Pid && namespace.path().is_none();
    pod.pid.is_none() && namespaces.iter().any(is_new)
}

fn event(request: CreateTaskRequest, pid: i32) -> TaskCreate {
    let io = TaskIO {
        stdin: request.stdin,
        stdout: request.stdout,
        stderr: request.stderr,
        terminal: request.terminal,
        ..TaskIO::default()
    };
    TaskCreate {
        container_id: request.id,
        bundle: request.bundle,
        rootfs: request.rootfs,
        io: Some(io).into(),
        pid: pid.unsigned_abs(),
        ..TaskCreate::default()
    }
}
