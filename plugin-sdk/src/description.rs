use serde::Deserialize;

/// What a plugin says about itself.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// Finer asks than imports can say.
    pub asks: Vec<String>,
    /// JSON Schema of the configuration.
    pub config_schema: Option<String>,
    /// Anything else.
    pub extra: Vec<(String, String)>,
}

/// Something wrong with a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// JSON pointer into the configuration; empty: the whole.
    pub at: String,
    /// What is wrong with it.
    pub message: String,
}

/// The configuration of a plugin that has none: every key is an error.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}
