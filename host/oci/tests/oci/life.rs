use std::{fs, process::Stdio};

use serde_json::{Value, json};
use wharf_testkit::wait_for;

use crate::support::{Bench, PATIENCE, cgroups};

#[test]
fn a_container_from_create_to_delete() {
    let bench = Bench::new();
    bench.write(&bench.spec(&["sh", "-c", "echo ran; exec sleep 1000"]));
    let pid_file = bench.path().join("pid");
    let id = bench.id("c");
    let bundle = bench.bundle();
    let args = ["create", "--bundle", bundle.to_str().unwrap(), "--pid-file", pid_file.to_str().unwrap(), &id];
    assert_eq!(bench.with_files(&args, "c").code, 0);
    let state = bench.state(&id);
    let pid: i64 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    assert_eq!(state["status"], "created");
    assert_eq!((&state["pid"], &state["id"]), (&json!(pid), &json!(id)));
    assert_eq!(state["bundle"], bench.bundle().canonicalize().unwrap().to_str().unwrap());
    assert_eq!(state["ociVersion"], "1.0.2");
    assert_eq!(state["annotations"]["org.example.key"], "value");
    assert_eq!(bench.wrote("c", "out"), "", "nothing runs before the start");
    bench.ok(&["start", &id]);
    assert_eq!(bench.status(&id), "running");
    assert!(wait_for(PATIENCE, || bench.wrote("c", "out") == "ran\n"));
    assert_eq!(bench.pids(&id), [pid]);
    let refusal = bench.run(&["start", &id]).failed(1);
    assert!(refusal.contains("cannot start a running container"), "{refusal}");
    let refusal = bench.run(&["delete", &id]).failed(1);
    assert!(refusal.contains("that is not stopped: running"), "{refusal}");
    bench.ok(&["kill", &id, "KILL"]);
    bench.wait_for_status(&id, "stopped");
    assert_eq!(bench.state(&id)["pid"], 0);
    let refusal = bench.run(&["kill", &id, "TERM"]).failed(1);
    assert!(refusal.contains("container not running"), "{refusal}");
    bench.ok(&["delete", &id]);
    let gone = bench.run(&["state", &id]).failed(1);
    assert!(gone.contains("container does not exist"), "{gone}");
}

#[test]
fn run_waits_and_has_the_process_s_exit_code() {
    let bench = Bench::new();
    bench.write(&bench.spec(&["sh", "-c", "echo out; echo err >&2; hostname; exit 42"]));
    let said = bench.run(&["run", &bench.id("run")]);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str(), said.code), ("out\ninside\n", "err\n", 42));
    assert_eq!(bench.ok(&["list", "--quiet"]), "", "it is removed");
    bench.write(&bench.spec(&["sh", "-c", "kill -9 $$"]));
    // The first process of a PID namespace is not ended by its own signals.
    assert_eq!(bench.run(&["run", &bench.id("own")]).code, 0);
    bench.write(&bench.spec(&["true"]));
    let id = bench.id("kept");
    assert_eq!(bench.run(&["run", "--keep", &id]).code, 0);
    assert_eq!(bench.status(&id), "stopped");
    bench.ok(&["delete", &id]);
}

#[test]
fn signals_to_run_are_the_container_s() {
    let bench = Bench::new();
    bench.write(&bench.spec(&["sh", "-c", "trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.1; done"]));
    let out = bench.path().join("out");
    let id = bench.id("sig");
    let mut run = bench.command(&["run", &id]).stdout(fs::File::create(&out).unwrap()).spawn().unwrap();
    assert!(wait_for(PATIENCE, || fs::read_to_string(&out).unwrap() == "ready\n"));
    let pid = rustix::process::Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(7));
    assert_eq!(fs::read_to_string(&out).unwrap(), "ready\ngot it\n");
}

#[test]
fn a_killed_command_leaves_nothing_that_the_next_does_not_clear_away() {
    let bench = Bench::new();
    let id = bench.id("c");
    for _ in 0..30 {
        // Killed at whatever it is at; the longer ones get as far as a container that waits.
        let mut create = bench.command(&["create", &id]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(u64::from(create.id() % 20) * 1000));
        create.kill().unwrap();
        create.wait().unwrap();
        bench.ok(&["delete", "--force", &id]);
        assert!(cgroups(&id).is_empty());
    }
    assert_eq!(bench.create("c"), id);
}

#[test]
fn pause_and_resume() {
    let bench = Bench::new();
    bench.write(&bench.spec(&["sh", "-c", "while :; do echo tick; sleep 0.01; done"]));
    let id = bench.create("p");
    bench.ok(&["start", &id]);
    assert!(wait_for(PATIENCE, || !bench.wrote("p", "out").is_empty()));
    bench.ok(&["pause", &id]);
    assert_eq!(bench.status(&id), "paused");
    let stands = bench.wrote("p", "out");
    let refusal = bench.run(&["exec", &id, "true"]).failed(255);
    assert!(refusal.contains("cannot exec in a paused container"), "{refusal}");
    assert_eq!(bench.wrote("p", "out"), stands, "it wrote while paused");
    bench.ok(&["resume", &id]);
    assert_eq!(bench.status(&id), "running");
    assert!(wait_for(PATIENCE, || bench.wrote("p", "out").len() > stands.len()));
    let refusal = bench.run(&["resume", &id]).failed(1);
    assert!(refusal.contains("cannot resume a running container"), "{refusal}");
    bench.ok(&["pause", &id]);
    bench.ok(&["kill", &id, "9"]);
    bench.wait_for_status(&id, "stopped");
    bench.ok(&["delete", &id]);
}

#[test]
fn one_that_is_paused_before_its_start_is_started_after_it() {
    let bench = Bench::new();
    bench.write(&bench.spec(&["sh", "-c", "echo ran; exec sleep 1000"]));
    let id = bench.create("p");
    bench.ok(&["pause", &id]);
    assert_eq!(bench.status(&id), "paused");
    let refusal = bench.run(&["start", &id]).failed(1);
    assert!(refusal.contains("cannot start a container in the paused state"), "{refusal}");
    let refusal = bench.run(&["delete", &id]).failed(1);
    assert!(refusal.contains("that is not stopped: paused"), "{refusal}");
    bench.ok(&["resume", &id]);
    assert_eq!(bench.status(&id), "created");
    bench.ok(&["start", &id]);
    assert_eq!(bench.status(&id), "running");
    assert!(wait_for(PATIENCE, || bench.wrote("p", "out") == "ran\n"));
}

#[test]
fn signal_0_asks_whether_it_lives() {
    let bench = Bench::new();
    let id = bench.create("k");
    for args in [&["kill", &id, "0"][..], &["kill", "--all", &id, "0"]] {
        bench.ok(args);
        assert_eq!(bench.status(&id), "created", "{args:?}: nothing is sent");
    }
    bench.ok(&["kill", &id, "KILL"]);
    bench.wait_for_status(&id, "stopped");
    let refusal = bench.run(&["kill", &id, "0"]).failed(1);
    assert!(refusal.contains("container not running"), "{refusal}");
}

#[test]
fn a_process_without_a_user_is_root_s() {
    let bench = Bench::new();
    let mut spec = bench.spec(&["id", "-u"]);
    spec["process"].as_object_mut().unwrap().remove("user");
    bench.write(&spec);
    assert_eq!(bench.ok(&["run", &bench.id("root")]), "0\n");
}

#[test]
fn kill_all_reaches_what_the_first_process_left_behind() {
    let bench = Bench::new();
    let mut spec = bench.spec(&["sh", "-c", "sleep 1000 & sleep 1000 & exit 0"]);
    spec["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "uts" }]);
    bench.write(&spec);
    let id = bench.create("left");
    bench.ok(&["start", &id]);
    bench.wait_for_status(&id, "stopped");
    assert_eq!(bench.pids(&id).len(), 2);
    bench.ok(&["kill", "--all", &id, "KILL"]);
    assert!(wait_for(PATIENCE, || bench.pids(&id).is_empty()));
    bench.ok(&["delete", &id]);
}

#[test]
fn limits_are_set_and_changed() {
    let bench = Bench::new();
    let mut spec = bench.spec(&["sleep", "1000"]);
    spec["linux"]["resources"]["pids"] = json!({ "limit": 20 });
    bench.write(&spec);
    let id = bench.create("lim");
    bench.ok(&["start", &id]);
    let stats = || -> Value { serde_json::from_str(&bench.ok(&["events", "--stats", &id])).unwrap() };
    assert_eq!(stats()["data"]["pids"]["limit"], 20);
    bench.ok(&["update", "--pids-limit", "30", &id]);
    assert_eq!(stats()["data"]["pids"]["limit"], 30);
    let group = std::path::PathBuf::from(format!("/sys/fs/cgroup/cpu/wharf-oci-{id}"));
    if group.exists() {
        let args = ["--cpu-quota", "50000", "--cpu-period", "100000", "--cpu-burst", "20000", "--cpu-idle", "1"];
        bench.ok(&[&["update"], &args[..], &[&id]].concat());
        for (name, value) in [("cpu.cfs_burst_us", "20000"), ("cpu.idle", "1")] {
            // Kernels before 5.15 have neither.
            if std::path::Path::new("/sys/fs/cgroup/cpu/cpu.idle").exists() || group.join(name).exists() {
                assert_eq!(fs::read_to_string(group.join(name)).unwrap().trim(), value, "{name}");
            }
        }
    }
    let error = bench.run(&["update", "--l3-cache-schema", "L3:0=f", &id]).failed(1);
    assert!(error.contains("intelRdt is not supported"), "{error}");
    let file = bench.path().join("limits.json");
    fs::write(&file, json!({ "pids": { "limit": 40 } }).to_string()).unwrap();
    bench.ok(&["update", "--resources", file.to_str().unwrap(), &id]);
    let stats = stats();
    assert_eq!(stats["data"]["pids"]["limit"], 40);
    assert_eq!((&stats["type"], &stats["id"]), (&json!("stats"), &json!(id)));
}

#[test]
fn lists_are_tables_and_json() {
    let bench = Bench::new();
    assert!(bench.ok(&["list"]).starts_with("ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"));
    assert_eq!(bench.ok(&["list", "--format", "json"]).trim(), "[]");
    let (one, two) = (bench.create("a"), bench.create("b"));
    bench.ok(&["start", &two]);
    assert_eq!(bench.ok(&["list", "-q"]), format!("{one}\n{two}\n"));
    let list: Vec<Value> = serde_json::from_str(&bench.ok(&["list", "-f", "json"])).unwrap();
    let words: Vec<_> = list.iter().map(|state| state["status"].as_str().unwrap()).collect();
    assert_eq!(words, ["created", "running"]);
    let table = bench.ok(&["ps", &two]);
    assert!(table.contains("sleep 1000") && table.lines().count() == 2, "{table}");
}

#[test]
fn a_damaged_container_hides_none_of_the_others() {
    let bench = Bench::new();
    let (bad, good) = (bench.create("a"), bench.create("b"));
    let record = bench.state_root().join(&bad).join("state.json");
    let whole = fs::read(&record).unwrap();
    fs::write(&record, &whole[..whole.len() / 2]).unwrap();
    let log = bench.path().join("log");
    for format in [&["-q"][..], &["-f", "json"], &[]] {
        let said = bench.run(&[&["--log", log.to_str().unwrap(), "list"], format].concat());
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.stdout.contains(&good) && !said.stdout.contains(&bad), "{said:?}");
        assert!(said.stderr.contains(&format!("container {bad}: read {}", record.display())), "{said:?}");
    }
    assert!(bench.run(&["list", "-q"]).stderr.contains(&bad), "also without a log");
    assert_eq!(fs::read_to_string(&log).unwrap().matches(&format!("container {bad}")).count(), 3);
    fs::write(&record, whole).unwrap();
}

#[test]
fn a_change_of_the_bundle_after_create_has_no_effect() {
    let bench = Bench::new();
    bench.write(&bench.spec(&["echo", "before"]));
    let id = bench.create("c");
    bench.write(&bench.spec(&["echo", "after"]));
    bench.ok(&["start", &id]);
    bench.wait_for_status(&id, "stopped");
    assert_eq!(bench.wrote("c", "out"), "before\n");
}

#[test]
fn without_a_pivot_the_node_is_not_seen_either() {
    let bench = Bench::new();
    bench.write(&bench.spec(&[
        "sh",
        "-c",
        "echo /*; cut -d' ' -f5 /proc/self/mountinfo; ls /../.. | wc -l; ls / | wc -l",
    ]));
    let said = |no_pivot: bool| {
        let id = bench.id("root");
        let args = if no_pivot { vec!["run", "--no-pivot", &id] } else { vec!["run", &id] };
        bench.ok(&args)
    };
    let (moved, pivoted) = (said(true), said(false));
    let own = |name: &str| fs::exists(bench.rootfs().join(name)).unwrap();
    assert!(pivoted.lines().next().unwrap().split(' ').all(own), "{pivoted}");
    assert_eq!(moved, pivoted);
    assert!(!moved.contains(bench.path().to_str().unwrap()), "{moved}");
}
