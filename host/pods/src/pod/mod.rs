mod lost;
mod record;
mod remove;
mod run;
mod stop;
mod update;

pub use self::record::{Pod, PodMetadata, PodRequest, PodState};
pub(crate) use self::{record::Stage, run::blocking};
