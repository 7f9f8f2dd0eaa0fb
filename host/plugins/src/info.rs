use crate::{Features, Kind};

/// One line of `wharf plugin ls`.
#[derive(Clone, Debug)]
pub struct PluginInfo {
    /// Its name on this node.
    pub name: String,
    /// What it was configured to be.
    pub kind: Kind,
    /// The version of the contract that it was made for; empty when it could not be read.
    pub version: String,
    /// `sha256:…` of the component; empty when it could not be read.
    pub digest: String,
    /// Where the component came from.
    pub origin: Origin,
    /// What it asks for: the powers it imports, then what it declares itself.
    pub asks: Vec<Ask>,
    /// Whether it can be called.
    pub state: PluginState,
}

/// Something that a plugin asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ask {
    /// An interface without its version, or a word that the plugin declared (`read:env`).
    pub name: String,
    /// What the operator said.
    pub answer: Answer,
}

/// What the operator's configuration says about an ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// The plugin has it.
    Granted,
    /// Refused by name.
    Refused,
    /// Not mentioned: an import then keeps the plugin from loading, a declared word is simply not given.
    Unmentioned,
}

/// Where a component came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Carried inside the binary.
    Bundled,
    /// A file.
    File(std::path::PathBuf),
}

/// Whether a plugin can be called.
#[derive(Clone, Debug)]
pub enum PluginState {
    /// Loaded and probed.
    Ready(Features),
    /// It says that this node is not for it.
    Unsupported(String),
    /// It could not be loaded; the text says why and what to do.
    Failed(String),
}
