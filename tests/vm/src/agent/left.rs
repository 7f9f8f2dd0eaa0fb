use std::{collections::BTreeSet, fs, path::Path, thread, time::Duration};

/// What a program may leave on a machine that is its own: processes, mounts, cgroups.
#[derive(Debug)]
pub struct Left {
    before: BTreeSet<String>,
}

const GRACE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

impl Left {
    /// Remembers what is there.
    pub fn watch() -> Self {
        Self { before: now() }
    }

    /// What is there now and was not; what is about to go is given five seconds. `reap` takes the orphans that ended.
    pub fn new_things(&self, reap: impl Fn()) -> Vec<String> {
        let mut waited = Duration::ZERO;
        loop {
            reap();
            let found: Vec<_> = now().difference(&self.before).cloned().collect();
            if found.is_empty() || waited >= GRACE {
                return found;
            }
            thread::sleep(PAUSE);
            waited += PAUSE;
        }
    }
}

fn now() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    // A thread of the kernel's has no command line.
    let processes = wharf_testkit::processes();
    all.extend(
        processes
            .iter()
            // The first one stays, and a systemd that executes itself anew is called otherwise.
            .filter(|p| p.pid != 1 && (p.zombie || !p.command.starts_with('[')))
            .map(|p| format!("process {} {}", p.pid, p.command)),
    );
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // Without the ids, which another mount may get.
    all.extend(table.lines().map(|line| format!("mount {}", line.split(' ').skip(3).collect::<Vec<_>>().join(" "))));
    cgroups(Path::new("/sys/fs/cgroup"), &mut all);
    all
}

fn cgroups(dir: &Path, all: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        all.insert(format!("cgroup {}", entry.path().display()));
        cgroups(&entry.path(), all);
    }
}
