use serde_json::{Value, json};

use crate::support::{DEFAULT_CAPABILITIES, Sandbox};

const DEFAULT_BITS: &str = "00000000a80425fb";
const NONE: &str = "0000000000000000";

/// The five sets and no_new_privs of a process with this user and these capabilities.
fn sets(user: Value, capabilities: Value, no_new_privileges: bool) -> Vec<String> {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["grep", "-E", "^Cap|^NoNew", "/proc/self/status"]);
    spec["process"]["user"] = user;
    spec["process"]["capabilities"] = capabilities;
    spec["process"]["noNewPrivileges"] = json!(no_new_privileges);
    let status = sandbox.run(&spec).ok();
    status.lines().map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect()
}

#[test]
fn capabilities_are_what_the_specification_says() {
    let root = json!({ "uid": 0, "gid": 0 });
    let user = json!({ "uid": 1001, "gid": 1001 });
    let all = DEFAULT_CAPABILITIES;
    let usual = json!({ "bounding": all, "effective": all, "permitted": all });
    let bind = ["CAP_NET_BIND_SERVICE"];
    let ambient = json!({
        "bounding": all, "effective": bind, "permitted": bind, "inheritable": bind, "ambient": bind,
    });
    // Inheritable, permitted, effective, bounding, ambient, no_new_privs.
    for (user, capabilities, no_new_privileges, golden) in [
        (&root, usual.clone(), true, [NONE, DEFAULT_BITS, DEFAULT_BITS, DEFAULT_BITS, NONE, "1"]),
        (&user, usual.clone(), false, [NONE, NONE, NONE, DEFAULT_BITS, NONE, "0"]),
        (&root, json!(null), true, [NONE, NONE, NONE, NONE, NONE, "1"]),
        (&root, json!({}), false, [NONE, NONE, NONE, NONE, NONE, "0"]),
        (
            &user,
            ambient,
            true,
            ["0000000000000400", "0000000000000400", "0000000000000400", DEFAULT_BITS, "0000000000000400", "1"],
        ),
        (
            &root,
            json!({ "bounding": bind, "effective": bind, "permitted": bind }),
            true,
            [NONE, "0000000000000400", "0000000000000400", "0000000000000400", NONE, "1"],
        ),
    ] {
        assert_eq!(sets(user.clone(), capabilities.clone(), no_new_privileges), golden, "{user} {capabilities}");
    }
}

#[test]
fn contradictions_are_refused_and_what_the_node_lacks_is_told() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    spec["process"]["capabilities"] = json!({ "bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"] });
    assert!(sandbox.refusal(&spec).to_string().contains("CAP_CHOWN effective, but not permitted"));
    spec["process"]["capabilities"] = json!({ "inheritable": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"] });
    assert!(sandbox.refusal(&spec).to_string().contains("CAP_CHOWN inheritable, but not bounding"));

    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ours = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    if u64::from_str_radix(ours, 16).unwrap() & 1 << 24 == 0 {
        let list = ["CAP_SYS_RESOURCE", "CAP_CHOWN"];
        spec["process"]["capabilities"] = json!({ "bounding": list, "effective": list, "permitted": list });
        let (stdio, pipes) = crate::support::pipes();
        let container = sandbox.create(&spec, stdio).unwrap();
        assert_eq!(container.warnings(), ["capabilities CAP_SYS_RESOURCE are not this node's to give"]);
        container.start().unwrap();
        assert_eq!(pipes.wait(container.pidfd()).code, 0);
    }
}

fn id(user: Value) -> String {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sh", "-c", "echo $(id -u):$(id -g) $(id -G) $HOME"]);
    spec["process"]["user"] = user;
    sandbox.run(&spec).ok()
}

#[test]
fn users_and_groups() {
    assert_eq!(id(json!({ "uid": 0, "gid": 0 })), "0:0 0 /root");
    assert_eq!(id(json!({ "uid": 7, "gid": 8, "additionalGids": [9, 10] })), "7:8 8 9 10 /");
    assert_eq!(id(json!({ "uid": 0, "gid": 0, "username": "dev" })), "1001:1001 1001 29 /home/dev");
    assert_eq!(
        id(json!({ "uid": 0, "gid": 0, "username": "dev:audio", "additionalGids": [5] })),
        "1001:29 29 5 /home/dev"
    );
    assert_eq!(id(json!({ "uid": 0, "gid": 0, "username": "4242:4243" })), "4242:4243 4243 /");
}

#[test]
fn a_user_that_is_not_there_is_refused() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    for (name, text) in [
        ("foo", "unable to find user foo: no matching entries in passwd file"),
        ("dev:foo", "unable to find group foo: no matching entries in group file"),
        ("4294967296", "it must be from 0 to"),
        ("-1", "it must be from 0 to"),
    ] {
        spec["process"]["user"]["username"] = json!(name);
        let error = sandbox.refusal(&spec).to_string();
        assert!(error.starts_with("container test: ") && error.contains(text), "{name}: {error}");
    }
}

#[test]
fn a_user_can_open_its_own_output_again() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sh", "-c", "echo again > /dev/stdout; echo err > /proc/self/fd/2"]);
    spec["process"]["user"] = json!({ "uid": 1001, "gid": 1001 });
    let output = sandbox.run(&spec);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("again\n", "err\n"));
}

#[test]
fn limits_are_set_and_clamped_with_a_word() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"]);
    spec["process"]["rlimits"] = json!([
        { "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 },
        { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
    ]);
    assert_eq!(sandbox.run(&spec).ok(), "100\n200\n0");
    spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 4, "hard": 4 }]);
    assert_eq!(sandbox.run(&spec).ok().lines().next(), Some("4"), "what is ours does not count");

    spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 300, "hard": 200 }]);
    assert!(sandbox.refusal(&spec).to_string().contains("soft limit 300 is above hard limit 200"));

    let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap();
    spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 50, "hard": hard + 1 }]);
    let (stdio, pipes) = crate::support::pipes();
    let sandbox = Sandbox::new();
    let container = sandbox.create(&spec, stdio).unwrap();
    container.start().unwrap();
    let got = pipes.wait(container.pidfd()).ok();
    if got.lines().nth(1) == Some(&hard.to_string()) {
        assert_eq!(container.warnings().len(), 1, "{:?}", container.warnings());
        assert!(container.warnings()[0].starts_with("rlimit RLIMIT_NOFILE: lowered to the hard limit"));
    } else {
        assert_eq!(got.lines().nth(1), Some(&*(hard + 1).to_string()), "with CAP_SYS_RESOURCE it is raised");
    }
}

#[test]
fn the_oom_score_is_set_and_clamped_with_a_word() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["cat", "/proc/self/oom_score_adj"]);
    spec["process"]["oomScoreAdj"] = json!(500);
    assert_eq!(sandbox.run(&spec).ok(), "500");

    spec["process"]["oomScoreAdj"] = json!(-998);
    let sandbox = Sandbox::new();
    let (stdio, pipes) = crate::support::pipes();
    let container = sandbox.create(&spec, stdio).unwrap();
    container.start().unwrap();
    let got = pipes.wait(container.pidfd()).ok();
    if got != "-998" {
        assert_eq!(got, "0");
        assert!(container.warnings()[0].starts_with("oom_score_adj -998: 0 instead"), "{:?}", container.warnings());
    }
}
