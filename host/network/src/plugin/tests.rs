use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use serde_json::{Map, Value, json};
use wharf_error::{Kind, Result};

use super::*;
use crate::{request::Target, version::Version};

const PATIENT: Duration = Duration::from_secs(60);

/// A plugin that is a script of the shell's.
pub(crate) fn script(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

async fn ask(folder: &Path, deadline: Duration, verb: Verb) -> Result<Vec<u8>> {
    let plugin =
        json!({ "type": "fake", "capabilities": { "portMappings": true, "dns": false, "mac": true }, "own": 1 });
    let target = Target {
        pod: "pod-1".into(),
        netns: "/run/netns/x".into(),
        args: "A=1".into(),
        capabilities: json!({ "portMappings": [1], "dns": 2, "bandwidth": 3 }).as_object().unwrap().clone(),
    };
    let call = Call {
        verb,
        network: "net",
        version: Version::V1_0_0,
        plugin: plugin.as_object().unwrap(),
        target: Some((&target, "eth0")),
        extra: Map::from_iter([("prevResult".to_owned(), json!({}))]),
    };
    Plugins::new(vec![folder.join("none"), folder.to_owned()], deadline, "unit").call(&call).await
}

#[tokio::test]
async fn a_plugin_is_told_everything_in_its_environment_and_on_its_input() {
    let dir = tempfile::tempdir().unwrap();
    script(
        dir.path(),
        "fake",
        r#"printf '{"env":"%s","conf":%s}' "$(env | grep ^CNI_ | sort | tr '\n' ' ')" "$(cat)""#,
    );
    let told: Value = serde_json::from_slice(&ask(dir.path(), PATIENT, Verb::Add).await.unwrap()).unwrap();
    let folder = dir.path().display();
    assert_eq!(
        told["env"],
        format!(
            "CNI_ARGS=A=1 CNI_COMMAND=ADD CNI_CONTAINERID=pod-1 CNI_IFNAME=eth0 CNI_NETNS=/run/netns/x CNI_PATH={folder}/none:{folder} "
        )
    );
    assert_eq!(
        told["conf"],
        json!({
            "type": "fake", "own": 1, "name": "net", "cniVersion": "1.0.0", "prevResult": {},
            "capabilities": { "portMappings": true, "dns": false, "mac": true },
            "runtimeConfig": { "portMappings": [1] },
        })
    );
}

#[tokio::test]
async fn a_failure_names_network_plugin_and_verb() {
    let dir = tempfile::tempdir().unwrap();
    script(dir.path(), "fake", r#"echo '{"code":11,"msg":"no address is free"}'; exit 1"#);
    let error = ask(dir.path(), PATIENT, Verb::Del).await.unwrap_err();
    assert_eq!(error.to_string(), "network net: plugin fake: DEL: no address is free (CNI error 11)");
    assert_eq!(error.kind(), Kind::Unavailable);
    fs::remove_file(dir.path().join("fake")).unwrap();
    let error = ask(dir.path(), PATIENT, Verb::Add).await.unwrap_err();
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    assert!(error.to_string().contains("no program \"fake\" in"), "{error}");
}

#[tokio::test]
async fn a_plugin_that_hangs_is_killed_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    script(dir.path(), "fake", &format!("echo waiting >&2; sleep 600 & echo $! > {}; wait", pid.display()));
    let error = ask(dir.path(), Duration::from_secs(2), Verb::Add).await.unwrap_err();
    assert_eq!(error.kind(), Kind::DeadlineExceeded);
    let text = error.to_string();
    assert!(text.starts_with("network net: plugin fake: ADD: it was not done within 2s"), "{text}");
    assert!(text.contains("its last words: waiting"), "{text}");
    let child = fs::read_to_string(&pid).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    // An orphan is there until init has reaped it.
    let gone = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    for _ in 0..2000 {
        if gone() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the child goes on: {}", fs::read_to_string(&stat).unwrap_or_default());
}

#[tokio::test]
async fn what_is_printed_without_end_costs_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    script(dir.path(), "fake", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2");
    let error = ask(dir.path(), PATIENT, Verb::Add).await.unwrap_err();
    assert!(error.to_string().contains("it printed more than 1048576 bytes"), "{error}");
    script(dir.path(), "fake", "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo the reason >&2; exit 3");
    let error = ask(dir.path(), PATIENT, Verb::Add).await.unwrap_err().to_string();
    assert!(error.len() < 4096 && error.contains("exit status: 3"), "{error}");
}

#[tokio::test]
async fn somebody_whom_a_plugin_leaves_behind_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    script(dir.path(), "fake", &format!("sleep 600 & echo $! > {}; echo '{{\"ips\":[]}}'", pid.display()));
    let printed = ask(dir.path(), PATIENT, Verb::Add).await.unwrap();
    assert_eq!(printed, b"{\"ips\":[]}\n");
    let child = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(child).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
}
