/// Whether pods can be attached now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NetworkStatus {
    /// Whether they can.
    pub ready: bool,
    /// One word for programs; empty when ready.
    pub reason: String,
    /// For people: what is missing and where, or which networks there are.
    pub message: String,
}

// === impl NetworkStatus ===

impl NetworkStatus {
    pub(crate) fn ready(message: String) -> Self {
        Self { ready: true, reason: String::new(), message }
    }

    pub(crate) fn not_ready(message: String) -> Self {
        Self { ready: false, reason: "NetworkPluginNotReady".into(), message }
    }
}
