mod create;
mod exited;
mod record;
mod remove;
mod start;
mod stop;
mod update;

pub use self::record::{Container, ContainerMetadata, ContainerRequest, ContainerState, NewContainer};
pub(crate) use self::{exited::UNSEEN, record::Stage};
