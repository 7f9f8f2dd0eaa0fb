//! What a container and an exec cost, step by step: `cargo run --release -p wharf-runtime --example latency`.
//!
//! The container is one of a pod: it joins network, IPC and UTS namespaces that are there.
//!
//! Needs root, and busybox at /bin/busybox.

#[path = "../tests/containers/support.rs"]
#[allow(clippy::expect_used, clippy::unwrap_used, dead_code, reason = "shared with the tests")]
mod support;

use std::time::{Duration, Instant};

use wharf_runtime::{PodNamespaces, PodNamespacesRequest, assemble_root, create_pod_namespaces};

use support::{Sandbox, pipes, process, reap};

const ROUNDS: usize = 200;

fn main() {
    let sandbox = Sandbox::new();
    let request = PodNamespacesRequest { net: true, ipc: true, uts: true, ..PodNamespacesRequest::default() };
    let (mut pods, mut assembled) = (Vec::new(), Vec::new());
    let mut pod = PodNamespaces::default();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        pod = match create_pod_namespaces(&request) {
            Ok(pod) => pod,
            Err(error) => return eprintln!("{error}"),
        };
        pods.push(begin.elapsed());
        let root = sandbox.root();
        let begin = Instant::now();
        if let Err(error) = assemble_root(&root) {
            return eprintln!("{error}");
        }
        assembled.push(begin.elapsed());
    }
    let spec = sandbox.spec(&["true"]);
    let (mut created, mut started, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (stdio, _pipes) = pipes();
        sandbox.root();
        let begin = Instant::now();
        let Ok(container) = sandbox.create_in(&spec, stdio, &pod, None) else {
            return eprintln!("cannot create a container");
        };
        created.push(begin.elapsed());
        if let Err(error) = container.start() {
            return eprintln!("{error}");
        }
        started.push(begin.elapsed());
        reap(container.pidfd());
        ended.push(begin.elapsed());
    }
    let sleeper = sandbox.sleeper();
    let (mut executed, mut exec_ended) = (Vec::new(), Vec::new());
    let exec = process(&["true"]);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let (process, _pipes) = match sleeper.start(&exec) {
            Ok(started) => started,
            Err(error) => return eprintln!("{error}"),
        };
        executed.push(begin.elapsed());
        reap(process.pidfd());
        exec_ended.push(begin.elapsed());
    }
    for (name, times) in [
        ("a pod's namespaces", pods),
        ("assemble_root, and its end", assembled),
        ("create (with assemble_root)", created),
        ("create + start", started),
        ("create + start + end of `true`, reaped", ended),
        ("exec", executed),
        ("exec + end of `true`, reaped", exec_ended),
    ] {
        print(name, times);
    }
}

fn print(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default().as_secs_f64() * 1e3;
    println!("{name:40} min {:6.2}  p50 {:6.2}  p90 {:6.2}  p99 {:6.2} ms", at(0), at(50), at(90), at(99));
}
