use protobuf::{Message, well_known_types::any::Any};
use serde::{Serialize, de::DeserializeOwned};
use wharf_error::{Result, ResultExt as _};

/// Packs a value as JSON, the way containerd packs the OCI types.
pub fn to_json<T: Serialize>(type_url: &str, value: &T) -> Result<Any> {
    let json = serde_json::to_vec(value).step(|| format!("encode {type_url}"))?;
    Ok(Any { type_url: type_url.to_owned(), value: json, ..Any::default() })
}

/// Unpacks a JSON value. The type URL is the sender's business: what counts is whether the bytes fit.
///
/// Errors are `InvalidArgument` and name the type URL that came.
pub fn from_json<T: DeserializeOwned>(any: &Any) -> Result<T> {
    serde_json::from_slice(&any.value)
        .step_as(wharf_error::Kind::InvalidArgument, || format!("decode `{}` as JSON", any.type_url))
}

/// Packs a protobuf message of the package, under its full name without a prefix: what containerd expects.
///
/// The package is the caller's word because asking the message for it would build its whole description on
/// the heap, which a shim is too small for.
pub fn to_proto<M: Message>(package: &str, message: &M) -> Result<Any> {
    let name = format!("{package}.{}", M::NAME);
    let value = message.write_to_bytes().step(|| format!("encode {name}"))?;
    Ok(Any { type_url: name, value, ..Any::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use containerd_shim_protos::{cgroups::metrics::Metrics, events::task::TaskOOM};
    use protobuf::MessageFull;

    #[test]
    fn json_goes_round_and_bad_json_names_its_type() {
        let any = to_json("example/list", &vec![1, 2, 3]).unwrap();
        assert_eq!(from_json::<Vec<i32>>(&any).unwrap(), [1, 2, 3]);
        let error = from_json::<String>(&any).unwrap_err();
        assert_eq!(error.kind(), wharf_error::Kind::InvalidArgument);
        assert!(error.to_string().contains("example/list"), "{error}");
    }

    #[test]
    fn messages_are_named_as_containerd_names_them() {
        fn check<M: MessageFull>(package: &str, message: &M) {
            assert_eq!(to_proto(package, message).unwrap().type_url, M::descriptor().full_name());
        }
        check("containerd.events", &TaskOOM::new());
        check("io.containerd.cgroups.v1", &Metrics::new());
    }
}
