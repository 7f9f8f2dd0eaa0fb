use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::sync::watch;
use wharf_cgroups::Cgroup;
use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::{
    IdMapping, IdMappings, PodNamespaces, PodNamespacesRequest, SharedMemory, create_pod_namespaces, open_namespace,
    pin_netns, unpin_netns,
};
use wharf_shim_api::{
    IdRange, Namespace, SandboxOptions, UserMappings, from_json,
    sandbox::{CreateSandboxRequest, CreateSandboxResponse, StartSandboxRequest, StartSandboxResponse},
    timestamp,
};

use super::{Init, Sandbox, Stage, find};
use crate::{logs::now_nanos, operation::blocking, shim::Shim};

/// What `/dev/shm` of a pod holds, bytes: what containerd and CRI-O give.
const SHARED_MEMORY: u64 = 64 << 20;

/// Makes the pod's namespaces and pins its network namespace. Again with the same options is success.
pub async fn create(shim: Arc<Shim>, request: CreateSandboxRequest) -> Result<CreateSandboxResponse> {
    let _life = shim.life.lock().await;
    let what = || format!("pod {}: create", request.sandbox_id);
    if request.sandbox_id != shim.id {
        return Err(Error::invalid(format!("{}: this is the shim of pod {}", what(), shim.id)));
    }
    let options = match request.options.as_ref().filter(|options| !options.value.is_empty()) {
        Some(options) => from_json::<SandboxOptions>(options).step(what)?,
        None => SandboxOptions::default(),
    };
    if let Some(there) = shim.sandbox() {
        if there.options == options && !there.is_stopped() {
            return Ok(CreateSandboxResponse::default());
        }
        return Err(Error::new(Kind::AlreadyExists, format!("{}: it exists with other options", what())));
    }
    let (maker, given) = (shim.clone(), request.netns_path.clone());
    let sandbox = blocking(move || make(&maker, options, &given)).await.step(what)?;
    let sandbox = Arc::new(sandbox);
    sandbox.end_with_init().step(what)?;
    shim.set_sandbox(Some(sandbox));
    Ok(CreateSandboxResponse::default())
}

/// The pod is ready; its process, in the protocol's eyes, is the shim itself.
pub async fn start(shim: Arc<Shim>, request: StartSandboxRequest) -> Result<StartSandboxResponse> {
    let _life = shim.life.lock().await;
    let sandbox = find(&shim, &request.sandbox_id)?;
    if sandbox.is_stopped() {
        let what = format!("pod {}: start: it has stopped", request.sandbox_id);
        return Err(Error::new(Kind::FailedPrecondition, what));
    }
    sandbox.set_stage(Stage::Ready);
    Ok(StartSandboxResponse {
        pid: std::process::id(),
        created_at: Some(timestamp(sandbox.created_nanos)).into(),
        ..StartSandboxResponse::default()
    })
}

fn make(shim: &Shim, options: SandboxOptions, given_netns: &str) -> Result<Sandbox> {
    let pin = match (options.network, &options.netns_path) {
        (Namespace::Pod, Some(path)) => Some(absolute(path)?),
        _ => None,
    };
    // A namespace that somebody else made and keeps.
    let given = (options.network == Namespace::Pod && pin.is_none() && !given_netns.is_empty()).then_some(given_netns);
    let parent = match options.cgroup_parent.as_str() {
        "" => None,
        path => Some(shim.hierarchies()?.open(path)?),
    };
    // With a holder, it is for others to make.
    let ours = parent.as_ref().filter(|_| !options.holder);
    let made_here = ours.filter(|parent| !parent.exists()).map(Cgroup::path);
    shim.record.update(|record| (record.netns, record.cgroup_parent) = (pin.clone(), made_here))?;
    point!("shim.sandbox.recorded");
    if let Some(parent) = ours {
        shim.hierarchies()?.create(&parent.path())?;
    }
    point!("shim.sandbox.cgroup");
    let mut namespaces = namespaces(&options, pin.as_deref(), given)?;
    point!("shim.sandbox.namespaces");
    let init = match options.pid {
        Namespace::Pod => Some(Init::spawn(namespaces.user.as_deref())?),
        Namespace::Node | Namespace::Container if options.holder => Some(Init::hold()?),
        Namespace::Node | Namespace::Container => None,
    };
    if let (Some(init), Namespace::Pod) = (&init, options.pid) {
        namespaces.pid = Some(open_namespace(Path::new(&format!("/proc/{}/ns/pid", init.pid)))?);
    }
    Ok(Sandbox {
        options,
        namespaces: Arc::new(namespaces),
        netns: pin,
        cgroup: parent,
        created_nanos: now_nanos(),
        init: Mutex::new(init),
        witness: Mutex::default(),
        stage: watch::Sender::new(Stage::Created),
    })
}

fn namespaces(options: &SandboxOptions, pin: Option<&Path>, given: Option<&str>) -> Result<PodNamespaces> {
    let mut namespaces = create_pod_namespaces(&PodNamespacesRequest {
        hostname: (!options.hostname.is_empty()).then(|| options.hostname.clone()),
        net: options.network == Namespace::Pod && given.is_none(),
        ipc: options.ipc == Namespace::Pod,
        uts: !options.hostname.is_empty(),
        user: options.user_namespace.as_ref().map(mappings).transpose()?,
        sysctls: options.sysctls.clone(),
    })?;
    if options.ipc == Namespace::Pod {
        let owner = namespaces.user.as_ref().map(|user| user.root()).transpose()?;
        namespaces.shared_memory = Some(Arc::new(SharedMemory::new(SHARED_MEMORY, owner)?));
    }
    if let Some(path) = given {
        namespaces.net = Some(open_namespace(Path::new(path))?);
    }
    if let (Some(path), Some(net)) = (pin, &namespaces.net) {
        use std::os::fd::AsFd as _;
        // A pin of this very name is what an earlier try of ours left.
        unpin_netns(path)?;
        point!("shim.sandbox.made");
        pin_netns(net.as_fd(), path)?;
    }
    Ok(namespaces)
}

fn mappings(asked: &UserMappings) -> Result<IdMappings> {
    let ranges = |list: &[IdRange]| {
        let one = |range: &IdRange| IdMapping { container: range.container, host: range.host, size: range.size };
        list.iter().map(one).collect()
    };
    IdMappings::new(ranges(&asked.uids), ranges(&asked.gids)).step(|| "user namespace".into())
}

fn absolute(path: &str) -> Result<PathBuf> {
    let path = PathBuf::from(path);
    if path.is_absolute() {
        return Ok(path);
    }
    Err(Error::invalid(format!("netns path `{}` is not absolute", path.display())))
}
