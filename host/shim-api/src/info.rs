use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};
use protobuf::Message as _;
use serde::{Serialize, de::DeserializeOwned};
use wharf_error::{Kind, Result, ResultExt as _};

use crate::{from_json, to_json};

/// The type that containerd's clients name for features.
const FEATURES_TYPE_URL: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// What a shim's `-info` prints: the runtime's name, its version, and its features in the OCI specification's format.
///
/// # Errors
///
/// For features that cannot be encoded.
pub fn encode_info<T: Serialize>(name: &str, version: &str, features: &T) -> Result<Vec<u8>> {
    let version = RuntimeVersion { version: version.to_owned(), ..RuntimeVersion::default() };
    let info = RuntimeInfo {
        name: name.to_owned(),
        version: Some(version).into(),
        features: Some(to_json(FEATURES_TYPE_URL, features)?).into(),
        ..RuntimeInfo::default()
    };
    info.write_to_bytes().step(|| "encode a runtime's description".into())
}

/// The features in what a shim's `-info` has printed.
///
/// # Errors
///
/// `InvalidArgument` for what is no such message, or has no features.
pub fn parse_info<T: DeserializeOwned>(printed: &[u8]) -> Result<T> {
    let what = || "decode a runtime's description".into();
    let info = RuntimeInfo::parse_from_bytes(printed).step_as(Kind::InvalidArgument, what)?;
    from_json(&info.features.unwrap_or_default()).step(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read() {
        let printed = encode_info("io.containerd.wharf.v1", "1", &vec!["rro"]).unwrap();
        assert_eq!(parse_info::<Vec<String>>(&printed).unwrap(), ["rro"]);
        assert_eq!(parse_info::<Vec<String>>(b"").unwrap_err().kind(), Kind::InvalidArgument, "no features");
        assert_eq!(parse_info::<Vec<String>>(b"usage").unwrap_err().kind(), Kind::InvalidArgument);
    }
}
