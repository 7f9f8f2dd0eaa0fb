use serde_json::{Map, Value, json};

/// What network plugins answered, in the shape of containerd's `cniResult` (go-cni's `Result`), which tools read from
/// `crictl inspectp`. `attachments` is what [`wharf_network::Networks::attachments`] tells.
pub(super) fn cni_result(attachments: &Value) -> Value {
    let mut interfaces = Map::new();
    let (mut dns, mut routes) = (Vec::new(), Vec::new());
    for result in attachments.as_array().into_iter().flatten().filter_map(|attachment| attachment.get("result")) {
        let list = |key: &str| result.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let named = list("interfaces");
        for interface in &named {
            let text = |key: &str| interface.get(key).and_then(Value::as_str).unwrap_or_default();
            let shown = json!({ "IPConfigs": [], "Mac": text("mac"), "Sandbox": text("sandbox") });
            interfaces.insert(text("name").to_owned(), shown);
        }
        for ip in list("ips") {
            let text = |key: &str| ip.get(key).and_then(Value::as_str).unwrap_or_default();
            let at = ip.get("interface").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
            let name = at.and_then(|at| named.get(at)?.get("name")?.as_str()).unwrap_or_default();
            let address = text("address").split('/').next().unwrap_or_default().to_owned();
            let shown = json!({ "IP": address, "Gateway": text("gateway") });
            let configs = interfaces.get_mut(name).and_then(|interface| interface.get_mut("IPConfigs"));
            if let Some(Value::Array(configs)) = configs {
                configs.push(shown);
            }
        }
        dns.extend(result.get("dns").cloned());
        routes.extend(list("routes"));
    }
    json!({ "Interfaces": interfaces, "DNS": dns, "Routes": routes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_at_their_interfaces() {
        let result = json!({
            "cniVersion": "1.0.0",
            "interfaces": [
                { "name": "cni0", "mac": "aa:bb" },
                { "name": "eth0", "mac": "cc:dd", "sandbox": "/run/netns/x" },
            ],
            "ips": [
                { "address": "10.1.2.3/24", "gateway": "10.1.2.1", "interface": 1 },
                { "address": "fd00::3/64", "interface": 1 },
                { "address": "10.9.9.9/24" },
            ],
            "routes": [{ "dst": "0.0.0.0/0" }],
            "dns": { "nameservers": ["10.1.2.1"] },
        });
        let shown = cni_result(&json!([{ "network": "n", "interface": "eth0", "result": result }]));
        assert_eq!(
            shown["Interfaces"]["eth0"],
            json!({
                "IPConfigs": [{ "IP": "10.1.2.3", "Gateway": "10.1.2.1" }, { "IP": "fd00::3", "Gateway": "" }],
                "Mac": "cc:dd", "Sandbox": "/run/netns/x",
            })
        );
        assert_eq!(shown["Interfaces"]["cni0"]["IPConfigs"], json!([]));
        assert_eq!(shown["DNS"], json!([{ "nameservers": ["10.1.2.1"] }]));
        assert_eq!(shown["Routes"], json!([{ "dst": "0.0.0.0/0" }]));
        assert_eq!(cni_result(&json!([])), json!({ "Interfaces": {}, "DNS": [], "Routes": [] }));
    }
}
