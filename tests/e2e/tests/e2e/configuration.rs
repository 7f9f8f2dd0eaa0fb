use std::{fs, process::Command};

use wharf_e2e::Node;
use wharf_testkit::{Daemon, DaemonOptions, need};

fn check(text: &str) -> Option<(bool, String)> {
    let wharf = need(Daemon::bin_dir())?.join("wharf");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    fs::write(&file, text).unwrap();
    let out = Command::new(wharf).args(["config", "check"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
    Some((out.status.success(), said.into_owned()))
}

#[test]
fn the_default_configuration_is_good() {
    let Some(bin) = need(Daemon::bin_dir()) else { return };
    let printed = Command::new(bin.join("wharf")).args(["config", "default"]).output().unwrap();
    assert!(printed.status.success());
    let (good, said) = check(&String::from_utf8(printed.stdout).unwrap()).unwrap();
    assert!(good, "{said}");
}

#[test]
fn the_merged_configuration_is_shown() {
    let Some(bin) = need(Daemon::bin_dir()) else { return };
    let show = |arguments: &[&std::path::Path]| {
        let out = Command::new(bin.join("wharf")).args(["config", "show"]).args(arguments).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    fs::write(&file, "state = \"/run/test\"\n[cri]\nmax_log_line = 100\n[plugins.x]\nconfig = { a = 1 }\n").unwrap();
    fs::write(dir.path().join("conf.d/10.toml"), "[cri]\nmax_log_line = 200\n[registry]\nresume_window = 0\n").unwrap();
    let shown: serde_json::Value = serde_json::from_str(&show(&[&file, "--json".as_ref()])).unwrap();
    assert_eq!(shown["cri"]["max_log_line"], 200, "what comes later wins");
    assert_eq!(shown["registry"]["resume_window"], 0);
    assert_eq!(shown["socket"], "/run/test/wharf.sock", "what follows from another key");
    assert_eq!(shown["containerd"]["socket"], "/run/test/containerd.sock");
    assert_eq!(shown["runtimes"]["native"]["type"], "native");
    assert_eq!(shown["plugins"]["x"]["config"]["a"], 1);
    assert_eq!(shown["root"], "/var/lib/wharf", "a default");
    let text = show(&[&file]);
    let (good, said) = check(&text).unwrap();
    assert!(good, "{said}");
    let again = dir.path().join("again/config.toml");
    fs::create_dir(again.parent().unwrap()).unwrap();
    fs::write(&again, &text).unwrap();
    assert_eq!(show(&[&again]), text, "it says all that it means");
    fs::write(&file, "rooot = 1").unwrap();
    let out = Command::new(bin.join("wharf")).args(["config", "show"]).arg(&file).output().unwrap();
    assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains("rooot"));
}

#[test]
fn an_unknown_key_is_an_error_that_names_key_and_line() {
    let Some((good, said)) = check("[cri]\nmax_log_line = 16384\nmax_log_lines = 1\n") else { return };
    assert!(!good && said.contains("max_log_lines") && said.contains("line 3"), "{said}");
    let (good, said) = check("[cri]\nmax_log_line = \"many\"\n").unwrap();
    assert!(!good && said.contains("line 2"), "{said}");
    let (good, said) = check("[cri\n").unwrap();
    assert!(!good && said.contains("line 1"), "{said}");
}

#[test]
fn a_daemon_does_not_start_with_a_configuration_it_does_not_understand() {
    let Some(node) = Node::empty() else { return };
    let config = node.daemon.scratch().join("test/bad.toml");
    fs::write(&config, "rooot = \"/x\"\n").unwrap();
    let out = Command::new(Daemon::bin_dir().unwrap().join("wharf"))
        .args(["daemon", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr) + String::from_utf8_lossy(&out.stdout);
    assert!(!out.status.success() && said.contains("rooot") && said.contains("line 1"), "{said}");
    node.finish();
}

#[test]
fn a_second_daemon_on_the_same_folders_is_refused_and_the_first_goes_on() {
    let Some(node) = Node::empty() else { return };
    let out = node.daemon.command().output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr) + String::from_utf8_lossy(&out.stdout);
    assert!(!out.status.success(), "{said}");
    assert!(said.contains("in use by process"), "{said}");
    node.ok(&["version"]);
    node.finish();
}

#[test]
fn the_service_manager_is_told_when_it_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let environment = vec![("NOTIFY_SOCKET".to_owned(), path.display().to_string())];
    let Some(node) = Node::with(DaemonOptions { environment, ..DaemonOptions::default() }) else { return };
    let mut told = String::new();
    while !told.contains("READY=1") {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{e}, told so far: {told:?}"));
        told.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    node.finish();
}

#[test]
fn the_sockets_are_for_root_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(node) = Node::with(DaemonOptions::default()) else { return };
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&node.daemon.socket()), 0o600);
    assert_eq!((mode(&node.daemon.root()), mode(&node.daemon.state())), (0o700, 0o711));
    node.finish();
}
