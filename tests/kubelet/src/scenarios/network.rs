use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use wharf_testkit::{request, wait_for};

use crate::{
    kubelet::HOSTNAME,
    node::Node,
    pods::{ready, shell, sleeper, spec},
};

const SOON: Duration = Duration::from_secs(30);
const PORT: u16 = 18080;

pub fn host_port(node: &mut Node) -> Result<()> {
    let mut web = shell("web", "mkdir /www; echo hello >/www/index.html; exec httpd -f -p 8080 -h /www");
    web["ports"] = json!([{ "containerPort": 8080, "hostPort": PORT }]);
    web["readinessProbe"] = json!({ "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 });
    node.add("web", spec(vec![web]))?;
    let pod = node.wait("web", "ready", |pod| ready(pod, "web"))?;
    let ip = pod["status"]["podIP"].as_str().context("it has no address")?.to_owned();
    let get = |address: &str| request("GET", address, "/", &[], b"").map(|answer| answer.body);
    ensure!(get(&format!("{ip}:8080"))? == b"hello\n", "the pod answers something else");
    let host = format!("127.0.0.1:{PORT}");
    ensure!(wait_for(SOON, || get(&host).is_ok_and(|body| body == b"hello\n")), "{host} does not lead to the pod");
    node.remove("web")?;
    node.no_pods()?;
    ensure!(get(&host).is_err(), "{host} still answers");
    Ok(())
}

pub fn names(node: &mut Node) -> Result<()> {
    let mut pod = spec(vec![sleeper("main")]);
    pod["hostname"] = json!("first");
    pod["hostAliases"] = json!([{ "ip": "10.1.2.3", "hostnames": ["alias.test"] }]);
    pod["dnsPolicy"] = json!("None");
    pod["dnsConfig"] = json!({
        "nameservers": ["10.9.8.7"], "searches": ["a.test", "b.test"], "options": [{ "name": "ndots", "value": "3" }],
    });
    node.add("names", pod)?;
    let pod = node.wait("names", "ready", |pod| ready(pod, "main"))?;
    let ip = pod["status"]["podIP"].as_str().context("it has no address")?.to_owned();
    let client = node.client()?;
    let run = |command: &[&str]| client.exec("names", "main", command, None).map(|out| out.stdout);
    ensure!(run(&["hostname"])? == "first\n", "hostname: {:?}", run(&["hostname"])?);
    let hosts = run(&["cat", "/etc/hosts"])?;
    ensure!(hosts.contains("alias.test") && hosts.contains(&ip), "/etc/hosts: {hosts}");
    let resolver = run(&["cat", "/etc/resolv.conf"])?;
    for line in ["nameserver 10.9.8.7", "search a.test b.test", "options ndots:3"] {
        ensure!(resolver.lines().any(|l| l == line), "/etc/resolv.conf has no {line:?}: {resolver}");
    }
    let addresses = run(&["ip", "addr"])?;
    ensure!(addresses.contains(&ip) && addresses.contains("127.0.0.1"), "ip addr of names-{HOSTNAME}: {addresses}");
    node.remove("names")
}
