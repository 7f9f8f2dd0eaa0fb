use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use wharf_error::{Error, Kind, Result};
use wharf_plugins::{Content, Features, LayerFacts, LayerKind, Lower, Place, Plan, Step, Upper, Usage};

use crate::Backend;

/// Lays layers out as overlayfs wants them, in plain directories.
pub(super) struct Directories {
    root: PathBuf,
    pub(super) features: Features,
    /// All calls: `prepare 3 on [1]`.
    pub(super) calls: Mutex<Vec<String>>,
    /// Calls that begin so fail.
    failing: Mutex<Vec<&'static str>>,
    /// What is run in the middle of a call.
    amid: Mutex<Option<Amid>>,
    /// Answered instead of the right plan.
    pub(super) plan: Mutex<Option<Plan>>,
    running: AtomicUsize,
}

type Amid = Box<dyn Fn(&str) + Send>;

/// Counts a call as running.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Directories {
    pub(super) fn new(root: &Path) -> Self {
        let features = Features { content: Content::OverlayDiff("fs".into()), extra: vec!["unordered".into()] };
        Self {
            root: root.to_owned(),
            features,
            calls: Mutex::default(),
            failing: Mutex::default(),
            amid: Mutex::default(),
            plan: Mutex::default(),
            running: AtomicUsize::new(0),
        }
    }

    pub(super) fn fail(&self, calls: &[&'static str]) {
        *self.failing.lock().unwrap() = calls.to_vec();
    }

    pub(super) fn amid(&self, run: impl Fn(&str) + Send + 'static) {
        *self.amid.lock().unwrap() = Some(Box::new(run));
    }

    pub(super) fn on_disk(&self) -> Vec<u64> {
        let entries = fs::read_dir(&self.root).unwrap().map(|entry| entry.unwrap().file_name());
        let mut ids: Vec<u64> = entries.filter_map(|name| name.to_str().unwrap().parse().ok()).collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn dir(&self, id: u64) -> PathBuf {
        self.root.join(id.to_string())
    }

    fn begin(&self, call: String) -> Result<Running<'_>> {
        let running = self.running.fetch_add(1, Ordering::SeqCst);
        let guard = Running(&self.running);
        assert!(!call.starts_with("layers") || running == 0, "layers was called beside another call");
        let fails = self.failing.lock().unwrap().iter().any(|prefix| call.starts_with(prefix));
        self.calls.lock().unwrap().push(call.clone());
        match fails {
            true => Err(Error::new(Kind::Unavailable, format!("plugin dirs: {call}: failed on purpose"))),
            false => Ok(guard),
        }
    }

    fn middle(&self, call: &str) {
        // Not held while it runs: it may panic.
        let run = self.amid.lock().unwrap().take();
        if let Some(run) = run {
            run(call);
            *self.amid.lock().unwrap() = Some(run);
        }
    }

    fn plan(&self, layer: &LayerFacts) -> Plan {
        if let Some(plan) = self.plan.lock().unwrap().clone() {
            return plan;
        }
        let place = |id: u64, path: &str| Place::new(id, path).unwrap();
        let lowers: Vec<Lower> = layer.parents.iter().map(|id| Lower::Directory(place(*id, "fs"))).collect();
        let upper = (layer.kind == LayerKind::Active)
            .then(|| Upper { upper: place(layer.id, "fs"), work: place(layer.id, "work") });
        let step = match lowers.is_empty() {
            true => Step::Bind { at: place(layer.id, "fs"), read_only: layer.kind != LayerKind::Active },
            false => Step::Overlay { lowers, upper },
        };
        Plan { steps: vec![step] }
    }
}

impl Backend for Directories {
    fn name(&self) -> &str {
        "dirs"
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn features(&self) -> &Features {
        &self.features
    }

    fn prepare(&self, layer: &LayerFacts) -> Result<Plan> {
        let _running = self.begin(format!("prepare {} on {:?}", layer.id, layer.parents))?;
        for parent in &layer.parents {
            assert!(self.dir(*parent).is_dir(), "parent {parent} is gone");
        }
        fs::create_dir_all(self.dir(layer.id)).unwrap();
        self.middle("prepare");
        for name in ["fs", "work"] {
            fs::create_dir_all(self.dir(layer.id).join(name)).unwrap();
        }
        Ok(self.plan(layer))
    }

    fn mounts(&self, layer: &LayerFacts) -> Result<Plan> {
        let _running = self.begin(format!("mounts {} on {:?}", layer.id, layer.parents))?;
        Ok(self.plan(layer))
    }

    fn commit(&self, layer: &LayerFacts) -> Result<Usage> {
        let _running = self.begin(format!("commit {} on {:?}", layer.id, layer.parents))?;
        let _ = fs::remove_dir_all(self.dir(layer.id).join("work"));
        self.middle("commit");
        Ok(usage(&self.dir(layer.id).join("fs")))
    }

    fn remove(&self, layer: u64) -> Result<()> {
        let _running = self.begin(format!("remove {layer}"))?;
        let _ = fs::remove_dir_all(self.dir(layer).join("fs"));
        self.middle("remove");
        let _ = fs::remove_dir_all(self.dir(layer));
        Ok(())
    }

    fn measure(&self, layer: &LayerFacts) -> Result<Usage> {
        let _running = self.begin(format!("measure {}", layer.id))?;
        self.middle("measure");
        Ok(usage(&self.dir(layer.id).join("fs")))
    }

    fn layers(&self) -> Result<Vec<u64>> {
        let _running = self.begin("layers".into())?;
        Ok(self.on_disk())
    }
}

fn usage(dir: &Path) -> Usage {
    let mut usage = Usage { bytes: 0, inodes: 1 };
    for entry in fs::read_dir(dir).unwrap() {
        usage.bytes += entry.unwrap().metadata().unwrap().blocks() * 512;
        usage.inodes += 1;
    }
    usage
}
