use std::fmt;

use serde::{Deserialize, Serialize};

/// A version of CNI's specification that is spoken here, oldest first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum Version {
    #[serde(rename = "0.1.0")]
    V0_1_0,
    #[serde(rename = "0.2.0")]
    V0_2_0,
    #[serde(rename = "0.3.0")]
    V0_3_0,
    #[serde(rename = "0.3.1")]
    V0_3_1,
    #[serde(rename = "0.4.0")]
    V0_4_0,
    #[serde(rename = "1.0.0")]
    V1_0_0,
    #[serde(rename = "1.1.0")]
    V1_1_0,
}

const ALL: [(Version, &str); 7] = [
    (Version::V0_1_0, "0.1.0"),
    (Version::V0_2_0, "0.2.0"),
    (Version::V0_3_0, "0.3.0"),
    (Version::V0_3_1, "0.3.1"),
    (Version::V0_4_0, "0.4.0"),
    (Version::V1_0_0, "1.0.0"),
    (Version::V1_1_0, "1.1.0"),
];

// === impl Version ===

impl Version {
    pub(crate) const NEWEST: Self = Self::V1_1_0;

    /// None: a version that is not spoken here.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        ALL.iter().find(|(_, name)| *name == text).map(|(version, _)| *version)
    }

    pub(crate) fn as_str(self) -> &'static str {
        ALL.iter().find(|(version, _)| *version == self).map_or("", |(_, name)| name)
    }

    /// Whether results have a list of addresses, not one of each family.
    pub(crate) fn has_lists(self) -> bool {
        self >= Self::V0_3_0
    }

    /// Whether CHECK is known, and DEL is told ADD's result.
    pub(crate) fn has_check(self) -> bool {
        self >= Self::V0_4_0
    }

    /// Whether GC and STATUS are known.
    pub(crate) fn has_gc(self) -> bool {
        self >= Self::V1_1_0
    }

    /// All of them, for a message.
    pub(crate) fn spoken() -> String {
        ALL.map(|(_, name)| name).join(", ")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
