use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

/// The folder through which an armed build is told where to die, and tells where it was: see the crate `wharf-crash-points`.
pub struct Folder {
    path: PathBuf,
}

/// A point, and how often it is reached before.
#[derive(Clone, Debug)]
pub struct Aim {
    pub name: String,
    pub times: u64,
}

const SAID: Duration = Duration::from_secs(10);

// === impl Folder ===

impl Folder {
    /// Makes it.
    pub fn new(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self { path: path.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From now on points are counted, from none on; whoever reaches the one that is aimed at dies.
    pub fn arm(&self, aim: Option<&Aim>) -> Result<()> {
        self.disarm()?;
        let hits = self.path.join("hits");
        // Not there the first time.
        let _ = fs::remove_dir_all(&hits);
        let _ = fs::remove_file(self.path.join("died"));
        fs::create_dir(&hits).context("make the folder of hits")?;
        let text = aim.map_or_else(|| "none 0".to_owned(), |aim| format!("{} {}", aim.name, aim.times));
        // Whole at once: others read it at any moment.
        let (new, armed) = (self.path.join("new"), self.path.join("armed"));
        fs::write(&new, text).and_then(|()| fs::rename(&new, &armed)).context("arm the points")
    }

    /// From now on nobody dies.
    pub fn disarm(&self) -> Result<()> {
        match fs::remove_file(self.path.join("armed")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("disarm the points"),
            _ => Ok(()),
        }
    }

    /// Whether somebody has died.
    pub fn somebody_died(&self) -> bool {
        self.path.join("died").exists()
    }

    /// Which process it was.
    pub fn who_died(&self) -> Result<u32> {
        let path = self.path.join("died");
        let mut said = String::new();
        // The file is there before its text is.
        wharf_testkit::wait_for(SAID, || {
            said = fs::read_to_string(&path).unwrap_or_default();
            !said.is_empty()
        });
        said.parse().with_context(|| format!("read who died: {said:?}"))
    }

    /// How often each point was reached since it was armed.
    pub fn hits(&self) -> Result<BTreeMap<String, u64>> {
        let mut hits = BTreeMap::new();
        for entry in fs::read_dir(self.path.join("hits")).context("read the hits")? {
            let entry = entry.context("read the hits")?;
            hits.insert(
                entry.file_name().to_string_lossy().into_owned(),
                entry.metadata().context("read a hit")?.len(),
            );
        }
        Ok(hits)
    }
}

impl std::fmt::Display for Aim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} #{}", self.name, self.times)
    }
}
