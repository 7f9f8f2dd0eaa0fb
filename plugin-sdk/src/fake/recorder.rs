use std::{cell::RefCell, rc::Rc};

use crate::{
    Code, Error, Kind, LayerId, Lower, Place, Result,
    bindings::wharf::snapshotter::storage::{Lower as Asked, Upper},
};

/// The steps of a plan, with the contract's checks of who may name which layer.
#[derive(Clone, Debug)]
pub struct Recorder {
    own: LayerId,
    writable: bool,
    parents: Vec<LayerId>,
    steps: Rc<RefCell<Vec<Step>>>,
}

/// A step as the plugin asked for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A directory, and whether it is read-only.
    Bind(Place, bool),
    /// What it stands on, and upper and work.
    Overlay(Vec<Lower>, Option<(Place, Place)>),
    /// An image.
    Erofs(Place),
}

// === impl Recorder ===

impl Recorder {
    pub(crate) fn new(facts: &super::Facts) -> Self {
        let writable = facts.kind == Kind::Active;
        Self { own: facts.id, writable, parents: facts.parents.clone(), steps: Rc::default() }
    }

    /// What the plugin asked for so far.
    pub fn steps(&self) -> Vec<Step> {
        self.steps.borrow().clone()
    }

    pub(crate) fn bind(&self, at: &Place, read_only: bool) -> Result<u32> {
        self.check(at, !read_only)?;
        self.push(Step::Bind(at.clone(), read_only))
    }

    pub(crate) fn overlay(&self, lowers: &[Asked], upper: Option<&Upper>) -> Result<u32> {
        if lowers.is_empty() {
            return Err(Error::new(Code::InvalidArgument, "an overlay without a lower"));
        }
        for lower in lowers {
            match lower {
                Asked::Directory(at) => self.check(at, false)?,
                Asked::Mounted(step) if (*step as usize) < self.steps.borrow().len() => {}
                Asked::Mounted(_) => return Err(Error::new(Code::InvalidArgument, "no earlier step")),
            }
        }
        if let Some(upper) = upper {
            self.check(&upper.upper, true)?;
            self.check(&upper.work, true)?;
        }
        let lowers = lowers.iter().cloned().map(Lower::from).collect();
        self.push(Step::Overlay(lowers, upper.map(|upper| (upper.upper.clone(), upper.work.clone()))))
    }

    pub(crate) fn erofs(&self, image: &Place) -> Result<u32> {
        self.check(image, false)?;
        self.push(Step::Erofs(image.clone()))
    }

    fn check(&self, at: &Place, write: bool) -> Result<()> {
        let granted =
            if at.layer == self.own { !write || self.writable } else { !write && self.parents.contains(&at.layer) };
        if granted {
            Ok(())
        } else {
            Err(Error::new(Code::NotGranted, format!("layer {} is not this call's", at.layer)))
        }
    }

    fn push(&self, step: Step) -> Result<u32> {
        let mut steps = self.steps.borrow_mut();
        steps.push(step);
        u32::try_from(steps.len() - 1).map_err(|_| Error::new(Code::Exhausted, "too many steps"))
    }
}
