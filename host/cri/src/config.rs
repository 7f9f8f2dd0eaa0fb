use std::path::PathBuf;

/// What the services say about this runtime, and where they look for what containers ask for.
#[derive(Clone, Debug)]
pub struct CriConfig {
    /// The name that `Version` answers.
    pub runtime_name: String,
    /// The version that `Version` answers.
    pub runtime_version: String,
    /// The snapshotter's name, for inspections.
    pub snapshotter: String,
    /// The folders of CDI's files; a later one goes before an earlier one.
    pub cdi_spec_dirs: Vec<PathBuf>,
}

// === impl CriConfig ===

impl Default for CriConfig {
    fn default() -> Self {
        Self {
            runtime_name: "wharf".into(),
            runtime_version: env!("CARGO_PKG_VERSION").into(),
            snapshotter: "overlayfs".into(),
            cdi_spec_dirs: vec!["/etc/cdi".into(), "/var/run/cdi".into()],
        }
    }
}
