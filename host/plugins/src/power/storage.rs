use wasmtime::component::Resource;
use wharf_error::{Error, Kind, Result as Answer};

use crate::{
    LayerFacts, LayerKind, Lower, Place, Plan, Step, Upper,
    bindings::wharf::{
        host::types::{Code, Label},
        snapshotter::storage::{self, Host, HostLayer, HostPlan, IdRange, LayerId},
    },
    contract::{Fault, fault},
    state::State,
};

/// Steps of one plan.
const STEPS: usize = 64;

/// Lowers of one overlay: the kernel takes 500.
const LOWERS: usize = 512;

/// A call is about one layer and has one plan, so a handle needs no table: it stands for the one there is.
pub struct LayerHandle;

/// The same for the plan.
pub struct PlanHandle;

/// The plan as far as the plugin has made it.
#[derive(Debug, Default)]
pub(crate) struct PlanBuilder {
    pub(crate) steps: Vec<Step>,
    /// The plugin went on after it was told that there is no room: what it made is not what it meant.
    overflowed: bool,
}

impl Host for State {}

impl State {
    fn facts(&self) -> &LayerFacts {
        static NONE: LayerFacts = LayerFacts {
            id: u64::MAX,
            kind: LayerKind::View,
            parents: Vec::new(),
            labels: Vec::new(),
            quota: None,
            uid_map: Vec::new(),
            gid_map: Vec::new(),
        };
        // A guest gets a handle only with a layer behind it, and cannot make one up.
        self.layer.as_ref().unwrap_or(&NONE)
    }

    /// A place that a step may name, as one of ours.
    fn checked(&self, at: storage::Place, write: bool) -> Result<Place, Fault> {
        let facts = self.facts();
        let place = Place::new(at.layer, at.path).map_err(|error| fault(Code::InvalidArgument, error.to_string()))?;
        let own = place.layer() == facts.id;
        if !own && !facts.parents.contains(&place.layer()) {
            let message = format!("place {place}: neither layer {} nor one of its parents", facts.id);
            return Err(fault(Code::NotGranted, message));
        }
        if write && !(own && facts.kind == LayerKind::Active) {
            let message = format!("place {place}: only the active layer of the call can be written");
            return Err(fault(Code::NotGranted, message));
        }
        Ok(place)
    }

    fn push(&mut self, step: Step) -> Result<u32, Fault> {
        if self.plan.steps.len() >= STEPS {
            self.plan.overflowed = true;
            return Err(fault(Code::Exhausted, format!("a plan has at most {STEPS} steps")));
        }
        self.plan.steps.push(step);
        u32::try_from(self.plan.steps.len() - 1).map_err(|_| fault(Code::Exhausted, "too many steps"))
    }
}

impl HostLayer for State {
    fn id(&mut self, _: Resource<LayerHandle>) -> LayerId {
        self.facts().id
    }

    fn kind(&mut self, _: Resource<LayerHandle>) -> storage::Kind {
        match self.facts().kind {
            LayerKind::Active => storage::Kind::Active,
            LayerKind::View => storage::Kind::View,
            LayerKind::Committed => storage::Kind::Committed,
        }
    }

    fn parents(&mut self, _: Resource<LayerHandle>) -> Vec<LayerId> {
        self.facts().parents.clone()
    }

    fn labels(&mut self, _: Resource<LayerHandle>) -> Vec<Label> {
        self.facts().labels.clone()
    }

    fn quota(&mut self, _: Resource<LayerHandle>) -> Option<u64> {
        self.facts().quota
    }

    fn uid_map(&mut self, _: Resource<LayerHandle>) -> Vec<IdRange> {
        ranges(&self.facts().uid_map)
    }

    fn gid_map(&mut self, _: Resource<LayerHandle>) -> Vec<IdRange> {
        ranges(&self.facts().gid_map)
    }

    fn drop(&mut self, _: Resource<LayerHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl HostPlan for State {
    fn bind(&mut self, _: Resource<PlanHandle>, at: storage::Place, read_only: bool) -> Result<u32, Fault> {
        let at = self.checked(at, !read_only)?;
        self.push(Step::Bind { at, read_only })
    }

    fn overlay(
        &mut self,
        _: Resource<PlanHandle>,
        lowers: Vec<storage::Lower>,
        upper: Option<storage::Upper>,
    ) -> Result<u32, Fault> {
        if lowers.is_empty() {
            return Err(fault(Code::InvalidArgument, "an overlay needs a lower"));
        }
        if lowers.len() > LOWERS {
            return Err(fault(Code::Exhausted, format!("an overlay has at most {LOWERS} lowers")));
        }
        let steps = self.plan.steps.len();
        let lower = |lower| match lower {
            storage::Lower::Directory(at) => self.checked(at, false).map(Lower::Directory),
            storage::Lower::Mounted(step) => match usize::try_from(step) {
                Ok(step) if step < steps => Ok(Lower::Mounted(step)),
                _ => Err(fault(Code::InvalidArgument, format!("step {step}: not an earlier one of {steps}"))),
            },
        };
        let lowers = lowers.into_iter().map(lower).collect::<Result<_, _>>()?;
        let upper = match upper {
            Some(upper) => {
                Some(Upper { upper: self.checked(upper.upper, true)?, work: self.checked(upper.work, true)? })
            }
            None => None,
        };
        self.push(Step::Overlay { lowers, upper })
    }

    fn erofs(&mut self, _: Resource<PlanHandle>, image: storage::Place) -> Result<u32, Fault> {
        let image = self.checked(image, false)?;
        self.push(Step::Erofs { image })
    }

    fn drop(&mut self, _: Resource<PlanHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}

// === impl PlanBuilder ===

impl PlanBuilder {
    /// The plan, or what is wrong with it as a whole.
    pub(crate) fn finish(self) -> Answer<Plan> {
        if self.overflowed {
            return Err(Error::new(Kind::Exhausted, format!("it planned on, and a plan has at most {STEPS} steps")));
        }
        match self.steps.is_empty() {
            true => Err(Error::new(Kind::DataLoss, "it answered without a plan")),
            false => Ok(Plan { steps: self.steps }),
        }
    }
}

fn ranges(map: &[crate::IdRange]) -> Vec<IdRange> {
    map.iter().map(|range| IdRange { container: range.container, host: range.host, length: range.length }).collect()
}

#[cfg(test)]
mod tests;
