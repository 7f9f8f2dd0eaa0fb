//! What cAdvisor asks of containerd's API.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tonic::{Code, Request, Status};
use wharf_containerd_api::{
    services::{
        containers::v1::{Container, GetContainerRequest, containers_client::ContainersClient},
        tasks::v1::{GetRequest, tasks_client::TasksClient},
        version::v1::version_client::VersionClient,
    },
    v1::types::{Process, Status as State},
};
use wharf_e2e::{Cri, Node};
use wharf_testkit::{DaemonOptions, wait_for};

struct Client(Cri);

impl Client {
    fn new(node: &Node) -> Self {
        Self(Cri::new(&node.daemon.state().join("containerd.sock")))
    }

    fn container(&self, id: &str) -> Result<Container, Status> {
        let request = within(GetContainerRequest { id: id.into() });
        let answer = self.0.wait(ContainersClient::new(self.0.channel()).get(request))?;
        Ok(answer.into_inner().container.unwrap())
    }

    fn task(&self, id: &str) -> Result<Process, Status> {
        let request = within(GetRequest { container_id: id.into(), exec_id: String::new() });
        Ok(self.0.wait(TasksClient::new(self.0.channel()).get(request))?.into_inner().process.unwrap())
    }
}

fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", "k8s.io".parse().unwrap());
    request
}

fn network(task: u32) -> String {
    fs::read_link(format!("/proc/{task}/ns/net")).unwrap().display().to_string()
}

#[test]
fn containers_and_pods_are_shown_as_containerd_shows_them() {
    let Some(node) = Node::start() else { return };
    let client = Client::new(&node);
    let version = client.0.wait(VersionClient::new(client.0.channel()).version(())).unwrap().into_inner();
    assert!(version.version.ends_with("+wharf"), "{version:?}");
    let pod = node.pod("cadvisor");
    let id = node.run_with(&pod, "main", "sleep 1000", |config| {
        config["labels"] = serde_json::json!({ "io.kubernetes.container.name": "main" });
    });

    let shown = client.container(&id).unwrap();
    let wanted = [("io.kubernetes.container.name", "main"), ("io.cri-containerd.kind", "container")];
    assert_eq!(shown.labels, wanted.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    assert_eq!((&shown.id, &shown.image, &shown.sandbox), (&id, &Node::image(), &pod.id));
    let spec: serde_json::Value = serde_json::from_slice(&shown.spec.unwrap().value).unwrap();
    assert_eq!(spec["process"]["args"][0], "sh");
    let task = client.task(&id).unwrap();
    assert_eq!((i64::from(task.pid), task.status()), (node.pid(&id), State::Running));

    let shown = client.container(&pod.id).unwrap();
    let wanted = [("test", "cadvisor"), ("io.cri-containerd.kind", "sandbox")];
    assert_eq!(shown.labels, wanted.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let sandbox = client.task(&pod.id).unwrap();
    assert_eq!(sandbox.status(), State::Running);
    assert_eq!(network(sandbox.pid), network(task.pid), "its task is in the pod's network");
    assert!(fs::read_to_string(format!("/proc/{}/net/dev", sandbox.pid)).unwrap().contains("lo:"));

    node.ok(&["stop", "-t", "0", &id]);
    let ended = client.task(&id).unwrap();
    assert_eq!((ended.status(), ended.exit_status), (State::Stopped, 137));
    node.ok(&["stopp", &pod.id]);
    assert_eq!(client.task(&pod.id).unwrap().status(), State::Stopped);
    node.finish();
}

#[test]
fn a_pods_task_is_the_same_for_the_next_daemon() {
    let Some(mut node) = Node::start() else { return };
    let pod = node.pod("stays");
    let before = Client::new(&node).task(&pod.id).unwrap().pid;
    node.daemon.kill().unwrap();
    node.daemon.launch().unwrap();
    assert_eq!(Client::new(&node).task(&pod.id).unwrap().pid, before);
    node.ok(&["rmp", "-f", &pod.id]);
    let task = format!("/proc/{before}");
    assert!(wait_for(std::time::Duration::from_secs(30), || !fs::exists(&task).unwrap()), "{task} is still there");
    node.finish();
}

#[test]
fn what_is_not_there_is_not_found_and_the_rest_is_not_served() {
    let Some(node) = Node::start() else { return };
    let client = Client::new(&node);
    let pod = node.pod("there");
    let nobody = "0".repeat(64);
    for id in [nobody.as_str(), "", &pod.id[..12]] {
        assert_eq!(client.container(id).unwrap_err().code(), Code::NotFound, "{id}");
        assert_eq!(client.task(id).unwrap_err().code(), Code::NotFound, "{id}");
    }
    let mut other = Request::new(GetContainerRequest { id: pod.id.clone() });
    let unnamed =
        client.0.wait(ContainersClient::new(client.0.channel()).get(GetContainerRequest { id: pod.id.clone() }));
    assert_eq!(unnamed.unwrap_err().code(), Code::FailedPrecondition);
    other.metadata_mut().insert("containerd-namespace", "moby".parse().unwrap());
    let other = client.0.wait(ContainersClient::new(client.0.channel()).get(other));
    assert_eq!(other.unwrap_err().code(), Code::NotFound);
    let cri = client.0.wait(client.0.runtime().version(wharf_api::cri::VersionRequest::default()));
    assert_eq!(cri.unwrap_err().code(), Code::Unimplemented, "CRI has a socket of its own");
    let mode = fs::metadata(node.daemon.state().join("containerd.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    node.finish();
}

#[test]
fn without_a_socket_it_is_not_served_and_a_socket_of_others_is_left_alone() {
    let config = "[containerd]\nsocket = \"\"\n".to_owned();
    let Some(node) = Node::with(DaemonOptions { config, ..DaemonOptions::default() }) else { return };
    assert!(!node.daemon.state().join("containerd.sock").exists());
    // Somebody else's.
    let socket = node.daemon.scratch().join("test/taken.sock");
    let served = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let config = format!(
        "root = {:?}\nstate = {:?}\n[containerd]\nsocket = {socket:?}\n",
        node.daemon.scratch().join("test/root"),
        node.daemon.scratch().join("test/state")
    );
    let file = node.file("other.toml", &config);
    let bin = wharf_testkit::Daemon::bin_dir().unwrap().join("wharf");
    let refused = || {
        let out = std::process::Command::new(&bin).args(["daemon", "--config", &file]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
        assert!(!out.status.success() && said.contains("taken.sock") && said.contains("serves there"), "{said}");
    };
    refused();
    // One too busy to take a connection: who tries to make another would wait. The daemon's own are gone by now.
    while served.set_nonblocking(true).is_ok() && served.accept().is_ok() {}
    nix::sys::socket::listen(&served, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let _waits = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    refused();
    assert!(served.accept().is_ok() && std::os::unix::net::UnixStream::connect(&socket).is_ok());
    node.finish();
}
