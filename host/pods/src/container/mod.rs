mod ask;
mod create;
mod exited;
mod held;
mod record;
mod remove;
mod start;
mod stop;
mod update;
mod user;
mod volumes;

pub use self::record::{
    Container, ContainerMetadata, ContainerRequest, ContainerState, ImageVolume, NewContainer, User,
};
pub(crate) use self::{exited::UNSEEN, record::Stage, volumes::owner_of};
