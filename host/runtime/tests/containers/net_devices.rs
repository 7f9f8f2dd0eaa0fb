use std::process::Command;

use serde_json::json;
use wharf_testkit::{NetNs, need};

use crate::support::{Sandbox, pipes, push};

/// A pair of interfaces, `one` and another, in a network of the test's own; false where the kernel makes none.
fn pair(node: &NetNs, more: &[&[&str]]) -> bool {
    node.run(|| {
        let ip = |args: &[&str]| Command::new("busybox").arg("ip").args(args).output().unwrap();
        if !ip(&["link", "add", "one", "type", "veth"]).status.success() {
            eprintln!("skipped: this kernel makes no pairs of interfaces");
            return false;
        }
        for args in more {
            let output = ip(args);
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        true
    })
    .unwrap()
}

#[test]
fn an_interface_moves_in_with_its_addresses_and_is_up() {
    let Some(node) = need(NetNs::new()) else { return };
    let more: &[&[&str]] = &[
        &["link", "set", "one", "mtu", "1400"],
        &["addr", "add", "10.1.2.3/24", "dev", "one"],
        &["addr", "add", "fd00::5/64", "dev", "one"],
        &["link", "set", "one", "up"],
    ];
    for (user_namespace, name, inside) in [(false, "inside", "inside"), (true, "eth%d", "eth0")] {
        if !pair(&node, more) {
            return;
        }
        let sandbox = Sandbox::new();
        let script = format!("ip addr show dev {inside}; ip link show one 2>&1");
        let mut spec = sandbox.spec(&["sh", "-c", &script]);
        if user_namespace {
            push(&mut spec["linux"]["namespaces"], json!({ "type": "user" }));
            let mapping = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
            spec["linux"]["uidMappings"] = mapping.clone();
            spec["linux"]["gidMappings"] = mapping;
        }
        spec["linux"]["netDevices"] = json!({ "one": { "name": name } });
        let output = node.run(|| sandbox.run(&spec)).unwrap();
        let said = &output.stdout;
        assert!(said.contains("UP") && said.contains("mtu 1400"), "{output:?}");
        assert!(said.contains("inet 10.1.2.3/24") && said.contains("inet6 fd00::5/64"), "{output:?}");
        assert!(said.contains("can't find device 'one'"), "{output:?}");
        // It ended with the container's network, and its other end with it.
        let gone = wharf_testkit::wait_for(std::time::Duration::from_secs(30), || {
            !node.interfaces().unwrap().contains("one") && node.interfaces().unwrap().len() == 1
        });
        assert!(gone, "{:?}", node.interfaces());
    }
}

#[test]
fn an_interface_that_is_not_there_or_whose_name_is_taken_fails_the_creation() {
    let Some(node) = need(NetNs::new()) else { return };
    if !pair(&node, &[]) {
        return;
    }
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    for (devices, told) in [
        (json!({ "nowhere": {} }), "linux.netDevices[nowhere]: look for it: No such device"),
        (
            json!({ "one": { "name": "lo" } }),
            "linux.netDevices[one]: an interface called lo is in the container's network already",
        ),
        (json!({ "one": { "name": "a/b" } }), "\"a/b\" is no interface's name"),
    ] {
        spec["linux"]["netDevices"] = devices;
        let error = node.run(|| sandbox.create(&spec, pipes().0).map(drop).unwrap_err().to_string()).unwrap();
        assert!(error.contains(told), "{told}: {error}");
    }
    assert!(node.interfaces().unwrap().contains("one"), "it stays where it was");
}
