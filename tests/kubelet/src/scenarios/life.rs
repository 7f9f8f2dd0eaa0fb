use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use wharf_testkit::wait_for;

use crate::{
    node::Node,
    pods::{container, ready, restarts, runs, shell, sleeper, spec},
};

pub fn runs_and_goes(node: &mut Node) -> Result<()> {
    node.add("plain", spec(vec![sleeper("main")]))?;
    let pod = node.wait("plain", "running", |pod| pod["status"]["phase"] == "Running" && ready(pod, "main"))?;
    let ip = pod["status"]["podIP"].as_str().context("it has no address")?;
    ensure!(ip.starts_with("10.") || node.daemon.is_none(), "address {ip} is not of the pod network");
    let id = container(&pod, "main")["containerID"].as_str().unwrap_or_default();
    ensure!(id.rsplit('/').next().is_some_and(|id| id.len() == 64), "container id {id:?} has not 64 digits");
    ensure!(container(&pod, "main")["imageID"].as_str().is_some_and(|id| id.contains("sha256:")), "no image id");
    node.remove("plain")
}

pub fn init_containers(node: &mut Node) -> Result<()> {
    let volume = json!([{ "name": "shared", "mountPath": "/shared" }]);
    let with = |name: &str, script: &str| {
        let mut container = shell(name, script);
        container["volumeMounts"] = volume.clone();
        container
    };
    let mut pod = spec(vec![with("main", "cat /shared/order; trap 'exit 0' TERM; while :; do sleep 0.2; done")]);
    pod["initContainers"] =
        json!([with("one", "sleep 1; echo one >>/shared/order"), with("two", "echo two >>/shared/order")]);
    pod["volumes"] = json!([{ "name": "shared", "emptyDir": {} }]);
    node.add("init", pod)?;
    let pod = node.wait("init", "running", |pod| runs(pod, "main"))?;
    for name in ["one", "two"] {
        ensure!(container(&pod, name)["state"]["terminated"]["exitCode"] == 0, "{name}: {}", container(&pod, name));
    }
    let mut log = String::new();
    let read = wait_for(std::time::Duration::from_secs(20), || {
        log = node
            .client()
            .and_then(|c| c.fetch("GET", &format!("/containerLogs/default/init-{}/main", crate::kubelet::HOSTNAME)))
            .unwrap_or_default();
        log == "one\ntwo\n"
    });
    ensure!(read, "the log is {log:?}");
    node.remove("init")
}

pub fn sidecar(node: &mut Node) -> Result<()> {
    let path = node.scratch().join("ends");
    fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
    let told = |name: &str, wait: &str| {
        let mut container =
            shell(name, &format!("trap '{wait}echo {name} >>/ends/order; exit 0' TERM; while :; do sleep 0.2; done"));
        container["volumeMounts"] = json!([{ "name": "ends", "mountPath": "/ends" }]);
        container
    };
    let mut pod = spec(vec![told("main", "sleep 1; ")]);
    let mut side = told("side", "");
    side["restartPolicy"] = json!("Always");
    pod["initContainers"] = json!([side]);
    pod["volumes"] = json!([{ "name": "ends", "hostPath": { "path": path } }]);
    pod["terminationGracePeriodSeconds"] = json!(15);
    node.add("sidecar", pod)?;
    node.wait("sidecar", "running", |pod| runs(pod, "main") && runs(pod, "side"))?;
    node.remove("sidecar")?;
    node.no_pods()?;
    let order = fs::read_to_string(path.join("order")).context("read what ended first")?;
    ensure!(order == "main\nside\n", "ended in this order: {order:?}");
    Ok(())
}

fn restarts_spec(script: &str, policy: &str) -> serde_json::Value {
    let mut pod = spec(vec![shell("main", script)]);
    pod["restartPolicy"] = json!(policy);
    pod
}

pub fn restarts_again(node: &mut Node) -> Result<()> {
    node.add("fails", restarts_spec("exit 3", "Always"))?;
    let pod = node.wait("fails", "restarted twice", |pod| restarts(pod, "main") >= 2)?;
    let last = &container(&pod, "main")["lastState"]["terminated"];
    let state = &container(&pod, "main")["state"]["terminated"];
    ensure!(last["exitCode"] == 3 || state["exitCode"] == 3, "the exit code is lost: {}", container(&pod, "main"));
    node.wait("fails", "backing off", |pod| {
        container(pod, "main")["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    })?;
    node.remove("fails")
}

pub fn succeeds(node: &mut Node) -> Result<()> {
    node.add("done", restarts_spec("echo done; exit 0", "OnFailure"))?;
    let pod = node.wait("done", "Succeeded", |pod| pod["status"]["phase"] == "Succeeded")?;
    let state = &container(&pod, "main")["state"]["terminated"];
    ensure!(state["reason"] == "Completed" && state["exitCode"] == 0, "it ended as {state}");
    node.remove("done")
}

pub fn probes(node: &mut Node) -> Result<()> {
    let mut main =
        shell("main", "sleep 2; touch /tmp/up; sleep 8; rm /tmp/up; trap 'exit 0' TERM; while :; do sleep 0.2; done");
    let look = json!({ "exec": { "command": ["cat", "/tmp/up"] }, "periodSeconds": 1, "failureThreshold": 30 });
    main["startupProbe"] = look.clone();
    main["readinessProbe"] = look;
    main["readinessProbe"]["failureThreshold"] = json!(1);
    main["livenessProbe"] =
        json!({ "exec": { "command": ["cat", "/tmp/up"] }, "periodSeconds": 1, "failureThreshold": 2 });
    let mut web = shell("web", "mkdir /www; echo ok >/www/index.html; exec httpd -f -p 8080 -h /www");
    web["readinessProbe"] = json!({ "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 });
    web["livenessProbe"] = json!({ "tcpSocket": { "port": 8080 }, "periodSeconds": 1, "failureThreshold": 5 });
    node.add("probes", spec(vec![main, web]))?;
    node.wait("probes", "ready", |pod| ready(pod, "main") && ready(pod, "web"))?;
    let pod = node.wait("probes", "restarted by its liveness probe", |pod| restarts(pod, "main") >= 1)?;
    ensure!(restarts(&pod, "web") == 0, "the container that answers was restarted");
    node.remove("probes")
}

pub fn graceful_end(node: &mut Node) -> Result<()> {
    let path = node.scratch().join("graceful");
    fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
    let mut main = shell(
        "main",
        "trap 'echo told >>/ends/what; sleep 1; echo ended >>/ends/what; exit 0' TERM; while :; do sleep 0.2; done",
    );
    main["volumeMounts"] = json!([{ "name": "ends", "mountPath": "/ends" }]);
    main["lifecycle"] = json!({
        "postStart": { "exec": { "command": ["sh", "-c", "echo started >>/ends/what"] } },
        "preStop": { "exec": { "command": ["sh", "-c", "echo hook >>/ends/what"] } },
    });
    let mut deaf = shell("deaf", "trap '' TERM; while :; do sleep 0.2; done");
    deaf["volumeMounts"] = main["volumeMounts"].clone();
    let mut pod = spec(vec![main, deaf]);
    pod["volumes"] = json!([{ "name": "ends", "hostPath": { "path": path } }]);
    pod["terminationGracePeriodSeconds"] = json!(6);
    node.add("graceful", pod)?;
    node.wait("graceful", "running", |pod| runs(pod, "main") && runs(pod, "deaf"))?;
    node.remove("graceful")?;
    node.no_pods()?;
    let what = fs::read_to_string(path.join("what")).context("read what happened")?;
    ensure!(what == "started\nhook\ntold\nended\n", "it happened in this order: {what:?}");
    Ok(())
}
