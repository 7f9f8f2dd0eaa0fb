use std::{
    fs,
    path::{Path, PathBuf},
};

use wharf_error::{Result, ResultExt as _};
use wharf_plugins::{Content, Features, LayerFacts, LayerKind, Lower, Place, Plan, Step, Upper, Usage};
use wharf_snapshots::Backend;

/// Lays layers out in plain directories as overlayfs wants them.
pub struct Directories {
    root: PathBuf,
    features: Features,
}

impl Directories {
    pub fn new(root: &Path, ordered: bool) -> Self {
        let extra = if ordered { Vec::new() } else { vec!["unordered".into()] };
        Self { root: root.to_owned(), features: Features { content: Content::OverlayDiff("fs".into()), extra } }
    }

    fn dir(&self, id: u64) -> PathBuf {
        self.root.join(id.to_string())
    }

    fn plan(&self, layer: &LayerFacts) -> Result<Plan> {
        let place = |id: u64, path: &str| Place::new(id, path);
        let mut lowers = Vec::new();
        for id in &layer.parents {
            lowers.push(Lower::Directory(place(*id, "fs")?));
        }
        let active = layer.kind == LayerKind::Active;
        let step = match (lowers.len(), active) {
            (0, _) => Step::Bind { at: place(layer.id, "fs")?, read_only: !active },
            (1, false) => Step::Bind { at: place(layer.parents[0], "fs")?, read_only: true },
            (_, false) => Step::Overlay { lowers, upper: None },
            (_, true) => {
                let upper = Upper { upper: place(layer.id, "fs")?, work: place(layer.id, "work")? };
                Step::Overlay { lowers, upper: Some(upper) }
            }
        };
        Ok(Plan { steps: vec![step] })
    }
}

impl Backend for Directories {
    fn name(&self) -> &str {
        "directories"
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn features(&self) -> &Features {
        &self.features
    }

    fn prepare(&self, layer: &LayerFacts) -> Result<Plan> {
        for name in ["fs", "work"] {
            fs::create_dir_all(self.dir(layer.id).join(name)).step(|| "prepare".into())?;
        }
        self.plan(layer)
    }

    fn mounts(&self, layer: &LayerFacts) -> Result<Plan> {
        self.plan(layer)
    }

    fn commit(&self, layer: &LayerFacts) -> Result<Usage> {
        self.measure(layer)
    }

    fn remove(&self, layer: u64) -> Result<()> {
        match fs::remove_dir_all(self.dir(layer)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).step(|| "remove".into()),
            _ => Ok(()),
        }
    }

    fn measure(&self, layer: &LayerFacts) -> Result<Usage> {
        let mut usage = Usage { bytes: 0, inodes: 0 };
        measure(&self.dir(layer.id).join("fs"), &mut usage).step(|| "measure".into())?;
        Ok(usage)
    }

    fn layers(&self) -> Result<Vec<u64>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.root).step(|| "list".into())? {
            let name = entry.step(|| "list".into())?.file_name();
            ids.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        Ok(ids)
    }
}

fn measure(path: &Path, usage: &mut Usage) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::symlink_metadata(path)?;
    usage.bytes += metadata.blocks() * 512;
    usage.inodes += 1;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            measure(&entry?.path(), usage)?;
        }
    }
    Ok(())
}
