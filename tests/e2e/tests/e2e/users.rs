use serde_json::{Value, json};
use wharf_e2e::Node;

const ID: &str = "id -u; id -g; echo $(id -G | tr ' ' '\\n' | sort -n); pwd";

type Change = Box<dyn FnOnce(&mut Value)>;

fn context(value: Value) -> impl FnOnce(&mut Value) {
    move |config| config["linux"] = json!({ "security_context": value })
}

#[test]
fn the_user_of_the_image_and_of_the_request_are_resolved_in_the_container() {
    let Some(node) = Node::start() else { return };
    for tag in ["www-data", "numeric"] {
        node.ok(&["pull", &format!("images.test/user:{tag}")]);
    }
    let pod = node.pod("users");
    let as_image =
        |tag: &'static str| move |c: &mut Value| c["image"]["image"] = json!(format!("images.test/user:{tag}"));
    let cases: Vec<(&str, Change, &str)> = vec![
        ("root", Box::new(|_: &mut Value| {}), "0\n0\n0\n/"),
        // www-data is in the groups staff (50) and users (100) of the image's /etc/group.
        ("image-name", Box::new(as_image("www-data")), "33\n33\n33 50 100\n/var/www"),
        ("image-number", Box::new(as_image("numeric")), "1234\n5678\n5678\n/var/www"),
        ("number", Box::new(context(json!({ "run_as_user": { "value": 4321 } }))), "4321\n0\n0\n/"),
        ("name", Box::new(context(json!({ "run_as_username": "nobody" }))), "65534\n65534\n100 65534\n/"),
        (
            "groups",
            Box::new(context(
                json!({ "run_as_user": { "value": 1000 }, "run_as_group": { "value": 2000 }, "supplemental_groups": [3000, 4000] }),
            )),
            "1000\n2000\n2000 3000 4000\n/",
        ),
    ];
    for (name, change, expected) in cases {
        let (log, code) = node.outcome(&pod, name, ID, change);
        assert_eq!((log.trim(), code), (expected, 0), "{name}");
    }
    let (id, uid) = (node.run_with(&pod, "exec", "exec sleep 1000", as_image("www-data")), "33");
    assert_eq!(node.exec(&id, "id -u"), uid, "an exec is the same user");
    node.finish();
}

#[test]
fn a_user_that_the_image_does_not_know_is_named() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("nobody-knows");
    let config = node.container_config("main", "true", context(json!({ "run_as_username": "mallory" })));
    let created = node.crictl.run(&["create", &pod.id, &config, &pod.config]).unwrap();
    let said = if created.status.success() { node.fails(&["start", created.stdout.trim()]) } else { created.stderr };
    assert!(said.contains("mallory"), "{said}");
    node.finish();
}

#[test]
fn capabilities_and_no_new_privileges_are_as_asked() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("caps");
    let script = "grep -E '^(CapEff|CapBnd|CapPrm|CapInh|NoNewPrivs)' /proc/self/status | tr -d '\\t'";
    let line = |log: &str, key: &str| {
        let found =
            log.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':')).unwrap_or_else(|| panic!("{key}: {log}"));
        u64::from_str_radix(found.trim(), 16).unwrap()
    };
    let (log, _) = node.outcome(&pod, "default", script, |_| {});
    // chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap
    assert_eq!(line(&log, "CapEff"), 0xa804_25fb, "{log}");
    assert_eq!((line(&log, "CapBnd"), line(&log, "CapInh")), (0xa804_25fb, 0), "inheritable ones stay empty: {log}");
    assert_eq!(line(&log, "NoNewPrivs"), 0);

    let dropped = context(json!({ "capabilities": { "drop_capabilities": ["ALL"] }, "no_new_privs": true }));
    let (log, _) = node.outcome(&pod, "dropped", script, dropped);
    assert_eq!((line(&log, "CapEff"), line(&log, "CapBnd"), line(&log, "NoNewPrivs")), (0, 0, 1), "{log}");

    let changed =
        context(json!({ "capabilities": { "drop_capabilities": ["ALL"], "add_capabilities": ["NET_ADMIN", "KILL"] } }));
    let (log, _) = node.outcome(&pod, "changed", script, changed);
    assert_eq!(line(&log, "CapEff"), 1 << 12 | 1 << 5, "{log}");
    node.finish();
}

#[test]
fn with_strict_groups_the_image_gives_none_and_the_status_tells_who_it_is() {
    let Some(node) = Node::start() else { return };
    node.ok(&["pull", "images.test/user:www-data"]);
    let pod = node.pod("groups");
    let run = |name: &str, policy: u8| {
        node.run_with(&pod, name, &format!("{ID}; exec sleep 1000"), |config| {
            config["image"]["image"] = json!("images.test/user:www-data");
            config["linux"] = json!({ "security_context":
                { "supplemental_groups": [4000], "supplemental_groups_policy": policy } });
        })
    };
    // www-data is in the groups staff (50) and users (100) of the image's /etc/group.
    for (name, policy, groups, told) in [
        ("merge", 0, "33 50 100 4000", json!(["33", "50", "100", "4000"])),
        ("strict", 1, "33 4000", json!(["33", "4000"])),
    ] {
        let id = run(name, policy);
        let log = node.wait_log(&id, "/var/www");
        assert_eq!(log, format!("33\n33\n{groups}\n/var/www\n"), "{name}");
        assert_eq!(node.exec(&id, "id -G | tr ' ' '\\n' | sort -n | xargs"), groups, "{name}: an exec has the same");
        let user = node.status(&id)["user"]["linux"].clone();
        let mut own = user["supplementalGroups"].as_array().unwrap().clone();
        own.sort_by_key(|group| group.as_str().unwrap().parse::<u32>().unwrap());
        assert_eq!((user["uid"].clone(), user["gid"].clone()), (json!("33"), json!("33")), "{user}");
        assert_eq!(json!(own), told, "{name}");
    }
    node.finish();
}
