mod lost;
mod mark;
mod process;
mod record;
mod remove;
mod run;
mod scope;
mod stop;
mod update;

pub use self::{
    process::PodProcess,
    record::{Pod, PodMetadata, PodRequest, PodState},
};
pub(crate) use self::{record::Stage, run::blocking};
