/// Properties of a unit, by name.
pub(crate) type Properties = Vec<(&'static str, Value)>;

/// What a property can be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    U64(u64),
    String(String),
    U32s(Vec<u32>),
    Bytes(Vec<u8>),
}

impl Value {
    pub(super) fn signature(&self) -> &'static str {
        match self {
            Self::Bool(_) => "b",
            Self::U64(_) => "t",
            Self::String(_) => "s",
            Self::U32s(_) => "au",
            Self::Bytes(_) => "ay",
        }
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::U64(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}
