use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::{
    node::Node,
    pods::{ready, sleeper, spec},
};

pub fn volumes_and_users(node: &mut Node) -> Result<()> {
    let host = node.scratch().join("host");
    fs::create_dir_all(&host).with_context(|| format!("make {}", host.display()))?;
    fs::write(host.join("given"), "from the host\n").context("write into the host's folder")?;
    let mut main = sleeper("main");
    main["env"] = json!([
        { "name": "PLAIN", "value": "a b" },
        { "name": "NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
    ]);
    main["volumeMounts"] = json!([
        { "name": "host", "mountPath": "/host", "readOnly": true },
        { "name": "empty", "mountPath": "/empty" },
        { "name": "memory", "mountPath": "/memory", "subPath": "part" },
        { "name": "info", "mountPath": "/info" },
    ]);
    main["securityContext"] = json!({
        "runAsUser": 1234, "runAsGroup": 2345, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
    });
    let mut pod = spec(vec![main]);
    pod["securityContext"] = json!({ "fsGroup": 3456, "supplementalGroups": [4567] });
    pod["volumes"] = json!([
        { "name": "host", "hostPath": { "path": host } },
        { "name": "empty", "emptyDir": {} },
        { "name": "memory", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } },
        { "name": "info", "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
    ]);
    node.add("volumes", pod)?;
    node.wait("volumes", "ready", |pod| ready(pod, "main"))?;
    let client = node.client()?;
    let run = |script: &str| client.exec("volumes", "main", &["sh", "-c", script], None);
    let said = |script: &str| run(script).map(|out| out.stdout.trim().to_owned());
    ensure!(said("cat /host/given")? == "from the host", "the host's file cannot be read");
    for (what, script) in [("a read-only volume", "echo x >/host/new"), ("the root", "echo x >/new")] {
        let out = run(script)?;
        ensure!(out.stderr.contains("Read-only file system"), "{what} can be written: {out:?}");
    }
    ensure!(said("echo x >/empty/f && echo x >/memory/f && cat /empty/f /memory/f")? == "x\nx", "no room to write");
    ensure!(said("stat -c %g /empty/f")? == "3456", "fsGroup: {}", said("stat -c %g /empty/f")?);
    ensure!(said("cat /info/labels")? == "app=\"volumes\"", "labels: {}", said("cat /info/labels")?);
    ensure!(said("echo $PLAIN $NAME")?.starts_with("a b volumes-"), "env: {}", said("env")?);
    ensure!(said("id -u; id -g")? == "1234\n2345", "id: {}", said("id")?);
    let groups = said("id -G")?;
    ensure!(["3456", "4567"].iter().all(|g| groups.split(' ').any(|x| x == *g)), "groups: {groups}");
    let status = said("grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status")?;
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        ensure!(status.lines().any(|l| l == line), "{line:?} is not in {status:?}");
    }
    node.remove("volumes")
}
