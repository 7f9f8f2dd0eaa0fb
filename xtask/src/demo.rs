use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use wharf_testkit::{Auth, Crictl, Daemon, DaemonOptions, Kind, Leaks, Registry, busybox, wait_for};

use crate::{
    build::binaries,
    progress::{duration, heading, loud_step, quote, say, step},
    tools,
};

const SCRIPT: &str = r#"echo "hello from $(hostname), pid $$"
echo "running on $(cat /proc/sys/kernel/osrelease)" >&2
i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo "line $i"; done
exec sleep 3600"#;
const EXEC: &str = r"id; echo processes: $(ls -d /proc/[0-9]* | wc -l); head -n 1 /proc/self/mountinfo";
const LAST_LINE: &str = "line 3";
const PULL: Duration = Duration::from_secs(600);
const LOG: Duration = Duration::from_secs(5);

/// From an image to a running container and back to nothing, on a private daemon.
pub fn run(image: Option<&str>) -> Result<()> {
    heading("What is needed");
    wharf_testkit::root()?;
    step("the Wasm target of plugins", tools::wasm_target)?;
    let crictl = step("crictl", tools::crictl)?;
    say(&format!("      {}", crictl.display()));
    heading("Build");
    loud_step("build wharf, its shim and its compiler", binaries)?;

    let begin = Instant::now();
    heading("A private daemon");
    let options = DaemonOptions { name: "demo".into(), ..DaemonOptions::default() };
    let mut daemon = step("start `wharf daemon`", || Daemon::start(&options))?;
    say(&format!("      root {}, socket {}", daemon.root().display(), daemon.socket().display()));
    let crictl = Crictl::new(&daemon.socket(), daemon.scratch())?;
    quote(&step("crictl version", || crictl.ok(&["version"]))?);
    let before = Leaks::watch(daemon.scope());
    let pods = daemon.scratch().join("pods");
    fs::create_dir(&pods).context("make a folder for the demo's files")?;

    let result = show(&daemon, &crictl, &pods, image);
    if result.is_err() {
        quote(&daemon.log_tail(30));
    }
    result?;

    heading("Nothing left");
    fs::remove_dir_all(&pods).context("remove the demo's own files")?;
    step("mounts, cgroups, processes, namespaces and files are as before", || before.check())?;
    step("stop the daemon", || {
        let status = daemon.stop()?;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(())
    })?;
    say(&format!("\n✓ from an empty folder to a running container and back in {}", duration(begin.elapsed())));
    Ok(())
}

fn show(daemon: &Daemon, crictl: &Crictl, files: &Path, named: Option<&str>) -> Result<()> {
    heading("An image");
    // Lives until the image is pulled.
    let mut _served = None;
    let image = match named {
        Some(name) => name.to_owned(),
        None => {
            let (registry, name) = step("make a small real image and serve it on loopback", serve)?;
            _served = Some(registry);
            name
        }
    };
    let ran = step(&format!("crictl pull {image}"), || crictl.ok_within(&["pull", &image], PULL))?;
    quote(&ran);
    quote(&crictl.ok(&["images"])?);

    heading("A pod and a container");
    let logs = files.join("logs");
    let pod_config = write(files, "pod.json", &pod(&logs))?;
    let pod = step("crictl runp", || crictl.ok(&["runp", &pod_config]))?;
    let (container, has_shell) = container(crictl, files, &pod, &pod_config, &image)?;
    quote(&crictl.ok(&["ps"])?);

    heading("Its log");
    let log = step("crictl logs", || read_log(crictl, &container, has_shell))?;
    quote(&log);
    if has_shell {
        heading("A command in it");
        let output = step("crictl exec -s", || crictl.ok(&["exec", "-s", &container, "sh", "-c", EXEC]))?;
        quote(&output);
    }

    heading("Removal");
    for arguments in [
        vec!["stop", "--timeout", "1", &container],
        vec!["rm", &container],
        vec!["stopp", &pod],
        vec!["rmp", &pod],
        vec!["rmi", &image],
    ] {
        let shown: Vec<_> = arguments.iter().map(|a| if a.len() == 64 { &a[..13] } else { a }).collect();
        step(&format!("crictl {}", shown.join(" ")), || crictl.ok(&arguments))?;
    }

    heading("What the snapshotter plugin was asked");
    table(daemon)
}

fn serve() -> Result<(Registry, String)> {
    let registry = Registry::start(Auth::Open)?;
    registry.add("demo/busybox", "latest", &busybox(Kind::OciIndex)?);
    let name = format!("{}/demo/busybox:latest", registry.address());
    Ok((registry, name))
}

// An image without a shell runs its own command.
fn container(crictl: &Crictl, files: &Path, pod: &str, pod_config: &str, image: &str) -> Result<(String, bool)> {
    let mut config = json!({
        "metadata": { "name": "hello" }, "image": { "image": image }, "log_path": "hello.log",
        "command": ["sh", "-c", SCRIPT],
    });
    for has_shell in [true, false] {
        let file = write(files, "container.json", &config)?;
        let id = step("crictl create", || crictl.ok(&["create", pod, &file, pod_config]))?;
        match step("crictl start", || crictl.ok(&["start", &id])) {
            Ok(_) => return Ok((id, has_shell)),
            Err(error) if has_shell => {
                quote(&format!("{error:#}"));
                say("      no shell in this image: run its own command instead");
                crictl.ok(&["rm", &id])?;
                config["command"] = Value::Null;
                config["metadata"]["attempt"] = 1.into();
            }
            Err(error) => return Err(error),
        }
    }
    bail!("no container was started")
}

fn read_log(crictl: &Crictl, container: &str, whole: bool) -> Result<String> {
    let mut log = Ok(String::new());
    wait_for(LOG, || {
        log = crictl.run(&["logs", container]).map(|ran| ran.stdout + &ran.stderr);
        log.as_ref().map_or(true, |text| text.contains(LAST_LINE))
    });
    let log = log?;
    ensure!(!whole || log.contains(LAST_LINE), "{LAST_LINE:?} is not in the log after {LOG:?}: {log}");
    Ok(log)
}

fn table(daemon: &Daemon) -> Result<()> {
    let out = daemon.wharf(&["plugin", "ls", "--json"]).output().context("start wharf plugin ls")?;
    ensure!(out.status.success(), "wharf plugin ls: {}", String::from_utf8_lossy(&out.stderr));
    let listed: Value = serde_json::from_slice(&out.stdout).context("wharf plugin ls --json")?;
    let calls = listed["calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(!calls.is_empty(), "no plugin was asked anything: {listed}");
    say(&format!(
        "      {:<12} {:<12} {:>6} {:>7} {:>10} {:>10} {:>10}",
        "plugin", "asked", "calls", "errors", "mean", "longest", "last"
    ));
    for call in calls {
        let text = |key: &str| call[key].as_str().unwrap_or("?").to_owned();
        let number = |key: &str| call[key].as_u64().unwrap_or_default();
        let time = |nanos: u64| duration(Duration::from_nanos(nanos));
        say(&format!(
            "      {:<12} {:<12} {:>6} {:>7} {:>10} {:>10} {:>10}",
            text("plugin"),
            text("function"),
            number("calls"),
            number("errors"),
            time(number("totalNanos") / number("calls").max(1)),
            time(number("maxNanos")),
            time(number("lastNanos")),
        ));
    }
    Ok(())
}

fn pod(logs: &Path) -> Value {
    json!({
        "metadata": { "name": "demo", "uid": "demo-uid", "namespace": "default", "attempt": 1 },
        "hostname": "demo", "log_directory": logs,
    })
}

fn write(dir: &Path, name: &str, value: &Value) -> Result<String> {
    let path = dir.join(name);
    fs::write(&path, value.to_string()).with_context(|| format!("write {}", path.display()))?;
    Ok(path.display().to_string())
}
