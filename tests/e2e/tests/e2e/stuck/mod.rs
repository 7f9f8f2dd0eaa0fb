//! Stuck is not a state: what hangs is named in time, holds nobody else up, and whatever was asked succeeds when it is asked
//! again once the cause is gone.

mod cancelled;
mod disks;
mod file_system;
mod frozen;
mod network;
mod processes;
mod supervisor;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use tonic::{Code, Request, Status};
use wharf_e2e::Node;
use wharf_testkit::{DaemonOptions, MountNs};

/// Longer than anything takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The kubelet's two minutes, shortened: long enough for the step that hangs to be reached.
const DEADLINE: Duration = Duration::from_secs(4);

/// A node with an image, with more configuration, in a mount namespace.
fn node(config: &str, mounts: Option<&MountNs>) -> Option<Node> {
    let options = DaemonOptions { config: config.into(), mounts: mounts.cloned(), ..DaemonOptions::default() };
    let node = Node::with(options)?;
    node.ok(&["pull", &Node::image()]);
    Some(node)
}

/// A request with a client's deadline.
fn with_deadline<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}

/// Makes a call with a client's deadline and wants to hear that it has passed, and each of these words.
macro_rules! is_late {
    ($cri:expr, $client:ident, $call:ident, $message:expr, $deadline:expr, $words:expr $(,)?) => {
        super::hears($words, || {
            let (mut client, request) = ($cri.$client(), super::with_deadline($message.clone(), $deadline));
            $cri.wait(client.$call(request)).map(drop)
        })
    };
}
use is_late;

/// The answer is there a moment before the client's own clock ends the call. On a busy machine that clock may win: then it is
/// asked again, as a kubelet does.
fn hears(words: &[&str], mut call: impl FnMut() -> Result<(), Status>) {
    let begin = Instant::now();
    loop {
        let status = call().expect_err("it cannot be done now");
        if status.code() == Code::Cancelled && status.message() == "Timeout expired" && begin.elapsed() < PATIENCE {
            continue;
        }
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!(words.iter().all(|word| status.message().contains(word)), "{words:?}: {}", status.message());
        return;
    }
}

/// Another pod comes up and goes meanwhile, with a container.
fn others_go_on(node: &Node) {
    let pod = node.pod("other");
    let id = node.run(&pod, "other", "echo here; exec sleep 1000");
    node.wait_log(&id, "here");
    assert_eq!(node.exec(&id, "echo also"), "also");
    node.ok(&["stop", "--timeout", "0", &id]);
    node.ok(&["rm", &id]);
    node.ok(&["stopp", &pod.id]);
    node.ok(&["rmp", &pod.id]);
    let _ = fs::remove_dir_all(pod.logs);
}

/// The file by which a control group is frozen, and what to write into it.
fn freezer(path: &str, frozen: bool) -> (PathBuf, &'static str) {
    let v1 = PathBuf::from(format!("/sys/fs/cgroup/freezer{path}/freezer.state"));
    match v1.exists() {
        true => (v1, if frozen { "FROZEN" } else { "THAWED" }),
        false => (format!("/sys/fs/cgroup{path}/cgroup.freeze").into(), if frozen { "1" } else { "0" }),
    }
}

/// A control group that stands until this is dropped.
struct Frozen(String);

impl Frozen {
    fn new(path: String) -> Self {
        let (file, value) = freezer(&path, true);
        fs::write(&file, value).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self(path)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let (file, value) = freezer(&self.0, false);
        // It may be gone, and then nothing stands in it.
        let _ = fs::write(file, value);
    }
}
