use std::net::IpAddr;

use serde_json::Value;
use wharf_error::{Error, Kind, Result};

use super::convert;
use crate::version::Version;

/// The addresses of the interface in the pod, in the order of the result; those that no interface is named for, too. An
/// interface is in the pod where its `sandbox` says so; some plugins say nothing, and then its name must do.
///
/// # Errors
///
/// `Unknown` for a result that cannot be read.
pub(crate) fn addresses(result: &Value, interface: &str) -> Result<Vec<IpAddr>> {
    let result = convert(result.clone(), Version::NEWEST)?;
    let ips = result["ips"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mine = ips.iter().filter(|ip| of_interface(&result, ip, interface));
    mine.map(|ip| address(&ip["address"])).collect()
}

fn of_interface(result: &Value, ip: &Value, name: &str) -> bool {
    let Some(index) = ip["interface"].as_u64().and_then(|index| usize::try_from(index).ok()) else { return true };
    result["interfaces"].get(index).is_some_and(|interface| {
        let named = |interface: &Value| interface["name"] == name;
        let inside = |interface: &Value| interface["sandbox"].as_str().is_some_and(|sandbox| !sandbox.is_empty());
        let all = result["interfaces"].as_array().map(Vec::as_slice).unwrap_or_default();
        named(interface) && (inside(interface) || !all.iter().any(|other| named(other) && inside(other)))
    })
}

fn address(text: &Value) -> Result<IpAddr> {
    let plain = text.as_str().map(|text| text.split_once('/').map_or(text, |(address, _)| address));
    plain
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| Error::new(Kind::Unknown, format!("the result that it printed: {text} is no address")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_addresses_of_the_pods_interface_are_the_pods() {
        let result = json!({
            "cniVersion": "1.0.0",
            "interfaces": [{ "name": "cni0" }, { "name": "eth0", "sandbox": "/run/netns/x" }, { "name": "net1", "sandbox": "/run/netns/x" }],
            "ips": [
                { "address": "10.0.0.1/24", "interface": 0 },
                { "address": "10.0.0.5/24", "interface": 1 },
                { "address": "10.9.0.5/24", "interface": 2 },
                { "address": "fd00::5/64" },
            ],
        });
        let found: Vec<_> = addresses(&result, "eth0").unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.5", "fd00::5"]);
    }

    #[test]
    fn an_interface_whose_sandbox_is_not_said_is_known_by_its_name() {
        let with = |sandbox: &str| {
            json!({
                "cniVersion": "1.0.0",
                "interfaces": [{ "name": "eth0", "sandbox": sandbox }, { "name": "eth0" }],
                "ips": [{ "address": "10.0.0.5/24", "interface": 0 }, { "address": "10.0.0.1/24", "interface": 1 }],
            })
        };
        let found = |sandbox| addresses(&with(sandbox), "eth0").unwrap().len();
        assert_eq!(found("/run/netns/x"), 1, "the other is the node's of the same name");
        assert_eq!(found(""), 2);
    }

    #[test]
    fn the_oldest_format_is_read_too() {
        let result = json!({ "cniVersion": "0.2.0", "ip4": { "ip": "10.0.0.5/24" } });
        assert_eq!(addresses(&result, "eth0").unwrap(), ["10.0.0.5".parse::<IpAddr>().unwrap()]);
        assert!(addresses(&json!({ "ips": [{ "address": "ten" }] }), "eth0").is_err());
        assert!(addresses(&json!({}), "eth0").unwrap().is_empty());
    }
}
