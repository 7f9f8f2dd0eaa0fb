//! The rows of pods and containers: crash class, for they live as long as the machine's uptime, with a boot copy,
//! for a kubelet that finds no record after a reboot runs finished containers again.

use wharf_store::{Lifetime, Table};

use crate::{container::Container, pod::Pod};

/// Pods by namespace and id.
pub(crate) enum PodTable {}

impl Table for PodTable {
    const NAME: &'static str = "pods";
    const LIFETIME: Lifetime = Lifetime::Crash;
    const BOOT_COPY: bool = true;
    type Row = Pod;
}

/// Containers by namespace and id.
pub(crate) enum ContainerTable {}

impl Table for ContainerTable {
    const NAME: &'static str = "containers";
    const LIFETIME: Lifetime = Lifetime::Crash;
    const BOOT_COPY: bool = true;
    type Row = Container;
}

/// Encoded messages inside JSON rows: base64 instead of a list of numbers.
pub(crate) mod bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}
