use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use anyhow::{Result, bail};

use crate::cri::Cri;

/// What killer, pods and pulls know of each other.
pub struct Shared {
    pub cri: Cri,
    /// Logs of containers.
    pub logs: PathBuf,
    /// The daemon's state folder.
    pub state: PathBuf,
    pub pods: AtomicU32,
    pub lost: AtomicU32,
    pub containers: AtomicU32,
    pub lines: AtomicU32,
    pub pulls: AtomicU32,
    over: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Ids of pods whose names their folders do not tell.
    names: BTreeMap<String, String>,
    /// Pods whose shim was killed.
    hit: BTreeSet<String>,
    failure: Option<String>,
}

/// How much there was to be killed.
pub struct Counts {
    text: String,
}

// === impl Shared ===

impl Shared {
    pub fn new(cri: Cri, logs: PathBuf, state: PathBuf) -> Self {
        Self {
            cri,
            logs,
            state,
            pods: AtomicU32::new(0),
            lost: AtomicU32::new(0),
            containers: AtomicU32::new(0),
            lines: AtomicU32::new(0),
            pulls: AtomicU32::new(0),
            over: AtomicBool::new(false),
            inner: Mutex::default(),
        }
    }

    /// This pod has this name.
    pub fn name(&self, id: &str, name: &str) {
        self.lock().names.insert(id.to_owned(), name.to_owned());
    }

    /// The name of a pod, if it is known.
    pub fn name_of(&self, id: &str) -> Option<String> {
        self.lock().names.get(id).cloned()
    }

    /// The shim of the pod with this name is about to be killed.
    pub fn hit(&self, name: &str) {
        self.lock().hit.insert(name.to_owned());
    }

    /// Whether a shim of it was killed, or is about to be.
    pub fn is_hit(&self, name: &str) -> bool {
        self.lock().hit.contains(name)
    }

    /// Something is not as it must be: everybody ends.
    pub fn fail(&self, why: String) {
        self.lock().failure.get_or_insert(why);
        self.end();
    }

    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub fn outcome(&self) -> Result<()> {
        match &self.lock().failure {
            Some(why) => bail!("{why}"),
            None => Ok(()),
        }
    }

    pub fn counts(&self) -> Counts {
        let [pods, lost, containers, lines, pulls] =
            [&self.pods, &self.lost, &self.containers, &self.lines, &self.pulls].map(|n| n.load(Ordering::SeqCst));
        let text = format!(
            "{pods} pods lived, {lost} of them lost their shim; {containers} containers wrote {lines} lines; {pulls} pulls"
        );
        Counts { text }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
