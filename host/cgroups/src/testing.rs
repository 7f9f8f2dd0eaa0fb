//! A cgroup of a test's own, which leaves nothing behind.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{Cgroup, Hierarchies, Mode, file, hierarchies::Hierarchy};

pub struct Own {
    pub cgroup: Cgroup,
}

/// Runs the test with this node's hierarchies, and again with a cgroup2 one alone.
pub fn each_layout(name: &str, test: impl Fn(&Own)) {
    test(&Own::new(name));
    if let Some(own) = Own::v2(&format!("{name}-v2")) {
        test(&own);
    }
}

impl Own {
    pub fn new(name: &str) -> Self {
        Self::in_layout(&Hierarchies::detect().unwrap(), name)
    }

    /// In the node's cgroup2 hierarchy, as if it were the only one; `None` on a v1 node.
    pub fn v2(name: &str) -> Option<Self> {
        let here = Hierarchies::detect().unwrap();
        let mount: PathBuf = here.mounted().iter().find(|h| h.v2)?.mount.clone();
        let alone = Hierarchies::of(Mode::V2, vec![Hierarchy { mount, v2: true, controllers: Vec::new() }]);
        Some(Self::in_layout(&alone, name))
    }

    fn in_layout(hierarchies: &Hierarchies, name: &str) -> Self {
        let path = format!("/wharf-test-{}-{name}", std::process::id());
        Self { cgroup: hierarchies.create(&path).unwrap() }
    }

    pub fn sleeper(&self, cgroup: &Cgroup) -> Child {
        self.shell(cgroup, "exec sleep 600")
    }

    /// A shell that joined the cgroup before it runs the script.
    pub fn shell(&self, cgroup: &Cgroup, script: &str) -> Child {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for (dir, _) in cgroup.dirs() {
            file::write(&dir.join("cgroup.procs"), &child.id().to_string()).unwrap();
        }
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"go\n").unwrap();
        child
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let gone = self.cgroup.kill(9).and_then(|()| self.cgroup.delete(Duration::from_secs(10)));
        if !std::thread::panicking() {
            gone.unwrap();
        }
    }
}

/// A cgroup `/c` of a v2 node that is only a folder with these files, for what goes into which file:
/// this machine's cgroup2 has no controllers.
pub fn fake_v2(files: &[&str]) -> (tempfile::TempDir, Cgroup) {
    use crate::Controller::{Cpu, Cpuset, Hugetlb, Io, Memory, Pids, Rdma};
    fake(true, vec![Cpu, Cpuset, Hugetlb, Io, Memory, Pids, Rdma], files)
}

/// The same of a v1 hierarchy with these controllers, for those that this machine's kernel does not have.
pub fn fake_v1(controllers: &[crate::Controller], files: &[&str]) -> (tempfile::TempDir, Cgroup) {
    fake(false, controllers.to_vec(), files)
}

fn fake(v2: bool, controllers: Vec<crate::Controller>, files: &[&str]) -> (tempfile::TempDir, Cgroup) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("c");
    std::fs::create_dir(&dir).unwrap();
    for name in files {
        std::fs::write(dir.join(name), "").unwrap();
    }
    let hierarchy = Hierarchy { mount: root.path().to_owned(), v2, controllers };
    let mode = if v2 { Mode::V2 } else { Mode::V1 };
    let cgroup = Hierarchies::of(mode, vec![hierarchy]).open("/c").unwrap();
    (root, cgroup)
}
