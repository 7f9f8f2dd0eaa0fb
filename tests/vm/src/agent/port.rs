use std::{
    fs::{self, File},
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use wharf_vm::{Event, PORT};

/// The way out of the guest: a virtio port that this machine's side reads line by line.
#[derive(Clone, Debug)]
pub struct Port {
    device: Arc<Mutex<File>>,
}

const PORTS: &str = "/sys/class/virtio-ports";

impl Port {
    pub fn open() -> Result<Self> {
        let ports = fs::read_dir(PORTS).with_context(|| format!("read {PORTS}"))?;
        let ours = |path: &std::path::Path| fs::read_to_string(path.join("name")).is_ok_and(|name| name.trim() == PORT);
        let found = ports.flatten().find(|entry| ours(&entry.path())).context("there is no virtio port for events")?;
        let device = std::path::Path::new("/dev").join(found.file_name());
        let device = File::options().write(true).open(&device).with_context(|| format!("open {}", device.display()))?;
        Ok(Self { device: Arc::new(Mutex::new(device)) })
    }

    /// Tells it in one piece. When nobody reads any more there is nobody to tell that to.
    pub fn tell(&self, event: &Event) {
        let Ok(mut line) = serde_json::to_vec(event) else { return };
        line.push(b'\n');
        let _ = self.device.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
    }
}
