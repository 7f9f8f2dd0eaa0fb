use std::fs;

use serde_json::json;
use wharf_testkit::wait_for;

use crate::support::{Bench, PATIENCE};

fn sleeper(bench: &Bench) -> String {
    let id = bench.create("c");
    bench.ok(&["start", &id]);
    id
}

#[test]
fn a_command_runs_inside_and_its_exit_code_comes_out() {
    let bench = Bench::new();
    let id = sleeper(&bench);
    let said = bench.run(&["exec", &id, "sh", "-c", "hostname; echo $X; pwd; id -u; id -g; echo err >&2; exit 9"]);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str(), said.code), ("inside\n\n/\n0\n0\n", "err\n", 9));
    let args = [
        "exec",
        "--cwd",
        "/tmp",
        "-e",
        "X=1",
        "--user",
        "5:6",
        "-g",
        "7",
        &id,
        "sh",
        "-c",
        "echo $X; pwd; id -u; id -G",
    ];
    assert_eq!(bench.ok(&args), "1\n/tmp\n5\n6 7\n");
    // The container's own is replaced, not hidden behind it.
    let all = bench.ok(&["exec", "-e", "PATH=/bin:/mine", &id, "env"]);
    assert_eq!(all.lines().filter(|line| line.starts_with("PATH=")).collect::<Vec<_>>(), ["PATH=/bin:/mine"]);
    let said = bench.run(&[
        "exec",
        "--cap",
        "CAP_NET_RAW",
        "--no-new-privs",
        &id,
        "grep",
        "-E",
        "CapEff|NoNewPrivs",
        "/proc/self/status",
    ]);
    assert!(said.stdout.contains("CapEff:\t00000000000020e1") && said.stdout.contains("NoNewPrivs:\t1"), "{said:?}");
    let error = bench.run(&["exec", &id, "nowhere"]).failed(255);
    assert!(error.contains("exec failed: container ") && error.contains("executable file not found"), "{error}");
    let error = bench.run(&["exec", &id]).failed(255);
    assert!(error.contains("process args cannot be empty"), "{error}");
    bench.ok(&["kill", &id, "KILL"]);
    bench.wait_for_status(&id, "stopped");
    let error = bench.run(&["exec", &id, "true"]).failed(255);
    assert!(error.contains("cannot exec in a stopped container"), "{error}");
}

#[test]
fn a_detached_process_of_a_file_leaves_its_pid() {
    let bench = Bench::new();
    let id = sleeper(&bench);
    let (process, pid_file) = (bench.path().join("process.json"), bench.path().join("pid"));
    let spec =
        json!({ "user": { "uid": 1, "gid": 2 }, "args": ["sleep", "1000"], "cwd": "/tmp", "env": ["PATH=/bin"] });
    fs::write(&process, spec.to_string()).unwrap();
    let args = ["exec", "-d", "-p", process.to_str().unwrap(), "--pid-file", pid_file.to_str().unwrap(), &id];
    assert_eq!(bench.with_files(&args, "exec").code, 0);
    let pid: i64 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    assert!(bench.pids(&id).contains(&pid));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Uid:\t1\t") && status.contains("Gid:\t2\t"), "{status}");
    bench.ok(&["kill", &id, "KILL"]);
    bench.wait_for_status(&id, "stopped");
    assert!(wait_for(PATIENCE, || bench.pids(&id).is_empty()), "it ends with the container");
    bench.ok(&["delete", &id]);
}

#[test]
fn a_created_container_can_be_entered() {
    let bench = Bench::new();
    let id = bench.create("c");
    assert_eq!(bench.ok(&["exec", &id, "hostname"]), "inside\n");
    assert_eq!(bench.status(&id), "created");
}

#[test]
fn users_of_a_user_namespace_are_entered_as_such() {
    let bench = Bench::new();
    let mut spec = bench.spec(&["sleep", "1000"]);
    spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
    for kind in ["uidMappings", "gidMappings"] {
        spec["linux"][kind] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    }
    bench.write(&spec);
    // What is not ours is nobody's inside: the root must be readable to all.
    let id = sleeper(&bench);
    assert_eq!(
        bench.ok(&["exec", &id, "sh", "-c", "id -u; cat /proc/self/uid_map"]).split_whitespace().collect::<Vec<_>>(),
        ["0", "0", "100000", "65536"]
    );
}
