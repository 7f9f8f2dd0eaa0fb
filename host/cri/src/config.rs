/// What the services say about this runtime.
#[derive(Clone, Debug)]
pub struct CriConfig {
    /// The name that `Version` answers.
    pub runtime_name: String,
    /// The version that `Version` answers.
    pub runtime_version: String,
    /// The snapshotter's name, for inspections.
    pub snapshotter: String,
}

// === impl CriConfig ===

impl Default for CriConfig {
    fn default() -> Self {
        Self {
            runtime_name: "wharf".into(),
            runtime_version: env!("CARGO_PKG_VERSION").into(),
            snapshotter: "overlayfs".into(),
        }
    }
}
