use serde_json::{Map, Value, json};
use wharf_error::{Error, Kind, Result};

use crate::version::Version;

/// The result in another version's words. One that says no version is of the version that was asked for: it is `to`.
///
/// What the other version has no words for is left out. The same version is left as it is.
pub(crate) fn convert(result: Value, to: Version) -> Result<Value> {
    let Value::Object(mut result) = result else { return Err(wrong("it is no JSON object")) };
    let from = match result.get("cniVersion") {
        None | Some(Value::Null) => to,
        Some(Value::String(text)) if text.is_empty() => to,
        Some(Value::String(text)) => {
            Version::parse(text).ok_or_else(|| wrong(&format!("cniVersion {text:?} is not known")))?
        }
        Some(other) => return Err(wrong(&format!("cniVersion {other} is no text"))),
    };
    result.insert("cniVersion".into(), to.as_str().into());
    if from == to {
        return Ok(result.into());
    }
    if !from.has_lists() && to.has_lists() {
        into_lists(&mut result)?;
    }
    if from.has_lists() && !to.has_lists() {
        return from_lists(&result, to);
    }
    if to.has_lists() {
        families(&mut result, to < Version::V1_0_0)?;
    }
    if to < Version::V1_1_0 {
        forget_newer(&mut result);
    }
    Ok(result.into())
}

/// `ip4` and `ip6`, each with routes of its own, become lists.
fn into_lists(result: &mut Map<String, Value>) -> Result<()> {
    let (mut ips, mut routes) = (Vec::new(), Vec::new());
    for family in ["ip4", "ip6"] {
        let Some(Value::Object(mut one)) = result.remove(family) else { continue };
        let address = one.remove("ip").ok_or_else(|| wrong(&format!("{family} has no ip")))?;
        let mut ip = Map::from_iter([("address".to_owned(), address)]);
        if let Some(gateway) = one.remove("gateway").filter(|gateway| !gateway.is_null()) {
            ip.insert("gateway".into(), gateway);
        }
        ips.push(ip.into());
        if let Some(Value::Array(list)) = one.remove("routes") {
            routes.extend(list);
        }
    }
    result.insert("ips".into(), Value::Array(ips));
    if !routes.is_empty() {
        result.insert("routes".into(), routes.into());
    }
    Ok(())
}

/// The first address of each family, with the routes of that family.
fn from_lists(result: &Map<String, Value>, to: Version) -> Result<Value> {
    let mut old = Map::from_iter([("cniVersion".to_owned(), Value::from(to.as_str()))]);
    let list = |key: &str| result.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    for ip in list("ips") {
        let address = ip["address"].as_str().ok_or_else(|| wrong("an address is missing"))?;
        let family = if address.contains(':') { "ip6" } else { "ip4" };
        if old.contains_key(family) {
            continue;
        }
        let mut one = json!({ "ip": address });
        if let Some(gateway) = ip["gateway"].as_str() {
            one["gateway"] = gateway.into();
        }
        let routes = list("routes")
            .into_iter()
            .filter(|route| route["dst"].as_str().is_some_and(|to| to.contains(':') == (family == "ip6")));
        let routes: Vec<_> = routes.map(|route| plain_route(&route)).collect();
        if !routes.is_empty() {
            one["routes"] = routes.into();
        }
        old.insert(family.into(), one);
    }
    if let Some(dns) = result.get("dns") {
        old.insert("dns".into(), dns.clone());
    }
    Ok(old.into())
}

/// Until 0.4.0 each address says its family.
fn families(result: &mut Map<String, Value>, said: bool) -> Result<()> {
    let Some(Value::Array(ips)) = result.get_mut("ips") else { return Ok(()) };
    for ip in ips {
        let Value::Object(ip) = ip else { return Err(wrong("an address is no object")) };
        ip.remove("version");
        if said {
            let address = ip.get("address").and_then(Value::as_str).ok_or_else(|| wrong("an address is missing"))?;
            ip.insert("version".into(), if address.contains(':') { "6" } else { "4" }.into());
        }
    }
    Ok(())
}

/// What 1.1.0 has added.
fn forget_newer(result: &mut Map<String, Value>) {
    if let Some(Value::Array(interfaces)) = result.get_mut("interfaces") {
        for interface in interfaces.iter_mut().filter_map(Value::as_object_mut) {
            for key in ["mtu", "socketPath", "pciID"] {
                interface.remove(key);
            }
        }
    }
    if let Some(Value::Array(routes)) = result.get_mut("routes") {
        routes.iter_mut().for_each(|route| *route = plain_route(route));
    }
}

fn plain_route(route: &Value) -> Value {
    let Value::Object(route) = route else { return route.clone() };
    let kept = route.iter().filter(|(key, value)| ["dst", "gw"].contains(&key.as_str()) && !value.is_null());
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
}

fn wrong(what: &str) -> Error {
    Error::new(Kind::Unknown, format!("the result that it printed: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest() -> Value {
        json!({
            "cniVersion": "1.1.0",
            "interfaces": [{ "name": "eth0", "mac": "0a:00", "mtu": 1500, "sandbox": "/run/netns/x" }],
            "ips": [
                { "address": "10.1.0.5/24", "gateway": "10.1.0.1", "interface": 0 },
                { "address": "fd00::5/64", "interface": 0 },
            ],
            "routes": [{ "dst": "0.0.0.0/0", "gw": "10.1.0.1", "mtu": 1400 }, { "dst": "::/0" }],
            "dns": { "nameservers": ["10.1.0.1"] },
        })
    }

    #[test]
    fn the_same_version_is_left_alone_whatever_is_in_it() {
        let result = json!({ "cniVersion": "1.1.0", "ips": [{ "address": "10.0.0.1/8" }], "own": { "x": 1 } });
        assert_eq!(convert(result.clone(), Version::V1_1_0).unwrap(), result);
        let silent = json!({ "ips": [] });
        assert_eq!(convert(silent, Version::V0_4_0).unwrap()["cniVersion"], "0.4.0");
    }

    #[test]
    fn newer_results_go_down_to_every_version() {
        let one = convert(newest(), Version::V1_0_0).unwrap();
        assert_eq!(one["interfaces"][0], json!({ "name": "eth0", "mac": "0a:00", "sandbox": "/run/netns/x" }));
        assert_eq!(one["routes"][0], json!({ "dst": "0.0.0.0/0", "gw": "10.1.0.1" }));
        assert!(one["ips"][0].get("version").is_none());
        let four = convert(newest(), Version::V0_4_0).unwrap();
        assert_eq!((&four["ips"][0]["version"], &four["ips"][1]["version"]), (&json!("4"), &json!("6")));
        let two = convert(newest(), Version::V0_2_0).unwrap();
        assert_eq!(
            two,
            json!({
                "cniVersion": "0.2.0",
                "ip4": { "ip": "10.1.0.5/24", "gateway": "10.1.0.1", "routes": [{ "dst": "0.0.0.0/0", "gw": "10.1.0.1" }] },
                "ip6": { "ip": "fd00::5/64", "routes": [{ "dst": "::/0" }] },
                "dns": { "nameservers": ["10.1.0.1"] },
            })
        );
    }

    #[test]
    fn older_results_go_up() {
        let old = json!({ "cniVersion": "0.1.0", "ip4": { "ip": "10.1.0.5/24", "routes": [{ "dst": "0.0.0.0/0" }] } });
        let new = convert(old.clone(), Version::V1_0_0).unwrap();
        assert_eq!(
            new,
            json!({ "cniVersion": "1.0.0", "ips": [{ "address": "10.1.0.5/24" }], "routes": [{ "dst": "0.0.0.0/0" }] })
        );
        assert_eq!(convert(old, Version::V0_3_1).unwrap()["ips"][0]["version"], "4");
        let four = json!({ "cniVersion": "0.4.0", "ips": [{ "version": "4", "address": "10.0.0.1/8" }] });
        assert_eq!(convert(four, Version::V1_1_0).unwrap()["ips"], json!([{ "address": "10.0.0.1/8" }]));
    }

    #[test]
    fn what_is_no_result_is_an_error() {
        for wrong in [json!([]), json!("x"), json!({ "cniVersion": "7.0" }), json!({ "cniVersion": 1 })] {
            assert!(convert(wrong.clone(), Version::V1_0_0).is_err(), "{wrong}");
        }
        let odd = json!({ "cniVersion": "1.0.0", "ips": [{ "gateway": "10.0.0.1" }] });
        assert!(convert(odd, Version::V0_4_0).is_err());
    }
}
