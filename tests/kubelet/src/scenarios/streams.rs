use std::time::Duration;

use anyhow::{Result, ensure};
use wharf_testkit::wait_for;

use crate::{
    kubelet::HOSTNAME,
    node::Node,
    pods::{runs, shell, spec},
};

pub fn logs_and_exec(node: &mut Node) -> Result<()> {
    let script = "echo to out; echo to err >&2; trap 'exit 0' TERM; while :; do sleep 0.2; done";
    node.add("talks", spec(vec![shell("main", script)]))?;
    node.wait("talks", "running", |pod| runs(pod, "main"))?;
    let client = node.client()?;
    let path = format!("/containerLogs/default/talks-{HOSTNAME}/main");
    let mut log = String::new();
    let whole = wait_for(Duration::from_secs(20), || {
        log = client.fetch("GET", &path).unwrap_or_default();
        log.contains("to out\n") && log.contains("to err\n")
    });
    ensure!(whole, "the log is {log:?}");
    let tail = client.fetch("GET", &format!("{path}?tailLines=1&timestamps=true"))?;
    ensure!(tail.lines().count() == 1 && tail.starts_with("20"), "the last line with its time is {tail:?}");

    let output = client.exec("talks", "main", &["sh", "-c", "echo $((6*7)); echo oh >&2; exit 5"], None)?;
    ensure!(output.stdout == "42\n" && output.stderr == "oh\n", "exec: {output:?}");
    ensure!(output.status.contains("\"ExitCode\"") && output.status.contains("\"5\""), "its end: {}", output.status);
    let output = client.exec("talks", "main", &["wc", "-c"], Some("123456789"))?;
    ensure!(output.stdout.trim() == "9" && output.status.contains("Success"), "exec with input: {output:?}");
    let missing = client.exec("talks", "main", &["/no/such/command"], None)?;
    ensure!(missing.status.contains("Failure"), "a command that is not there: {missing:?}");
    let said = client.fetch("POST", &format!("/run/default/talks-{HOSTNAME}/main?cmd=echo%20run"))?;
    ensure!(said == "run\n", "run: {said:?}");
    node.remove("talks")
}
