use protobuf::{MessageFull, well_known_types::any::Any};
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

/// Packs a protobuf message under its full name without a prefix, which is what containerd expects.
pub fn to_proto<M: MessageFull>(message: &M) -> Result<Any> {
    let name = M::descriptor().full_name().to_owned();
    let value = message.write_to_bytes().step(|| format!("encode {name}"))?;
    Ok(Any { type_url: name, value, ..Any::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use containerd_shim_protos::events::task::TaskOOM;

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
        assert_eq!(to_proto(&TaskOOM::new()).unwrap().type_url, "containerd.events.TaskOOM");
    }
}
