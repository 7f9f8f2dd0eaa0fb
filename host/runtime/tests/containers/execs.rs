use std::fs;

use serde_json::json;

use crate::support::{Sandbox, process};

#[test]
fn a_further_process_is_inside_in_every_way() {
    let sandbox = Sandbox::new();
    let sleeper = sandbox.sleeper();
    let script = "for n in pid mnt net ipc uts cgroup; do \
        test $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) || echo $n differs; done; \
        hostname; cat /etc/passwd | head -1; pwd; grep CapEff /proc/self/status; exit 7";
    let output = sleeper.sh(script);
    assert_eq!(output.stdout, "inside\nroot:x:0:0:root:/root:/bin/sh\n/\nCapEff:\t00000000a80425fb\n", "{output:?}");
    assert_eq!(output.code, 7);
}

#[test]
fn it_is_a_child_of_the_caller_and_the_helper_is_gone() {
    let sandbox = Sandbox::new();
    let sleeper = sandbox.sleeper();
    let (process, pipes) = sleeper.start(&process(&["sleep", "1000"])).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap();
    assert_eq!(parent, std::process::id().to_string());
    process.kill(libc::SIGTERM).unwrap();
    assert_eq!(pipes.wait(process.pidfd()).code, 128 + libc::SIGTERM);
    assert!(process.kill(libc::SIGTERM).unwrap_err().is_not_found());
}

#[test]
fn what_cannot_be_executed_is_told_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let sleeper = sandbox.sleeper();
    let error = |args: &[&str]| sleeper.start(&process(args)).map(drop).unwrap_err().to_string();
    assert_eq!(error(&["nope"]), r#"container test: exec: "nope": executable file not found in $PATH"#);
    assert_eq!(error(&["/nope"]), r#"container test: exec: "/nope": stat /nope: no such file or directory"#);
    assert_eq!(error(&["/etc/passwd"]), r#"container test: exec: "/etc/passwd": permission denied"#);
    let mut elsewhere = process(&["pwd"]);
    elsewhere["cwd"] = json!("/no/such");
    let error = sleeper.start(&elsewhere).map(drop).unwrap_err().to_string();
    assert_eq!(
        error,
        r#"container test: chdir to cwd ("/no/such") set in config.json: No such file or directory (os error 2)"#
    );
    assert_eq!(sleeper.sh("set -- /proc/[0-9]*; echo $#").ok(), "2", "sleep and sh");
}

#[test]
fn users_are_looked_up_in_the_running_container() {
    let sandbox = Sandbox::new();
    let sleeper = sandbox.sleeper();
    sleeper.sh("echo late:x:777:778::/late: >> /etc/passwd; echo extra:x:779:late >> /etc/group").ok();
    let mut late = process(&["sh", "-c", "echo $(id -u):$(id -g) $(id -G) $HOME"]);
    late["user"]["username"] = json!("late");
    assert_eq!(sleeper.exec(&late).ok(), "777:778 778 779 /late");
    late["user"]["username"] = json!("nobody-here");
    let error = sleeper.start(&late).map(drop).unwrap_err().to_string();
    assert_eq!(error, "container test: unable to find user nobody-here: no matching entries in passwd file");
}

#[test]
fn a_container_that_has_ended_takes_no_exec() {
    let sandbox = Sandbox::new();
    let sleeper = sandbox.sleeper();
    sleeper.container.kill(libc::SIGKILL).unwrap();
    crate::support::reap(sleeper.container.pidfd());
    let error = sleeper.start(&process(&["true"])).map(drop).unwrap_err().to_string();
    assert!(error.contains("join the container's namespaces"), "{error}");
    // Reaped already: nothing for the sleeper's end to do.
    std::mem::forget(sleeper);
}

#[test]
fn a_process_that_enters_shows_nothing_of_the_host_s() {
    // CVE-2019-5736 and its kin: what an entering process holds is not the container's to see.
    let sandbox = Sandbox::new();
    let watcher = "while :; do for p in /proc/[0-9]*; do readlink $p/exe; ls $p/fd; done >> /seen 2>&1; \
        test -e /stop && break; done; echo done";
    let spec = sandbox.spec(&["sh", "-c", watcher]);
    let sleeper = sandbox.sleeper_of(&spec);
    for _ in 0..50 {
        sleeper.exec(&process(&["true"])).ok();
    }
    // The watcher may end, and all with it, before this one has.
    sleeper.sh("touch /stop");
    let ours = std::env::current_exe().unwrap();
    let seen = fs::read_to_string(sandbox.upper("seen")).unwrap();
    assert!(seen.contains("/bin/busybox"));
    assert!(!seen.contains(ours.file_name().unwrap().to_str().unwrap()), "our own image was seen");
}
