//! The configuration: TOML, every key with a default, unknown keys refused with file and line.

mod annotations;
mod load;
mod sections;
mod socket;

pub(crate) use self::{
    sections::{AddressFamily, Config, Handler, Log, LogFormat, NetworkMode, Plugin},
    socket::socket_path,
};

/// Where the configuration is when nobody says otherwise. Its absence is no error; that of a named file is.
pub(crate) const DEFAULT_FILE: &str = "/etc/wharf/config.toml";

/// What `wharf config default` prints.
pub(crate) const DEFAULT_TEXT: &str = include_str!("default.toml");
