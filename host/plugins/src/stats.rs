use std::time::{Duration, SystemTime};

/// All calls of one function of one plugin since it was loaded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallStat {
    /// The plugin's name.
    pub plugin: String,
    /// The function by its WIT name.
    pub function: &'static str,
    /// Calls that ended.
    pub calls: u64,
    /// Of them, those that failed, in whatever way.
    pub errors: u64,
    /// How long all of them took, instance and host functions included.
    pub total: Duration,
    /// How long the longest took.
    pub max: Duration,
    /// How long the last took.
    pub last: Duration,
}

/// One call, as it is kept for a person to look at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// The plugin's name.
    pub plugin: String,
    /// The function by its WIT name.
    pub function: &'static str,
    /// The layer that it was about, if it was about one.
    pub layer: Option<u64>,
    /// When it began.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What it answered, in a few words.
    pub answer: String,
    /// Whether it succeeded.
    pub ok: bool,
}
