//! Pods on a bridge of Debian's network plugins, in a network of the test's own.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use wharf_e2e::{Cni, Node, Pod};
use wharf_testkit::wait_for;

const DEADLINE: Duration = Duration::from_secs(60);

/// Serves its host name on port 80.
const SERVER: &str = "mkdir /www; hostname > /www/name; exec httpd -f -p 80 -h /www";

/// The addresses of a pod, as its status tells.
fn addresses(node: &Node, pod: &Pod) -> Vec<String> {
    let network = node.json(&["inspectp", &pod.id])["status"]["network"].clone();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let others = network["additionalIps"].as_array().cloned().unwrap_or_default();
    let all = std::iter::once(word(&network["ip"])).chain(others.iter().map(|other| word(&other["ip"])));
    all.filter(|address| !address.is_empty()).collect()
}

/// What a server in a pod answers to somebody on the node.
fn ask(cni: &Cni, address: &str, port: u16) -> Option<String> {
    let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
    let asked = cni.network.run(|| -> std::io::Result<String> {
        let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        connection.write_all(b"GET /name HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = asked.unwrap().ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.trim().to_owned())
}

/// Waits until that is this name.
fn answers(cni: &Cni, address: &str, port: u16, name: &str) {
    let mut answer = None;
    let there = wait_for(DEADLINE, || {
        answer = ask(cni, address, port);
        answer.as_deref() == Some(name)
    });
    assert!(there, "{address} port {port}: {answer:?}");
}

#[test]
fn pods_have_addresses_of_both_families_and_reach_each_other() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let Some(mut node) = cni.node("") else { return };
    let (one, two) = (node.pod("one"), node.pod_with("two", |c| c["annotations"] = json!({ "team": "red" })));
    node.run(&one, "server", SERVER);
    let client = node.run(&two, "client", "exec sleep 1000");
    let found = addresses(&node, &one);
    assert!(found.len() == 2 && found[0].starts_with("10.231.0.") && found[1].starts_with("fd31::"), "{found:?}");
    for address in &found {
        answers(&cni, address, 80, "one");
        let asks = format!("printf 'GET /name HTTP/1.0\\r\\n\\r\\n' | nc -w 20 {address} 80 | tail -n 1");
        assert_eq!(node.exec(&client, &asks), "one");
    }
    assert_eq!(node.exec(&client, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort"), "eth0\nlo");
    // What people enter a pod's network by.
    let info = node.json(&["inspectp", &two.id])["info"].clone();
    let seen = std::fs::read_link(format!("/proc/{}/ns/net", info["pid"])).unwrap();
    assert_eq!(seen.to_string_lossy(), node.exec(&client, "readlink /proc/self/ns/net"), "{info:#}");
    let pinned = format!("/run/netns/wharf-{}", two.id);
    assert_eq!(info["runtimeSpec"]["linux"]["namespaces"], json!([{ "type": "network", "path": pinned }]));
    let result = &info["cniResult"]["Interfaces"]["eth0"];
    assert_eq!(
        (&result["Sandbox"], &result["IPConfigs"][0]["IP"]),
        (&json!(pinned), &json!(addresses(&node, &two)[0]))
    );
    assert_eq!(info["netNamespaceClosed"], false);
    let hosts = node.exec(&client, "cat /etc/hosts");
    for address in addresses(&node, &two) {
        assert!(hosts.lines().any(|line| line == format!("{address}\ttwo")), "{hosts}");
    }
    let args = cni.asked().into_iter().find(|asked| asked.starts_with("ADD") && asked.contains(&two.id)).unwrap();
    for told in ["K8S_POD_NAME=two", "K8S_POD_NAMESPACE=tests", "K8S_POD_UID=uid-of-two", "IgnoreUnknown=1"] {
        assert!(args.contains(told), "{told}: {args}");
    }
    assert!(args.contains(&format!("/run/netns/wharf-{}", two.id)), "{args}");
    assert!(args.contains(r#""io.kubernetes.cri.pod-annotations":{"team":"red"}"#), "{args}");

    // The next daemon knows the addresses, and lets them go.
    node.daemon.kill().unwrap();
    node.daemon.launch().unwrap();
    assert_eq!(addresses(&node, &one), found);
    node.ok(&["stopp", &one.id]);
    assert!(addresses(&node, &one).is_empty());
    node.ok(&["stopp", &one.id]);
    assert!(!cni.addresses().iter().any(|kept| found.contains(kept)), "{:?}", cni.addresses());
    let checked = || cni.asked().iter().any(|asked| asked.starts_with("CHECK") && asked.contains(&two.id));
    assert!(wait_for(DEADLINE, checked), "the new daemon looks whether the pod's network is whole: {:?}", cni.asked());
    cni.finish(node);
}

#[test]
fn ports_of_the_node_lead_into_a_pod_as_long_as_it_is_there() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let Some(node) = cni.node("") else { return };
    let pod = node.pod_with("web", |c| {
        c["port_mappings"] = json!([{ "host_port": 18080, "container_port": 80, "protocol": 0 }]);
        c["annotations"] = json!({ "kubernetes.io/ingress-bandwidth": "10M" });
        c["dns_config"] = json!({ "servers": ["192.0.2.53"] });
    });
    node.run(&pod, "server", SERVER);
    answers(&cni, "10.231.0.1", 18080, "web");
    answers(&cni, "127.0.0.1", 18080, "web");
    assert!(cni.translations().contains("--dport 18080"), "{}", cni.translations());
    let asked = cni.asked().join("\n");
    for told in [r#""hostPort":18080"#, r#""ingressRate":10000000"#, r#""servers":["192.0.2.53"]"#] {
        assert!(asked.contains(told), "{told}: {asked}");
    }
    node.ok(&["stopp", &pod.id]);
    assert_eq!(ask(&cni, "10.231.0.1", 18080), None);
    assert!(!cni.translations().contains("--dport 18080"), "{}", cni.translations());
    cni.finish(node);
}

#[test]
fn a_port_of_a_pod_is_forwarded_from_inside_of_its_network() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let Some(node) = cni.node("") else { return };
    let pod = node.pod("ports");
    let server = node.run(&pod, "server", SERVER);
    // A connection that is refused ends all of a client's forward.
    assert!(wait_for(DEADLINE, || node.exec(&server, "wget -qO- http://127.0.0.1/name; true") == "ports"));
    let mut command: Command = node.crictl.command(&["port-forward", &pod.id, "18081:80"]);
    // What it says is wanted where this fails.
    command.stdout(Stdio::null());
    let mut forward = cni.network.run(|| command.spawn()).unwrap().unwrap();
    answers(&cni, "127.0.0.1", 18081, "ports");
    forward.kill().unwrap();
    forward.wait().unwrap();
    cni.finish(node);
}

#[test]
fn a_pod_can_be_on_several_networks() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let mut second = cni.bridge_plugin("br1", &["10.231.9.0/24"]);
    second["cniVersion"] = "0.4.0".into();
    second["name"] = "second".into();
    second["ipam"]["routes"] = json!([]);
    cni.configure("20-second.conf", &second);
    let Some(node) = cni.node("max_conf = 0") else { return };
    let pod = node.pod("many");
    let id = node.run(&pod, "main", "exec sleep 1000");
    assert_eq!(node.exec(&id, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort"), "eth0\neth1\nlo");
    assert!(node.exec(&id, "ip addr show eth1").contains("10.231.9."));
    assert!(addresses(&node, &pod).iter().all(|address| !address.starts_with("10.231.9.")), "eth0 is the pod's");
    cni.finish(node);
}

#[test]
fn a_network_that_comes_later_makes_the_node_ready() {
    let Some(cni) = Cni::start() else { return };
    let Some(node) = cni.node("") else { return };
    let condition = || {
        let info = node.json(&["info"]);
        let conditions = info["status"]["conditions"].as_array().unwrap().clone();
        conditions.into_iter().find(|condition| condition["type"] == "NetworkReady").unwrap()
    };
    let before = condition();
    assert_eq!((&before["status"], &before["reason"]), (&json!(false), &json!("NetworkPluginNotReady")), "{before:#}");
    assert!(before["message"].as_str().unwrap().contains("no network configuration in"), "{before:#}");
    let config = node.pod_config("early", |_| {});
    let error = node.fails(&["runp", &config]);
    assert!(error.contains("cni plugin not initialized: no network configuration in"), "{error}");
    assert_eq!(node.ok(&["pods", "-q"]), "");
    let host = node.pod_with("host", |c| {
        c["linux"] = json!({ "security_context": { "namespace_options": { "network": 2 } } });
    });
    node.run(&host, "main", "exec sleep 1000");
    let info = || String::from_utf8(node.daemon.wharf(&["info"]).output().unwrap().stdout).unwrap();
    assert!(info().contains("not ready: cni plugin not initialized"), "{}", info());

    cni.configure("10-pods.conflist", &cni.bridge());
    assert!(wait_for(DEADLINE, || condition()["status"] == true), "{:#}", condition());
    assert!(info().contains("pods (CNI 1.0.0: bridge portmap probe"), "{}", info());
    node.ok(&["runp", &config]);
    cni.finish(node);
}

#[test]
fn a_plugin_that_hangs_is_named_and_the_retry_succeeds() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let Some(node) = cni.node("plugin_timeout = 3") else { return };
    fs::write(cni.order("hang-ADD"), "").unwrap();
    let config = node.pod_config("slow", |_| {});
    let error = node.fails(&["runp", &config]);
    assert!(error.contains("network pods: plugin probe: ADD: it was not done within 3s"), "{error}");
    assert_eq!(node.ok(&["pods", "-q"]), "", "what was begun is undone");
    assert!(cni.addresses().is_empty(), "{:?}", cni.addresses());
    fs::remove_file(cni.order("hang-ADD")).unwrap();
    let pod = node.ok(&["runp", &config]);

    fs::write(cni.order("hang-DEL"), "").unwrap();
    let error = node.fails(&["stopp", &pod]);
    assert!(error.contains("plugin probe: DEL: it was not done within 3s"), "{error}");
    fs::remove_file(cni.order("hang-DEL")).unwrap();
    node.ok(&["stopp", &pod]);
    cni.finish(node);
}

#[test]
fn a_network_that_cannot_be_freed_keeps_the_pod_until_it_can() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let Some(node) = cni.node("") else { return };
    let pod = node.pod("held");
    fs::write(cni.order("fail-DEL"), "").unwrap();
    for arguments in [vec!["stopp", &pod.id], vec!["rmp", "-f", &pod.id]] {
        let error = node.fails(&arguments);
        assert!(error.contains("network pods: plugin probe: DEL: the test lets this fail (CNI error 100)"), "{error}");
    }
    assert!(!cni.addresses().is_empty());
    // A pod that can be neither made nor undone is there to be removed, and another attempt can be made.
    fs::write(cni.order("fail-ADD"), "").unwrap();
    let config = node.pod_config("stuck", |_| {});
    let error = node.fails(&["runp", &config]);
    assert!(error.contains("plugin probe: ADD: the test lets this fail"), "{error}");
    let listed = node.json(&["pods", "--name", "stuck"]);
    assert_eq!(listed["items"][0]["state"], "SANDBOX_NOTREADY", "{listed:#}");
    for order in ["fail-ADD", "fail-DEL"] {
        fs::remove_file(cni.order(order)).unwrap();
    }
    node.pod_with("stuck", |c| c["metadata"]["attempt"] = 2.into());
    node.ok(&["stopp", &pod.id]);
    cni.finish(node);
}

#[test]
fn a_daemon_killed_while_a_pod_is_attached_leaves_nothing() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let Some(mut node) = cni.node("plugin_timeout = 10") else { return };
    fs::write(cni.order("hang-ADD"), "").unwrap();
    let config = node.pod_config("cut", |_| {});
    let mut run = node.crictl.command(&["runp", &config]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let hanging = || fs::read_to_string(cni.order("hanging")).ok()?.trim().parse::<u32>().ok();
    assert!(wait_for(DEADLINE, || hanging().is_some()), "the last plugin is never reached");
    assert_eq!(cni.addresses().len(), 2, "the plugins before it are done");
    node.daemon.kill().unwrap();
    run.wait().unwrap();
    let plugin = hanging().unwrap();
    assert!(Path::new(&format!("/proc/{plugin}")).exists(), "a plugin goes on without its daemon");
    fs::remove_file(cni.order("hang-ADD")).unwrap();
    node.daemon.launch().unwrap();
    assert!(wait_for(DEADLINE, || cni.addresses().is_empty()), "{:?}", cni.addresses());
    let gone = || fs::read_to_string(format!("/proc/{plugin}/stat")).map_or(true, |stat| stat.contains(") Z "));
    assert!(gone(), "the plugin of the killed daemon goes on");
    node.ok(&["runp", &config]);

    // Killed in the middle of a stop: the next one ends it.
    let pod = node.ok(&["pods", "-q"]);
    fs::remove_file(cni.order("hanging")).unwrap();
    fs::write(cni.order("hang-DEL"), "").unwrap();
    let mut stop = node.crictl.command(&["stopp", &pod]);
    let mut stop = stop.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert!(wait_for(DEADLINE, || hanging().is_some()), "the stop never comes to the plugins");
    node.daemon.kill().unwrap();
    stop.wait().unwrap();
    fs::remove_file(cni.order("hang-DEL")).unwrap();
    node.daemon.launch().unwrap();
    node.ok(&["stopp", &pod]);
    assert!(cni.addresses().is_empty(), "{:?}", cni.addresses());
    cni.finish(node);
}

#[test]
fn a_pod_is_attached_once_and_let_go_once_whenever_the_daemon_is_killed() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let Some(mut node) = cni.node("") else { return };
    let config = node.pod_config("cut", |_| {});
    for verb in ["runp", "stopp", "rmp"] {
        // From before the daemon hears of it to after its end: the plugins of one pod take about 60 ms.
        for millis in [20, 45, 70, 95, 120, 170] {
            let mut pod = String::new();
            for step in ["runp", "stopp", "rmp"] {
                let on = if step == "runp" { config.clone() } else { pod.clone() };
                if step == verb {
                    let mut begun = node.crictl.command(&[step, &on]);
                    let mut begun = begun.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                    // The moment is what this test varies; nothing waits for it.
                    std::thread::sleep(Duration::from_millis(millis));
                    node.daemon.kill().unwrap();
                    begun.wait().unwrap();
                    node.daemon.launch().unwrap();
                }
                let ran = node.crictl.run(&[step, &on]).unwrap();
                // crictl looks before it stops or removes, and calls what is gone a failure.
                assert!(
                    ran.status.success() || step != "runp" && ran.stderr.contains("code = NotFound"),
                    "{step}: {ran:?}"
                );
                if step == "runp" {
                    pod = ran.stdout.trim().to_owned();
                    assert_eq!(cni.addresses().len(), 2, "{verb} cut after {millis} ms: {:?}", cni.addresses());
                }
            }
            assert!(cni.addresses().is_empty(), "{verb} cut after {millis} ms: {:?}", cni.addresses());
        }
    }
    cni.finish(node);
}

#[test]
fn after_a_reboot_a_pod_gives_its_addresses_back() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let Some(mut node) = cni.node("") else { return };
    let pod = node.pod("yesterday");
    node.run(&pod, "main", "exec sleep 1000");
    assert_eq!(cni.addresses().len(), 2);
    // With the machine's end go interfaces and rules; host-local's files are on the disk.
    cni.forget_translations();
    node.daemon.reboot().unwrap();
    assert!(wait_for(DEADLINE, || cni.addresses().is_empty()), "{:?}", cni.addresses());
    let deleted = cni.asked().into_iter().find(|asked| asked.starts_with("DEL")).unwrap();
    let words: Vec<_> = deleted.split(' ').collect();
    assert_eq!(words[..3], ["DEL", pod.id.as_str(), ""], "without a namespace, which is gone: {deleted}");
    assert_eq!(node.json(&["inspectp", &pod.id])["status"]["state"], "SANDBOX_NOTREADY");
    node.ok(&["rmp", &pod.id]);
    fs::remove_file(node.daemon.scratch().join("boot-id")).unwrap();
    cni.finish(node);
}

#[test]
fn a_pod_with_users_of_its_own_is_attached_like_any_other() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let Some(node) = cni.node("") else { return };
    let pod = node.pod_with("users", |c| {
        let users = json!([{ "host_id": 200_000, "container_id": 0, "length": 65_536 }]);
        let users = json!({ "mode": 0, "uids": users, "gids": users });
        c["linux"] = json!({ "security_context": { "namespace_options": { "pid": 1, "userns_options": users } } });
    });
    node.run(&pod, "server", SERVER);
    answers(&cni, &addresses(&node, &pod)[0], 80, "users");
    cni.finish(node);
}

#[test]
fn a_pod_whose_supervisor_was_killed_gives_its_addresses_back() {
    let Some(cni) = Cni::start() else { return };
    cni.configure("10-pods.conflist", &cni.bridge());
    let Some(node) = cni.node("") else { return };
    let pod = node.pod("orphan");
    assert_eq!(cni.addresses().len(), 2);
    let shim = fs::read_to_string(node.daemon.state().join("pods").join(&pod.id).join("shim.pid")).unwrap();
    let killed = Command::new("kill").args(["-9", shim.trim()]).status().unwrap();
    assert!(killed.success());
    assert!(wait_for(DEADLINE, || cni.addresses().is_empty()), "{:?}", cni.addresses());
    node.ok(&["rmp", "-f", &pod.id]);
    cni.finish(node);
}
