use crate::{
    Place, Result,
    bindings::wharf::snapshotter::storage::{self, Upper},
};

#[cfg(target_arch = "wasm32")]
use crate::bindings::wharf::snapshotter::storage::Plan as Inner;
#[cfg(not(target_arch = "wasm32"))]
use crate::fake::Recorder as Inner;

/// The answer to `prepare` and `mounts`. Each step is checked by the host at once; the last is the root.
#[derive(Debug)]
pub struct Plan(Inner);

/// A step of the plan that was accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StepId(u32);

/// What an overlay stands on.
#[derive(Clone, Debug, PartialEq)]
pub enum Lower {
    /// A directory.
    Directory(Place),
    /// The mount of an earlier step.
    Mounted(StepId),
}

// === impl Plan ===

impl Plan {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(inner)
    }

    /// A directory as it is.
    pub fn bind(&self, at: &Place, read_only: bool) -> Result<StepId> {
        self.0.bind(at, read_only).map(StepId)
    }

    /// Nearest first; without `upper` and `work` read-only.
    pub fn overlay(&self, lowers: Vec<Lower>, upper_and_work: Option<(Place, Place)>) -> Result<StepId> {
        let lowers: Vec<_> = lowers.into_iter().map(Into::into).collect();
        let upper = upper_and_work.map(|(upper, work)| Upper { upper, work });
        self.0.overlay(&lowers, upper.as_ref()).map(StepId)
    }

    /// An EROFS image, read-only.
    pub fn erofs(&self, image: &Place) -> Result<StepId> {
        self.0.erofs(image).map(StepId)
    }
}

// === impl Lower ===

impl From<Lower> for storage::Lower {
    fn from(lower: Lower) -> Self {
        match lower {
            Lower::Directory(at) => Self::Directory(at),
            Lower::Mounted(StepId(step)) => Self::Mounted(step),
        }
    }
}

impl From<storage::Lower> for Lower {
    fn from(lower: storage::Lower) -> Self {
        match lower {
            storage::Lower::Directory(at) => Self::Directory(at),
            storage::Lower::Mounted(step) => Self::Mounted(StepId(step)),
        }
    }
}
