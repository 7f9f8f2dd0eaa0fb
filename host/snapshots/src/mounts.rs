use std::path::PathBuf;

use wharf_error::{Error, Kind as ErrorKind, Result, ResultExt as _};
use wharf_plugins::{Content, LayerKind, Place, Usage};

use crate::{
    core::Core,
    info::{ContentTarget, Mounts},
    plan::Call,
    row::{Kind, Row, Scope},
};

impl Core {
    /// How an active snapshot or a view is mounted.
    pub(crate) fn mounts(&self, scope: &Scope, key: &str) -> Result<Mounts> {
        let row = self.ready(scope, key)?;
        let step = || format!("snapshot {key}: mounts");
        usable(key, &row)?;
        if row.kind == Kind::Committed {
            let what = format!("snapshot {key}: is committed, which is not mounted itself");
            return Err(Error::new(ErrorKind::FailedPrecondition, what).hint("mount a view of it"));
        }
        let facts = self.facts(scope, key, &row)?;
        let plan = self.backend.mounts(&facts).step(step)?;
        self.translate(Call::Mounts, &facts, &plan).step(step)
    }

    /// Where an active snapshot's content is written without mounting.
    pub(crate) fn content(&self, scope: &Scope, key: &str) -> Result<ContentTarget> {
        let row = self.ready(scope, key)?;
        usable(key, &row)?;
        if row.kind != Kind::Active {
            let what = format!("snapshot {key}: is {}, so nothing is written to it", row.kind);
            return Err(Error::new(ErrorKind::FailedPrecondition, what));
        }
        let content = self.backend.features().content.clone();
        let path = match &content {
            Content::OverlayDiff(path) | Content::ErofsImage(path) => path.clone(),
            Content::FullTree => String::new(),
        };
        let place = |id: u64| -> Result<PathBuf> {
            let place = Place::new(id, path.clone());
            let place = place.step_as(ErrorKind::Internal, || format!("plugin {}: content", self.backend.name()))?;
            Ok(self.backend.root().join(place.relative()))
        };
        let facts = self.facts(scope, key, &row)?;
        let parents = facts.parents.iter().map(|id| place(*id)).collect::<Result<Vec<_>>>()?;
        Ok(ContentTarget { dir: place(row.id)?, content, parents })
    }

    /// What a snapshot takes without its parents: what was measured at commit, or now.
    pub(crate) fn usage(&self, scope: &Scope, key: &str) -> Result<Usage> {
        let row = self.ready(scope, key)?;
        match row.usage {
            Some((bytes, inodes)) => Ok(Usage { bytes, inodes }),
            None => {
                usable(key, &row)?;
                let facts = self.facts(scope, key, &row)?;
                debug_assert!(facts.kind != LayerKind::Committed, "a committed layer was measured");
                self.backend.measure(&facts).step(|| format!("snapshot {key}: usage"))
            }
        }
    }
}

fn usable(key: &str, row: &Row) -> Result<()> {
    match &row.broken {
        None => Ok(()),
        Some(broken) => Err(Error::new(ErrorKind::DataLoss, format!("snapshot {key}: {broken}"))
            .hint("remove it, and the image it belongs to, and pull that again")),
    }
}
