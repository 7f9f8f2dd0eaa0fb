//! The JSON of verbose answers, which `crictl inspect` prints.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use wharf_error::{Result, ResultExt as _};

/// CRI's `info` map: one JSON text under the key where tools look for it.
pub(crate) fn info(value: &Value) -> BTreeMap<String, String> {
    BTreeMap::from([("info".to_owned(), value.to_string())])
}

/// A message of CRI as JSON, without what is not set: as Go writes it, whose tools read it.
pub(crate) fn message(message: &impl Serialize) -> Result<Value> {
    let mut value = serde_json::to_value(message).step(|| "encode a configuration as JSON".into())?;
    prune(&mut value);
    Ok(value)
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            fields.retain(|_, field| !unset(field));
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

fn unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        // A message that is there says something by being there.
        Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use wharf_api::cri::{ContainerConfig, ImageSpec, KeyValue, LinuxContainerConfig};

    #[test]
    fn a_configuration_is_written_without_what_is_not_set() {
        let config = ContainerConfig {
            image: Some(ImageSpec { image: "busybox".into(), ..ImageSpec::default() }),
            envs: vec![KeyValue { key: "A".into(), value: vec![b'x', 0xff] }],
            linux: Some(LinuxContainerConfig::default()),
            tty: true,
            ..ContainerConfig::default()
        };
        let expected = json!({
            "image": { "image": "busybox", "annotations": {} },
            "envs": [{ "key": "A", "value": "x\u{fffd}" }],
            "labels": {}, "annotations": {}, "linux": {}, "tty": true,
        });
        assert_eq!(message(&config).unwrap(), expected);
    }
}
