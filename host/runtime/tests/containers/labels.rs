use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::support::{Sandbox, process};

fn has_apparmor() -> bool {
    fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|enabled| enabled.starts_with(b"Y"))
}

#[test]
fn a_profile_that_the_node_cannot_have_is_refused_by_its_name() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    spec["process"]["apparmorProfile"] = json!("no-such-profile");
    let error = sandbox.refusal(&spec).to_string();
    if has_apparmor() {
        let told = "container test: apply AppArmor profile \"no-such-profile\": the node has not loaded it";
        assert!(error.starts_with(told), "{error}");
    } else {
        let told = "container test: process.apparmorProfile \"no-such-profile\": this node has no AppArmor";
        assert!(error.starts_with(told), "{error}");
    }
    for nothing in ["", "unconfined"] {
        spec["process"]["apparmorProfile"] = json!(nothing);
        assert_eq!(sandbox.run(&spec).code, 0, "{nothing:?}");
    }
}

#[test]
fn a_label_that_the_node_cannot_have_is_refused_by_its_field() {
    if Path::new("/sys/fs/selinux/enforce").exists() {
        eprintln!("skipped: this node has SELinux");
        return;
    }
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    spec["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0");
    let error = sandbox.refusal(&spec).to_string();
    assert!(
        error.contains("process.selinuxLabel \"system_u:system_r:container_t:s0\": this node has no SELinux"),
        "{error}"
    );
    spec["process"]["selinuxLabel"] = json!("");
    spec["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0");
    let error = sandbox.refusal(&spec).to_string();
    assert!(error.contains("linux.mountLabel"), "{error}");
}

/// A profile that is loaded for a test's time.
struct Loaded {
    parser: std::path::PathBuf,
    text: &'static str,
}

impl Loaded {
    fn new(text: &'static str) -> Self {
        let parser = wharf_testkit::unpacked_package("apparmor").unwrap().join("sbin/apparmor_parser");
        let loaded = Self { parser, text };
        loaded.run("--replace");
        loaded
    }

    fn run(&self, verb: &str) {
        let mut parser = Command::new(&self.parser).args(["--skip-cache", verb]).stdin(Stdio::piped()).spawn().unwrap();
        parser.stdin.take().unwrap().write_all(self.text.as_bytes()).unwrap();
        assert!(parser.wait().unwrap().success());
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.run("--remove");
    }
}

#[test]
fn the_program_and_further_processes_are_under_their_profile() {
    if !has_apparmor() {
        eprintln!("skipped: this node has no AppArmor");
        return;
    }
    let _loaded =
        Loaded::new("profile wharf-test flags=(attach_disconnected) { file, signal, capability, deny /etc/passwd r, }");
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sleep", "1000"]);
    spec["process"]["apparmorProfile"] = json!("wharf-test");
    for confined in [true, false] {
        spec["process"]["noNewPrivileges"] = json!(confined);
        let sleeper = sandbox.sleeper_of(&spec);
        let current = fs::read_to_string(format!("/proc/{}/attr/current", sleeper.container.pid())).unwrap();
        assert_eq!(current.trim(), "wharf-test (enforce)");
        let mut further = process(&["sh", "-c", "cat /proc/self/attr/current; cat /etc/passwd"]);
        further["apparmorProfile"] = json!("wharf-test");
        let output = sleeper.exec(&further);
        assert_eq!(output.stdout, "wharf-test (enforce)\n", "{output:?}");
        assert!(output.stderr.contains("Permission denied"), "{output:?}");
        further["apparmorProfile"] = json!("no-such-profile");
        let error = sleeper.start(&further).map(drop).unwrap_err().to_string();
        assert!(error.contains("the node has not loaded it"), "{error}");
    }
}
