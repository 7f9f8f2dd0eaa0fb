//! The harness judged by programs whose ends are known: a guest that hides a failure would make every other run worthless.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, path::Path, time::Duration};

use wharf_testkit::{need, root};
use wharf_vm::{Disk, Job, Kernel, Machine, Program, Tools, Version};

fn shell(name: &str, script: &str, limit: u64) -> Program {
    Program {
        name: name.into(),
        path: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        cwd: "/".into(),
        env: BTreeMap::from([("TOLD".into(), "by the job".into())]),
        limit: Duration::from_secs(limit),
        harness: true,
    }
}

#[test]
fn what_programs_come_to_in_a_guest_is_told_as_it_was() {
    let Some(()) = need(root()) else { return };
    let Some(tools) = need(Tools::find()) else { return };
    let Some(kernel) = need(Kernel::fetch(Version::V6_12)) else { return };
    let passes = "echo 'test one ... ok'; echo 'test two ... ignored'; echo 'test result: ok. 1 passed'";
    let job = Job::new(
        &kernel,
        vec![
            shell("passes", &format!("{passes}; test \"$TOLD\" = 'by the job' && test \"$TMPDIR\" = /disk/tmp"), 30),
            shell("fails", "echo 'test bad ... FAILED'; echo 'test result: FAILED'; exit 101", 30),
            shell("dies-afterwards", &format!("{passes}; kill -SEGV $$"), 30),
            shell("hangs", &format!("{passes}; sleep 1000"), 2),
            shell("leaves-a-process", &format!("{passes}; setsid sleep 1001 >/dev/null 2>&1 &"), 30),
            shell("leaves-a-mount", &format!("{passes}; mkdir /run/left && mount -t tmpfs left /run/left"), 30),
            shell("leaves-a-cgroup", &format!("{passes}; mkdir /sys/fs/cgroup/left"), 30),
            shell("says-nothing", "true", 30),
            shell(
                "reads-the-host",
                &format!("{passes}; ! touch /usr/written-by-the-guest || rm /usr/written-by-the-guest"),
                30,
            ),
            Program { path: "/no/such/program".into(), ..shell("is-not-there", "", 30) },
            Program { harness: false, ..shell("is-no-harness", "true", 30) },
            shell("writes-to-its-disk", &format!("{passes}; dd if=/dev/zero of=/disk/x bs=1M count=8 && sync"), 60),
        ],
    );
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::make(&dir.path().join("disk"), 1 << 30).unwrap();
    let disk = disk.path().display().to_string();
    let agent = Path::new(env!("CARGO_BIN_EXE_wharf-vm-agent"));
    let machine = Machine { tools: &tools, kernel: &kernel, agent, disk: &disk, memory: 512, processors: 1 };
    let guest = machine.boot(&job).unwrap();
    assert_eq!(guest.facts.kernel, kernel.release);
    assert!(guest.facts.security.contains("apparmor"), "{:?}", guest.facts);
    assert!(["cpu", "memory", "pids", "io"].iter().all(|c| guest.facts.controllers.contains(c)), "{:?}", guest.facts);

    let mut lines = Vec::new();
    let results = wharf_vm::run(guest, &job, |line| lines.push(line.to_owned())).unwrap();
    assert!(lines.iter().any(|line| line == "test bad ... FAILED"), "output is passed on: {lines:#?}");
    let failed: Vec<_> = results.failed.iter().map(|line| line.as_str()).collect();
    for (expected, told) in [
        ("fails: test bad", failed[0]),
        ("dies-afterwards: Signal(11)", failed[1]),
        ("hangs: TimedOut", failed[2]),
        ("leaves-a-process: left behind: process", failed[3]),
        ("leaves-a-mount: left behind: mount", failed[4]),
        ("leaves-a-cgroup: left behind: cgroup /sys/fs/cgroup/left", failed[5]),
        ("says-nothing: told of no test", failed[6]),
        ("is-not-there: NotStarted", failed[7]),
    ] {
        assert!(told.starts_with(expected), "{expected:?} is not the begin of {told:?}; all: {failed:#?}");
    }
    assert_eq!(failed.len(), 8, "{failed:#?}");
    assert_eq!(results.passed, 8, "each of the programs that said so");
    assert!(!Path::new("/usr/written-by-the-guest").exists(), "this machine's files are out of reach");
}
