//! The node's network configuration: files, in the order of their names.

mod load;
mod network;
mod watch;

pub(crate) use self::{
    load::load,
    network::{Network, plugin_type},
    watch::Watch,
};
