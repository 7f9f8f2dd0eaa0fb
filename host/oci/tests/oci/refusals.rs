use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};

use crate::support::Bench;

#[test]
fn wrong_ids_and_bundles() {
    let bench = Bench::new();
    for bad in ["../a", "a/b", ".", "a b"] {
        let error = bench.run(&["create", bad]).failed(1);
        assert!(error.contains("invalid container ID format"), "{error}");
    }
    for args in [vec!["state"], vec!["start"], vec!["kill"], vec!["delete"]] {
        assert_ne!(bench.run(&args).code, 0, "{args:?} without an id");
        let mut args = args;
        args.push("nobody");
        let error = bench.run(&args).failed(1);
        assert!(error.contains("container does not exist"), "{args:?}: {error}");
    }
    bench.ok(&["delete", "--force", "nobody"]);
    fs::remove_file(bench.bundle().join("config.json")).unwrap();
    let error = bench.run(&["create", &bench.id("x")]).failed(1);
    assert!(error.contains("JSON specification file config.json not found"), "{error}");
    let error = bench.run(&["create", "--bundle", "/no/such/folder", &bench.id("x")]).failed(1);
    assert!(error.contains("bundle /no/such/folder: No such file or directory"), "{error}");
}

#[test]
fn an_id_is_taken_once() {
    let bench = Bench::new();
    let id = bench.create("c");
    let error = bench.run(&["create", &id]).failed(1);
    assert!(error.contains("container with given ID already exists"), "{error}");
    assert_eq!(bench.status(&id), "created", "the first one is left alone");
}

#[test]
fn wrong_specifications_leave_nothing() {
    let bench = Bench::new();
    let spec = bench.spec(&["true"]);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut spec = spec.clone();
        change(&mut spec);
        bench.write(&spec);
        bench.run(&["create", &bench.id("x")]).failed(1)
    };
    for (text, error) in [
        ("ociVersion 2.0.0 is not supported", with(&|spec| spec["ociVersion"] = json!("2.0.0"))),
        ("is no version", with(&|spec| spec["ociVersion"] = json!("latest"))),
        ("invalid rootfs", with(&|spec| spec["root"]["path"] = json!("nowhere"))),
        ("is not absolute", with(&|spec| spec["process"]["cwd"] = json!("etc"))),
        ("does not list mount", with(&|spec| spec["linux"]["namespaces"] = json!([{ "type": "pid" }]))),
        ("/no/such", with(&|spec| spec["linux"]["namespaces"][0]["path"] = json!("/no/such"))),
        ("without setting console socket", with(&|spec| spec["process"]["terminal"] = json!(true))),
        ("systemd", with(&|spec| spec["linux"]["cgroupsPath"] = json!("system.slice:wharf:x"))),
        (
            "rlimit RLIMIT_NOFILE: it is given twice",
            with(&|spec| {
                let limit = json!({ "type": "RLIMIT_NOFILE", "hard": 60, "soft": 50 });
                spec["process"]["rlimits"] = json!([limit, limit]);
            }),
        ),
        ("process.args is empty", with(&|spec| spec["process"]["args"] = json!([]))),
    ] {
        assert!(error.contains(text), "{text}: {error}");
    }
    assert_eq!(bench.ok(&["list", "-q"]), "");
    let error = bench.run(&["--systemd-cgroup", "create", &bench.id("x")]).failed(1);
    assert!(error.contains("--systemd-cgroup is not supported"), "{error}");
}

#[test]
fn a_cgroup_with_others_in_it_is_refused_and_left_alone() {
    let bench = Bench::new();
    let mut spec = bench.spec(&["sleep", "1000"]);
    spec["linux"]["cgroupsPath"] = json!(format!("/{}", bench.id("shared")));
    bench.write(&spec);
    let first = bench.create("one");
    let error = bench.run(&["create", &bench.id("two")]).failed(1);
    assert!(error.contains("container's cgroup is not empty"), "{error}");
    assert_eq!(bench.status(&first), "created", "it was not ended with the other");
}

#[test]
fn a_program_that_cannot_be_executed_is_told_as_early_as_that_can_be() {
    let bench = Bench::new();
    fs::write(bench.rootfs().join("etc/script"), "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(bench.rootfs().join("etc/script"), fs::Permissions::from_mode(0o755)).unwrap();
    for (program, words) in [
        ("nowhere", r#"exec: \"nowhere\": executable file not found in $PATH"#),
        ("/nowhere", "stat /nowhere: no such file or directory"),
        ("/etc/passwd", r#"exec: \"/etc/passwd\": permission denied"#),
        ("/etc", r#"exec: \"/etc\": is a directory"#),
    ] {
        bench.write(&bench.spec(&[program]));
        let error = bench.run(&["create", &bench.id("none")]).failed(1);
        assert!(error.contains(words), "{program}: {error}");
    }
    bench.write(&bench.spec(&["/etc/script"]));
    let id = bench.create("c");
    let error = bench.run(&["start", &id]).failed(1);
    assert!(error.contains("exec /etc/script: no such file or directory"), "{error}");
    bench.wait_for_status(&id, "stopped");
    bench.ok(&["delete", &id]);
    let error = bench.run(&["run", &id]).failed(1);
    assert!(error.contains("exec /etc/script: no such file or directory"), "{error}");
    assert_eq!(bench.ok(&["list", "-q"]), "");
}

#[test]
fn our_own_program_cannot_be_written_to_from_a_container() {
    let bench = Bench::new();
    let id = bench.create("c");
    // The process that waits is our program still. A running one is busy, but one that has ended would be writable, were
    // it not for the mount by which it is reached.
    let mount = rustix::fs::statvfs(format!("/proc/{}/exe", bench.state(&id)["pid"])).unwrap();
    assert!(mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    let file = rustix::fs::statvfs(crate::support::RUNTIME).unwrap();
    assert!(!file.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY), "the file itself is on no such mount");
}

#[test]
fn errors_are_in_the_log_as_callers_read_them() {
    let bench = Bench::new();
    let log = bench.path().join("log.json");
    let args = ["--log", log.to_str().unwrap(), "--log-format", "json", "state", "nobody"];
    bench.run(&args).failed(1);
    let text = fs::read_to_string(&log).unwrap();
    let line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    assert!(line["msg"].as_str().unwrap().contains("container does not exist"), "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
}

#[test]
fn features_and_specifications_are_json() {
    let bench = Bench::new();
    let features: Value = serde_json::from_str(&bench.ok(&["features"])).unwrap();
    assert_eq!(features["ociVersionMin"], "1.0.0");
    assert!(features["mountOptions"].as_array().unwrap().contains(&json!("rbind")));
    assert!(features["linux"]["capabilities"].as_array().unwrap().contains(&json!("CAP_CHOWN")));
    let linux = &features["linux"];
    let has = |list: &Value, name: &str| list.as_array().is_some_and(|list| list.contains(&json!(name)));
    assert!(has(&linux["seccomp"]["actions"], "SCMP_ACT_TRACE"));
    assert!(has(
        &linux["seccomp"]["archs"],
        if cfg!(target_arch = "x86_64") { "SCMP_ARCH_X86" } else { "SCMP_ARCH_ARM" }
    ));
    // Older than any kernel that we run on.
    for flag in ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"] {
        assert!(has(&linux["seccomp"]["knownFlags"], flag) && has(&linux["seccomp"]["supportedFlags"], flag), "{flag}");
    }
    assert!(has(&linux["memoryPolicy"]["modes"], "MPOL_BIND"));
    let error = bench.run(&["spec"]).failed(1);
    assert!(error.contains("File exists"), "a file that is there is left alone: {error}");
    fs::remove_file(bench.bundle().join("config.json")).unwrap();
    bench.ok(&["spec"]);
    let path = bench.bundle().join("config.json");
    let mut spec: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["sh", "-c", "id -u; hostname"]);
    bench.write(&spec);
    assert_eq!(bench.ok(&["run", &bench.id("spec")]), "0\nwharf\n");
    let version = bench.ok(&["--version"]);
    assert!(version.starts_with("wharf-oci ") && version.contains("\nspec: 1."), "{version}");
}
