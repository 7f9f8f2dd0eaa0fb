//! A pod under the real shim, spoken to as a daemon does; and the check that nothing of it is left.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod root;
mod spec;

use std::{
    fs,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wharf_shim_api::{
    CREATE_OPTIONS_TYPE_URL, CreateOptions, ExitRecord, Namespace, SANDBOX_OPTIONS_TYPE_URL, SandboxOptions, TaskEvent,
    call, connect,
    events::{Events, ForwardRequest, create_events},
    sandbox::{CreateSandboxRequest, SandboxClient, ShutdownSandboxRequest, StartSandboxRequest},
    task::{
        CreateTaskRequest, DeleteRequest, DeleteResponse, Empty, KillRequest, Mount, StartRequest, StateRequest,
        StateResponse, TaskClient, WaitRequest,
    },
    to_json,
    ttrpc::{
        self,
        asynchronous::{Server, TtrpcContext},
        context::Context,
    },
};

pub use self::spec::Container;

/// Longer than anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

const SHIM: &str = env!("CARGO_BIN_EXE_containerd-shim-wharf-v1");

pub struct Pod {
    pub id: String,
    pub dir: TempDir,
    pub bundle: PathBuf,
    pub address: String,
    pub tasks: TaskClient,
    pub sandboxes: SandboxClient,
    pub events: UnboundedReceiver<TaskEvent>,
    pub options: SandboxOptions,
    daemon: Option<Server>,
}

/// Every call of a test: a deadline and a request id.
pub fn ctx() -> Context {
    call(DEADLINE, "test-request")
}

impl Pod {
    /// A shim with a ready sandbox on the host's network.
    pub async fn ready(name: &str) -> Self {
        Self::with(name, |options| options.network = Namespace::Node).await
    }

    pub async fn with(name: &str, change: impl FnOnce(&mut SandboxOptions)) -> Self {
        let mut pod = Self::start(name).await;
        change(&mut pod.options);
        pod.create_sandbox().await.unwrap();
        let request = StartSandboxRequest { sandbox_id: pod.id.clone(), ..Default::default() };
        assert_eq!(pod.sandboxes.start_sandbox(ctx(), &request).await.unwrap().pid, pod.shim_pid());
        pod
    }

    /// A shim alone, and a daemon that takes its events.
    pub async fn start(name: &str) -> Self {
        let id = format!("wharf-test-{name}-{}", std::process::id());
        let dir = tempfile::tempdir_in("/run").unwrap();
        let bundle = dir.path().join("pod");
        fs::create_dir(&bundle).unwrap();
        let socket = dir.path().join("daemon.sock");
        let (daemon, events) = daemon(&dir.path().join("daemon.sock.ttrpc")).await;
        let address = start_shim(&id, &bundle, &socket);
        let client = connect(&address).await.unwrap();
        let options = SandboxOptions {
            hostname: "pod".into(),
            pid: Namespace::Container,
            netns_path: Some(format!("/run/netns/{id}")),
            cgroup_parent: format!("/{id}"),
            holder: false,
            ..Default::default()
        };
        Self {
            id,
            dir,
            bundle,
            address,
            tasks: TaskClient::new(client.clone()),
            sandboxes: SandboxClient::new(client),
            events,
            options,
            daemon: Some(daemon),
        }
    }

    pub async fn create_sandbox(&self) -> ttrpc::Result<()> {
        let request = CreateSandboxRequest {
            sandbox_id: self.id.clone(),
            bundle_path: self.bundle.display().to_string(),
            options: Some(to_json(SANDBOX_OPTIONS_TYPE_URL, &self.options).unwrap()).into(),
            ..Default::default()
        };
        self.sandboxes.create_sandbox(ctx(), &request).await.map(drop)
    }

    pub fn shim_pid(&self) -> u32 {
        fs::read_to_string(self.bundle.join("shim.pid")).unwrap().parse().unwrap()
    }

    pub fn bundle_of(&self, container: &str) -> PathBuf {
        self.bundle.join("containers").join(container)
    }

    pub fn log_of(&self, container: &str) -> PathBuf {
        self.dir.path().join(format!("{container}.log"))
    }

    /// The texts of a container's log, without their times.
    pub fn log(&self, container: &str) -> Vec<String> {
        let text = fs::read_to_string(self.log_of(container)).unwrap_or_default();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    /// Writes the bundle and asks for the container; its output goes to a log.
    pub async fn create(&self, container: &Container) -> ttrpc::Result<u32> {
        self.create_with(container, |_| {}).await
    }

    pub async fn create_with(
        &self,
        container: &Container,
        change: impl FnOnce(&mut CreateTaskRequest),
    ) -> ttrpc::Result<u32> {
        let bundle = self.bundle_of(&container.id);
        fs::create_dir_all(bundle.join("rootfs")).unwrap();
        fs::write(bundle.join("config.json"), container.spec(&self.id).to_string()).unwrap();
        let log = format!("cri://{}?max-line=64", self.log_of(&container.id).display());
        let options = CreateOptions { root: Some(root::layers()), volatile: true, ..Default::default() };
        let mut request = CreateTaskRequest {
            id: container.id.clone(),
            bundle: bundle.display().to_string(),
            rootfs: vec![self.overlay(&container.id)],
            stdout: log.clone(),
            stderr: log,
            options: Some(to_json(CREATE_OPTIONS_TYPE_URL, &options).unwrap()).into(),
            ..Default::default()
        };
        change(&mut request);
        Ok(self.tasks.create(ctx(), &request).await?.pid)
    }

    fn overlay(&self, container: &str) -> Mount {
        let own = root::layers().join(format!("{}-{container}", self.id));
        for part in ["upper", "work"] {
            fs::create_dir_all(own.join(part)).unwrap();
        }
        fs::set_permissions(own.join("upper"), fs::Permissions::from_mode(0o755)).unwrap();
        let options = vec![
            format!("lowerdir={}", root::busybox().display()),
            format!("upperdir={}", own.join("upper").display()),
            format!("workdir={}", own.join("work").display()),
        ];
        Mount { type_: "overlay".into(), source: "overlay".into(), options, ..Default::default() }
    }

    pub async fn run(&self, container: &Container) -> u32 {
        let pid = self.create(container).await.unwrap();
        assert_eq!(self.start_task(&container.id, "").await.unwrap(), pid);
        pid
    }

    pub async fn start_task(&self, id: &str, exec_id: &str) -> ttrpc::Result<u32> {
        let request = StartRequest { id: id.into(), exec_id: exec_id.into(), ..Default::default() };
        Ok(self.tasks.start(ctx(), &request).await?.pid)
    }

    pub async fn wait(&self, id: &str, exec_id: &str) -> u32 {
        let request = WaitRequest { id: id.into(), exec_id: exec_id.into(), ..Default::default() };
        self.tasks.wait(ctx(), &request).await.unwrap().exit_status
    }

    pub async fn state(&self, id: &str, exec_id: &str) -> ttrpc::Result<StateResponse> {
        let request = StateRequest { id: id.into(), exec_id: exec_id.into(), ..Default::default() };
        self.tasks.state(ctx(), &request).await
    }

    pub async fn kill(&self, id: &str, exec_id: &str, signal: u32, all: bool) -> ttrpc::Result<()> {
        let request = KillRequest { id: id.into(), exec_id: exec_id.into(), signal, all, ..Default::default() };
        self.tasks.kill(ctx(), &request).await.map(drop)
    }

    pub async fn delete(&self, id: &str, exec_id: &str) -> ttrpc::Result<DeleteResponse> {
        let request = DeleteRequest { id: id.into(), exec_id: exec_id.into(), ..Default::default() };
        self.tasks.delete(ctx(), &request).await
    }

    pub fn exit_record(&self, id: &str) -> Option<ExitRecord> {
        ExitRecord::read(&self.bundle_of(id)).unwrap()
    }

    pub async fn next_event(&mut self) -> TaskEvent {
        tokio::time::timeout(DEADLINE, self.events.recv()).await.expect("no event came").unwrap()
    }

    /// The daemon is gone: nobody listens for events, no call is open.
    pub async fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.shutdown().await.unwrap();
        let _ = fs::remove_file(self.dir.path().join("daemon.sock.ttrpc"));
        self.reconnect().await;
    }

    pub async fn reconnect(&mut self) {
        let client = connect(&self.address).await.unwrap();
        self.tasks = TaskClient::new(client.clone());
        self.sandboxes = SandboxClient::new(client);
    }

    /// Shuts the pod down and checks that nothing of it is left.
    pub async fn finish(self) {
        let pid = self.shim_pid();
        let request = ShutdownSandboxRequest { sandbox_id: self.id.clone(), ..Default::default() };
        self.sandboxes.shutdown_sandbox(ctx(), &request).await.unwrap();
        gone(pid);
        self.assert_nothing_left();
    }

    /// What another `start` prints; the version is what containerd says that it understands.
    pub fn start_again(&self, version: &str) -> String {
        let mut command = command(&self.id, &self.bundle, &self.dir.path().join("daemon.sock"));
        let output = command.arg("start").env("MAX_SHIM_VERSION", version).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A file of a container's cgroup, by its name in cgroup v1 and its controller, or in v2.
    pub fn cgroup_file(&self, container: &str, controller: &str, v1: &str, v2: &str) -> PathBuf {
        let root = Path::new("/sys/fs/cgroup");
        let (root, name) = if root.join(controller).exists() { (root.join(controller), v1) } else { (root.into(), v2) };
        root.join(&self.id).join(container).join(name)
    }

    /// How many processes are in a container's cgroup.
    pub fn count(&self, container: &str) -> usize {
        let file = self.cgroup_file(container, "pids", "cgroup.procs", "cgroup.procs");
        fs::read_to_string(file).unwrap().lines().count()
    }

    /// What the shim's own `delete` prints.
    pub fn delete_dead(&self) -> Vec<u8> {
        let output =
            command(&self.id, &self.bundle, &self.dir.path().join("daemon.sock")).arg("delete").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub fn assert_nothing_left(&self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&self.id), "a mount is left");
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap() {
            let cgroup = hierarchy.unwrap().path().join(&self.id);
            assert!(!cgroup.exists(), "{} is left", cgroup.display());
        }
        assert!(!Path::new("/run/netns").join(&self.id).exists(), "the netns is left");
        assert!(!self.bundle.join("shim.sock").exists(), "the socket is left");
        for process in processes() {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            assert!(!line.contains(&self.id), "{}: {line} is left", process.display());
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // Also after a failed test; the assertions come before.
        let _ = command(&self.id, &self.bundle, &self.dir.path().join("daemon.sock")).arg("delete").output();
        for entry in fs::read_dir(root::layers()).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&self.id) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

pub fn processes() -> Vec<PathBuf> {
    let is_pid = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit());
    fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path()).filter(is_pid).collect()
}

/// Waits until a condition holds: for what nobody announces.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A process ended; the test's process is nobody's parent here.
pub fn gone(pid: u32) {
    eventually("the process runs on", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The first thread may be a zombie while others still hold the process's files open.
        let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, |threads| threads.count());
        stat.is_empty() || stat.contains(") Z ") && threads <= 1
    });
}

fn command(id: &str, bundle: &Path, socket: &Path) -> Command {
    let mut command = Command::new(SHIM);
    command
        .args(["-namespace", "k8s.io", "-id", id, "-address"])
        .arg(socket)
        .args(["-publish-binary", "/bin/true", "-bundle"])
        .arg(bundle)
        .current_dir(bundle)
        .stdin(Stdio::null());
    command
}

fn start_shim(id: &str, bundle: &Path, socket: &Path) -> String {
    let mut child = command(id, bundle, socket).arg("start").stdout(Stdio::piped()).spawn().unwrap();
    // To the pipe's end: a server that kept it open would hang us here.
    let mut address = String::new();
    child.stdout.take().unwrap().read_to_string(&mut address).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(bundle.join("address")).unwrap(), address);
    address
}

struct Recorder(UnboundedSender<TaskEvent>);

#[async_trait]
impl Events for Recorder {
    async fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> ttrpc::Result<Empty> {
        assert_eq!(request.envelope.namespace, "k8s.io");
        let _ = self.0.send(TaskEvent::from_forward(&request).unwrap().unwrap());
        Ok(Empty::default())
    }
}

async fn daemon(socket: &Path) -> (Server, UnboundedReceiver<TaskEvent>) {
    let (sender, events) = unbounded_channel();
    let mut server = Server::new()
        .bind(&format!("unix://{}", socket.display()))
        .unwrap()
        .register_service(create_events(Arc::new(Recorder(sender))));
    server.start().await.unwrap();
    (server, events)
}
