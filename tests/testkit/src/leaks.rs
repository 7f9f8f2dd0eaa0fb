use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use crate::{cgroups, netns::NetNs, process::Process, process::processes, wait::wait_for};

/// A process that was killed is in the table until its parent has reaped it, and an orphan's parent is init.
const GRACE: Duration = Duration::from_secs(3);
const NETNS: &str = "/run/netns";

/// Which things on the machine can belong to one private daemon: other daemons may be at work beside it.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Its folders: files in them, mounts on or from them, processes that name or stand in them, loop devices over them.
    pub folders: Vec<PathBuf>,
    /// Its cgroup.
    pub cgroup_parent: String,
    /// Its log: a network namespace `wharf-<pod>` is its own when its log names the pod.
    pub log: PathBuf,
    /// A network of its own: each interface in it. A bridge, named `br…`, stays by the nature of the plugin that makes it.
    pub network: Option<NetNs>,
}

/// What was there at one moment, and the question what is there now that was not.
#[derive(Debug)]
pub struct Leaks {
    scope: Scope,
    before: State,
}

type State = BTreeMap<&'static str, BTreeSet<String>>;

impl Scope {
    pub(crate) fn owns(&self, process: &Process) -> bool {
        let in_folder =
            |path: &Option<PathBuf>| path.as_ref().is_some_and(|p| self.folders.iter().any(|f| p.starts_with(f)));
        let named = self.folders.iter().any(|f| process.command.contains(&*f.to_string_lossy()));
        let ours = named && process.exe.as_ref().is_some_and(|exe| is_ours(exe));
        let parent = format!(":{}", self.cgroup_parent);
        let in_cgroup = process
            .cgroups
            .lines()
            .any(|line| line.split_once(&parent).is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('/')));
        !process.zombie && (ours || in_cgroup || in_folder(&process.cwd) || in_folder(&process.exe))
    }

    /// What of it is there right now besides files: mounts, cgroups, namespaces, processes, loop devices. Nothing should
    /// be once its pods are removed and it has stopped; what is about to go is given three seconds.
    pub fn alive(&self) -> Vec<String> {
        let mut found = Vec::new();
        wait_for(GRACE, || {
            let state = self.now().into_iter().filter(|(kind, _)| *kind != "file");
            found =
                state.flat_map(|(kind, items)| items.into_iter().map(move |item| format!("{kind} {item}"))).collect();
            found.is_empty()
        });
        found
    }

    fn now(&self) -> State {
        let mut state = State::new();
        state.insert("mount", self.mounts());
        state.insert("cgroup", cgroups::below(&self.cgroup_parent).iter().map(|p| p.display().to_string()).collect());
        state.insert("network namespace", self.network_namespaces());
        state.insert("network interface", self.interfaces());
        state.insert("process", processes().iter().filter(|p| self.owns(p)).map(|p| p.command.clone()).collect());
        state.insert("loop device", self.loop_devices());
        let mut files = BTreeSet::new();
        for folder in &self.folders {
            list_files(folder, &mut files);
        }
        files.remove(&self.log.display().to_string());
        state.insert("file", files);
        state
    }

    fn mounts(&self) -> BTreeSet<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let ours = |line: &&str| {
            self.folders.iter().any(|f| line.contains(&*f.to_string_lossy()))
                || pod_of(line).is_some_and(|pod| log.contains(pod))
        };
        // Without the ids, which another mount may get.
        let tidy = |line: &str| line.split(' ').skip(3).collect::<Vec<_>>().join(" ");
        table.lines().filter(ours).map(tidy).collect()
    }

    fn network_namespaces(&self) -> BTreeSet<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let names =
            fs::read_dir(NETNS).into_iter().flatten().flatten().map(|e| e.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.strip_prefix("wharf-").is_some_and(|pod| log.contains(pod))).collect()
    }

    fn interfaces(&self) -> BTreeSet<String> {
        let mut all = self.network.as_ref().and_then(|network| network.interfaces().ok()).unwrap_or_default();
        all.retain(|name| name != "lo" && !name.starts_with("br"));
        all
    }

    fn loop_devices(&self) -> BTreeSet<String> {
        let devices =
            fs::read_dir("/sys/block").into_iter().flatten().flatten().map(|e| e.path().join("loop/backing_file"));
        let files = devices.filter_map(|path| fs::read_to_string(path).ok());
        files.filter(|file| self.folders.iter().any(|f| Path::new(file.trim()).starts_with(f))).collect()
    }
}

impl Leaks {
    /// Remembers what is there now.
    pub fn watch(scope: Scope) -> Self {
        let before = scope.now();
        Self { scope, before }
    }

    /// What is there now and was not, and the other way round, one a line; empty when nothing changed.
    /// What is about to go (a process being reaped) is given three seconds.
    pub fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        wait_for(GRACE, || {
            found = compare(&self.before, &self.scope.now());
            found.is_empty()
        });
        found
    }

    /// The same as an error.
    ///
    /// # Errors
    ///
    /// When something is there that was not, or the other way round.
    pub fn check(&self) -> Result<()> {
        let found = self.differences();
        anyhow::ensure!(found.is_empty(), "not as it was before:\n  {}", found.join("\n  "));
        Ok(())
    }

    /// The same as a panic, for tests.
    ///
    /// # Panics
    ///
    /// When something is there that was not, or the other way round.
    pub fn assert_same(&self) {
        let found = self.differences();
        assert!(found.is_empty(), "not as it was before:\n  {}", found.join("\n  "));
    }
}

fn compare(before: &State, after: &State) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, then) in before {
        let now = &after[kind];
        found.extend(now.difference(then).map(|item| format!("left behind: {kind} {item}")));
        found.extend(then.difference(now).map(|item| format!("gone: {kind} {item}")));
    }
    found
}

fn is_ours(exe: &Path) -> bool {
    // A binary that was rebuilt meanwhile is marked by the kernel.
    let name = exe.file_name().map(|n| n.to_string_lossy().trim_end_matches(" (deleted)").to_owned());
    name.is_some_and(|n| n.starts_with("wharf") || n.starts_with("containerd-shim"))
}

fn pod_of(mount: &str) -> Option<&str> {
    mount.split(' ').nth(4)?.strip_prefix(NETNS)?.strip_prefix("/wharf-")
}

fn list_files(dir: &Path, all: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        all.insert(entry.path().display().to_string());
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            list_files(&entry.path(), all);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn scope(dir: &Path) -> Scope {
        Scope {
            folders: vec![dir.to_owned()],
            cgroup_parent: "/wharf-leaks-unit".into(),
            log: dir.join("log"),
            network: None,
        }
    }

    #[test]
    fn a_file_and_a_process_left_in_the_folder_are_named_and_others_are_not() {
        let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let leaks = Leaks::watch(scope(ours.path()));
        fs::write(other.path().join("x"), "").unwrap();
        leaks.assert_same();

        fs::write(ours.path().join("left"), "").unwrap();
        let mut child = Command::new("sleep").arg("60").current_dir(ours.path()).stdin(Stdio::null()).spawn().unwrap();
        let found = leaks.differences();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.iter().any(|line| line.starts_with("left behind: file") && line.ends_with("/left")), "{found:?}");
        assert!(found.iter().any(|line| line.contains("process") && line.ends_with("sleep 60")), "{found:?}");
        fs::remove_file(ours.path().join("left")).unwrap();
        leaks.assert_same();
    }

    #[test]
    fn what_is_missing_afterwards_is_named_too() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("kept"), "").unwrap();
        let leaks = Leaks::watch(scope(dir.path()));
        fs::remove_file(dir.path().join("kept")).unwrap();
        let found = leaks.differences();
        assert!(found.len() == 1 && found[0].starts_with("gone: file"), "{found:?}");
    }
}
