//! Images and specifications that want out.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;

use crate::support::{Sandbox, push};

#[test]
fn no_descriptor_of_the_host_s_is_a_way_out() {
    // CVE-2024-21626: a working directory that names an open file of the runtime's.
    let sandbox = Sandbox::new();
    for number in 0..32 {
        for path in [format!("/proc/self/fd/{number}"), format!("/proc/self/fd/{number}/../../..")] {
            let mut spec = sandbox.spec(&["sh", "-c", "pwd; ls /lower /bundle"]);
            spec["process"]["cwd"] = json!(path);
            let (stdio, pipes) = crate::support::pipes();
            if let Ok(container) = sandbox.create(&spec, stdio) {
                let _ = container.start();
                let output = pipes.wait(container.pidfd());
                assert!(!output.stdout.starts_with("(unreachable)") && !output.stdout.contains("lower"), "{output:?}");
            }
        }
    }
}

#[test]
fn a_process_has_only_its_three_files() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.sh("ls /proc/1/fd; true").ok(), "0\n1\n2");
    let sleeper = sandbox_sleeper();
    assert_eq!(sleeper.1.sh("ls /proc/$$/fd; true").ok(), "0\n1\n2");
}

fn sandbox_sleeper() -> (Sandbox, crate::support::Sleeper) {
    let sandbox = Sandbox::new();
    let sleeper = sandbox.sleeper();
    (sandbox, sleeper)
}

#[test]
fn a_working_directory_link_to_a_descriptor_is_refused() {
    let sandbox = Sandbox::new();
    symlink("/proc/self/fd/5", sandbox.lower("cwd")).unwrap();
    let mut spec = sandbox.spec(&["pwd"]);
    spec["process"]["cwd"] = json!("/cwd");
    let error = sandbox.refusal(&spec).to_string();
    assert!(error.contains("working directory /cwd"), "{error}");
}

#[test]
fn proc_and_sys_are_no_links() {
    for (name, target) in [("proc", "/tmp"), ("sys", "/etc"), ("proc", "/proc-missing")] {
        let sandbox = Sandbox::new();
        symlink(target, sandbox.lower(name)).unwrap();
        let error = sandbox.refusal(&sandbox.spec(&["true"])).to_string();
        assert!(error.contains(&format!("mount /{name}: ")), "{error}");
    }
}

#[test]
fn a_dev_that_leads_out_leads_in() {
    let sandbox = Sandbox::new();
    let outside = sandbox.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(format!("../../../../../../../../{}", outside.display()), sandbox.lower("dev")).unwrap();
    let inside = format!("ls {}/null /dev/null && echo x > /dev/null && echo fine", outside.display());
    assert!(sandbox.sh(&inside).ok().ends_with("fine"));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "something was made outside");
}

#[test]
fn device_nodes_are_made_inside_whatever_links_say() {
    // No /dev mount: the nodes go where the image says, but never out of it.
    let sandbox = Sandbox::new();
    let outside = sandbox.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, sandbox.lower("dev")).unwrap();
    let mut spec = sandbox.spec(&["sh", "-c", "ls -l /dev/null"]);
    spec["mounts"].as_array_mut().unwrap().drain(1..4);
    sandbox.run(&spec).ok();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn mount_points_are_made_inside_whatever_links_say() {
    let sandbox = Sandbox::new();
    let outside = sandbox.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let source = sandbox.path().join("source");
    fs::write(&source, "secret").unwrap();
    symlink(&outside, sandbox.lower("absolute")).unwrap();
    symlink("../../../../../../../../../../../..", sandbox.lower("up")).unwrap();
    let mut spec = sandbox.spec(&["sh", "-c", "cat /absolute/a/b /up/c/d"]);
    for at in ["/absolute/a/b", "/up/c/d"] {
        push(&mut spec["mounts"], json!({ "destination": at, "type": "bind", "source": source, "options": ["bind"] }));
    }
    assert_eq!(sandbox.run(&spec).ok(), "secretsecret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!fs::exists("/c/d").unwrap());
}

#[test]
fn a_masked_path_is_covered_by_the_real_null_device() {
    // CVE-2025-31133: the image's /dev/null is something else.
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.lower("dev")).unwrap();
    symlink("/proc/sys/kernel/core_pattern", sandbox.lower("dev/null")).unwrap();
    let mut spec = sandbox.spec(&["sh", "-c", "stat -c '%t,%T' /proc/keys /proc/timer_list"]);
    spec["mounts"].as_array_mut().unwrap().drain(1..4);
    let error = sandbox.refusal(&spec).to_string();
    assert!(error.contains("device /dev/null"), "an image's own /dev/null that is none is not taken: {error}");
    push(&mut spec["mounts"], json!({ "destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"] }));
    assert_eq!(sandbox.run(&spec).ok(), "1,3\n1,3");
}

#[test]
fn what_hides_proc_must_be_on_proc() {
    // CVE-2025-52881: something that is not procfs lies where procfs is written to.
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    push(&mut spec["mounts"], json!({ "destination": "/proc/sys", "type": "tmpfs", "source": "tmpfs", "options": [] }));
    let error = sandbox.refusal(&spec).to_string();
    assert!(error.contains("make /proc/sys read-only: is not on procfs"), "{error}");

    // A sysctl goes through a procfs of its own: what the container's /proc looks like does not matter.
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["true"]);
    spec["linux"]["readonlyPaths"] = json!([]);
    spec["linux"]["sysctl"] = json!({ "net.ipv4.ip_unprivileged_port_start": "80" });
    push(&mut spec["mounts"], json!({ "destination": "/proc/sys", "type": "tmpfs", "source": "tmpfs", "options": [] }));
    assert_eq!(sandbox.run(&spec).code, 0);
}

#[test]
fn account_files_are_read_inside_and_only_if_they_are_files() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.lower("etc/passwd")).unwrap();
    symlink("/../../../../../etc/shadow", sandbox.lower("etc/passwd")).unwrap();
    let mut spec = sandbox.spec(&["true"]);
    spec["process"]["user"]["username"] = json!("root");
    assert!(sandbox.refusal(&spec).to_string().contains("unable to find user root"));

    fs::remove_file(sandbox.lower("etc/passwd")).unwrap();
    let fifo = sandbox.lower("etc/passwd");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    assert!(sandbox.refusal(&spec).to_string().contains("no regular file"));
}

#[test]
fn odd_specifications_are_refused() {
    let sandbox = Sandbox::new();
    let refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut spec = sandbox.spec(&["true"]);
        change(&mut spec);
        sandbox.refusal(&spec).to_string()
    };
    for (error, words) in [
        (refused(&|spec| spec["mounts"][0]["destination"] = json!("relative")), "is not absolute"),
        (refused(&|spec| spec["mounts"][0]["destination"] = json!("/")), "is the root itself"),
        (refused(&|spec| spec["process"]["cwd"] = json!("relative")), "is not absolute"),
        (refused(&|spec| spec["linux"]["namespaces"] = json!([{ "type": "pid" }])), "does not list mount"),
        (refused(&|spec| push(&mut spec["linux"]["namespaces"], json!({ "type": "pid" }))), "lists pid twice"),
        (refused(&|spec| spec["linux"]["maskedPaths"] = json!(["/"])), "is the root itself"),
        (refused(&|spec| spec["process"]["terminal"] = json!(true)), "files are given"),
        (refused(&|spec| spec["linux"]["rootfsPropagation"] = json!("odd")), "is unknown"),
        (refused(&|spec| spec["process"]["args"] = json!([])), "nothing to execute"),
    ] {
        assert!(error.contains(words), "{error}");
    }
}
