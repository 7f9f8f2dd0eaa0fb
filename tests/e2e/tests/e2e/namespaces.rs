use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use wharf_e2e::Node;
use wharf_testkit::wait_for;

fn namespace(pid: i64, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string()
}

fn own(kind: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string()
}

#[test]
fn a_private_network_has_loopback_only_and_it_is_up() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("private");
    let id = node.run(&pod, "main", "exec sleep 1000");
    let devices = node.exec(&id, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '");
    assert_eq!(devices, "lo");
    assert_eq!(node.exec(&id, "cat /sys/class/net/lo/flags"), "0x9", "up and loopback");
    let pid = node.pid(&id);
    for kind in ["net", "ipc", "uts", "pid", "mnt", "cgroup"] {
        assert_ne!(namespace(pid, kind), own(kind), "{kind}");
    }
    let pinned = format!("/run/netns/wharf-{}", pod.id);
    let inode = fs::metadata(&pinned).unwrap().ino();
    assert_eq!(namespace(pid, "net"), format!("net:[{inode}]"), "the pinned namespace is the container's");
    node.ok(&["rmp", "-f", &pod.id]);
    assert!(!Path::new(&pinned).exists());
    node.finish();
}

#[test]
fn containers_of_a_pod_share_network_ipc_and_name_but_not_processes() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("shared");
    let (one, two) = (node.run(&pod, "one", "exec sleep 1000"), node.run(&pod, "two", "exec sleep 1000"));
    let (one, two) = (node.pid(&one), node.pid(&two));
    for kind in ["net", "ipc", "uts"] {
        assert_eq!(namespace(one, kind), namespace(two, kind), "{kind}");
    }
    for kind in ["pid", "mnt"] {
        assert_ne!(namespace(one, kind), namespace(two, kind), "{kind}");
    }
    node.finish();
}

#[test]
fn containers_of_a_pod_share_memory_files() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("shm");
    let (one, two) = (node.run(&pod, "one", "exec sleep 1000"), node.run(&pod, "two", "exec sleep 1000"));
    node.exec(&one, "echo from-one > /dev/shm/x");
    assert_eq!(node.exec(&two, "cat /dev/shm/x"), "from-one");
    node.finish();
}

#[test]
fn a_pod_on_the_hosts_network_is_on_it() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod_with("host", |c| {
        c["linux"] = json!({ "security_context": { "namespace_options": { "network": 2 } } });
    });
    let id = node.run(&pod, "main", "exec sleep 1000");
    assert_eq!(namespace(node.pid(&id), "net"), own("net"));
    assert!(!Path::new(&format!("/run/netns/wharf-{}", pod.id)).exists());
    node.finish();
}

#[test]
fn a_container_sees_its_own_processes_with_itself_first() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("pids");
    let id = node.run(&pod, "main", "exec sleep 1234");
    assert_eq!(node.exec(&id, "tr '\\0' ' ' < /proc/1/cmdline"), "sleep 1234 ");
    assert!(node.exec(&id, "ls -d /proc/[0-9]* | wc -l").parse::<u32>().unwrap() <= 4);
    node.finish();
}

#[test]
fn a_container_may_have_its_own_processes_in_a_pod_that_shares_them() {
    let Some(node) = Node::start() else { return };
    // What a client gets that names another of the pod's namespaces alone: POD is 0.
    let pod = node.pod_with("mixed", |c| {
        c["linux"] = json!({ "security_context": { "namespace_options": { "network": 2, "pid": 0 } } });
    });
    let mode = |mode: i32| {
        move |c: &mut serde_json::Value| {
            c["linux"] = json!({ "security_context": { "namespace_options": { "network": 2, "pid": mode } } });
        }
    };
    let [one, two] = ["one", "two"].map(|name| node.pid(&node.run_with(&pod, name, "exec sleep 1000", mode(0))));
    let alone = node.run_with(&pod, "alone", "exec sleep 1234", mode(1));
    assert_eq!(namespace(one, "pid"), namespace(two, "pid"));
    assert_ne!(namespace(one, "pid"), namespace(node.pid(&alone), "pid"));
    assert_eq!(namespace(one, "ipc"), namespace(node.pid(&alone), "ipc"));
    assert_eq!(node.exec(&alone, "tr '\\0' ' ' < /proc/1/cmdline"), "sleep 1234 ");
    node.finish();
}

#[test]
fn a_pod_whose_first_process_is_killed_is_not_ready_and_is_made_anew() {
    let Some(node) = Node::start() else { return };
    let shared = json!({ "security_context": { "namespace_options": { "pid": 0 } } });
    let pod = node.pod_with("killed", |pod| pod["linux"] = shared.clone());
    let id = node.run(&pod, "main", "exec sleep 1000");
    let inside = namespace(node.pid(&id), "pid");
    let first = wharf_testkit::processes().into_iter().find(|process| {
        let pid = i64::from(process.pid);
        process.command.starts_with("wharf-init")
            && fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|link| link.display().to_string() == inside)
    });
    kill(Pid::from_raw(first.unwrap().pid), Signal::SIGKILL).unwrap();
    node.wait_state(&id, "CONTAINER_EXITED");
    let state = || node.json(&["inspectp", &pod.id])["status"]["state"].clone();
    assert!(wait_for(Duration::from_secs(30), || state() == "SANDBOX_NOTREADY"), "{}", state());
    // As a kubelet does: the same pod once more.
    let config = node.pod_config("killed", |pod| {
        pod["linux"] = shared;
        pod["metadata"]["attempt"] = json!(2);
    });
    let again = node.ok(&["runp", &config]);
    for pod in [&pod.id, &again] {
        node.ok(&["rmp", "-f", pod]);
    }
    node.finish();
}

#[test]
fn names_and_nameservers_of_the_pod_are_in_its_containers() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod_with("names", |c| {
        c["dns_config"] = json!({ "servers": ["192.0.2.53"], "searches": ["example.test"], "options": ["ndots:2"] });
        c["linux"] = json!({ "sysctls": { "net.ipv4.ip_unprivileged_port_start": "80" } });
    });
    let id = node.run(&pod, "main", "exec sleep 1000");
    let resolv = node.exec(&id, "cat /etc/resolv.conf");
    for line in ["nameserver 192.0.2.53", "search example.test", "options ndots:2"] {
        assert!(resolv.lines().any(|l| l == line), "{line}: {resolv}");
    }
    assert_eq!(node.exec(&id, "hostname; cat /etc/hostname"), "names\nnames");
    assert_eq!(node.exec(&id, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "80");
    node.finish();
}
