//! User namespaces, and the five things that the kernel makes hard about them.

use std::{
    fs,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::{MetadataExt as _, chown},
    },
    path::Path,
};

use serde_json::{Value, json};
use wharf_runtime::{
    ExecRequest, IdMapping, IdMappings, PodNamespacesRequest, ProcessStdio, RootKind, RootMount, TerminalSize,
    UserNamespace, assemble_idmapped_root, create_pod_namespaces, open_namespace, probe_user_namespaces,
};

use crate::{
    support::{DEFAULT_CAPABILITIES, Sandbox, Sleeper, bind, pipes, process, push, reap},
    terminals::read_all,
};

const ROOT: u32 = 100_000;
const SIZE: u32 = 65_536;

fn mapping() -> Value {
    json!([{ "containerID": 0, "hostID": ROOT, "size": SIZE }])
}

fn mappings() -> IdMappings {
    let range = vec![IdMapping { container: 0, host: ROOT, size: SIZE }];
    IdMappings::new(range.clone(), range).unwrap()
}

/// A container with a user namespace of its own.
fn spec(sandbox: &Sandbox, script: &str) -> Value {
    let mut spec = sandbox.spec(&["sh", "-c", script]);
    push(&mut spec["linux"]["namespaces"], json!({ "type": "user" }));
    spec["linux"]["uidMappings"] = mapping();
    spec["linux"]["gidMappings"] = mapping();
    spec
}

fn sleeper(sandbox: &Sandbox) -> Sleeper {
    sandbox.sleeper_of(&spec(sandbox, "exec sleep 1000"))
}

fn ns(pid: i32, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().to_string_lossy().into_owned()
}

/// Whom a namespace belongs to, by its user namespace.
fn owner(pid: i32, kind: &str) -> u64 {
    let file = open_namespace(Path::new(&format!("/proc/{pid}/ns/{kind}"))).unwrap();
    const GET_OWNER: u64 = 0xb701;
    // SAFETY: this request takes no argument, and its answer is a new descriptor.
    let owner = unsafe { OwnedFd::from_raw_fd(libc::ioctl(file.as_raw_fd(), GET_OWNER)) };
    rustix::fs::fstat(owner).unwrap().st_ino
}

#[test]
fn root_inside_is_nobody_outside() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.lower("of-root"), "").unwrap();
    fs::write(sandbox.lower("of-dev"), "").unwrap();
    chown(sandbox.lower("of-dev"), Some(1001), Some(1001)).unwrap();
    let script = "id -u; cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; stat -c %u:%g /of-root /of-dev / /proc/1; \
        echo x > /made; mkdir /folder; chown 5:6 /made; stat -c %u:%g /made /folder; echo y > /etc/passwd; \
        hostname renamed && hostname; grep CapEff /proc/self/status";
    let output = sandbox.run(&spec(&sandbox, script)).ok();
    let lines: Vec<_> = output.lines().map(str::trim).collect();
    assert_eq!(lines[0], "0");
    assert_eq!(lines[1..3], ["0 100000 65536"; 2], "{output}");
    assert_eq!(lines[3..7], ["0:0", "1001:1001", "0:0", "0:0"], "{output}");
    assert_eq!(lines[7..9], ["5:6", "0:0"], "{output}");
    // On the disk it is as if there were no user namespace: another container, of other users, may have it next.
    for (path, ids) in [("made", (5, 6)), ("folder", (0, 0)), ("etc/passwd", (0, 0))] {
        let meta = fs::metadata(sandbox.upper(path)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), ids, "{path}");
    }
}

#[test]
fn the_process_and_its_namespaces_belong_to_the_user_namespace() {
    let sandbox = Sandbox::new();
    let sleeper = sleeper(&sandbox);
    let pid = sleeper.container.pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Uid:\t100000\t100000\t100000\t100000"), "{status}");
    assert_eq!(fs::metadata(format!("/proc/{pid}")).unwrap().uid(), ROOT);
    let user = fs::metadata(format!("/proc/{pid}/ns/user")).unwrap().ino();
    assert_ne!(ns(pid, "user"), ns(std::process::id().cast_signed(), "user"));
    // Trap 1: proc wants the owner of the PID namespace, sysfs that of the network, mqueue that of IPC.
    for kind in ["pid", "net", "ipc", "uts", "cgroup", "mnt"] {
        assert_eq!(owner(pid, kind), user, "{kind}");
    }
    let mounts = sleeper.sh("cat /proc/mounts").ok();
    for at in ["/proc proc", "/sys sysfs", "/dev/mqueue mqueue", "/dev/pts devpts", "/sys/fs/cgroup "] {
        assert!(mounts.contains(at), "no {at} in {mounts}");
    }
}

#[test]
fn an_overlay_that_cannot_be_written_is_refused() {
    // Trap 2: the kernel brings up an overlay whose upper the mounter cannot write read-only, without a word.
    let sandbox = Sandbox::new();
    let user = UserNamespace::create(mappings()).unwrap();
    assemble_idmapped_root(&sandbox.root(), &user).unwrap();
    let mut root = sandbox.root();
    let RootKind::Overlay { upper, work, .. } = &mut root.kind else { panic!() };
    // A folder that is covered by another's mount is not the one that is asked for.
    (*upper, *work) = (Some("upper".into()), Some("missing/work".into()));
    assert!(assemble_idmapped_root(&root, &user).is_err());
    let output = sandbox.run(&spec(&sandbox, "touch /x && echo written")).ok();
    assert_eq!(output, "written");
}

#[test]
fn mount_points_and_the_working_directory_belong_to_root_inside() {
    // Trap 3: made by the host's root, they would be nobody's, and on an idmapped layer cannot be made at all (EOVERFLOW).
    let sandbox = Sandbox::new();
    let source = sandbox.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::create_dir(sandbox.lower("home/closed")).unwrap();
    chown(sandbox.lower("home/closed"), Some(1001), Some(1001)).unwrap();
    let mut spec = spec(&sandbox, "stat -c '%n %u:%g' /a /home/closed/b /work /dev /dev/null /run; id -g");
    push(&mut spec["mounts"], bind(&source, "/a/mounted", &["rbind"]));
    push(&mut spec["mounts"], bind(&source, "/home/closed/b/mounted", &["rbind"]));
    let run = json!({ "destination": "/run", "type": "tmpfs", "options": ["uid=7", "gid=8"] });
    push(&mut spec["mounts"], run);
    spec["process"]["cwd"] = json!("/work");
    let output = sandbox.run(&spec).ok();
    for line in ["/a 0:0", "/home/closed/b 0:0", "/work 0:0", "/dev 0:0", "/dev/null 0:0", "/run 7:8"] {
        assert!(output.lines().any(|other| other == line), "no {line:?} in {output}");
    }
}

#[test]
fn what_a_container_writes_through_an_idmapped_volume_is_root_s_on_the_host() {
    let sandbox = Sandbox::new();
    let source = sandbox.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("secret"), "s").unwrap();
    chown(source.join("secret"), Some(1001), Some(0)).unwrap();
    let script = "stat -c '%n %u:%g' /by-mount/secret /by-option/secret /plain/secret; echo x > /by-mount/one; \
        echo x > /by-option/two; echo x > /plain/three";
    let mut spec = spec(&sandbox, script);
    let mut mapped = bind(&source, "/by-mount", &["rbind"]);
    (mapped["uidMappings"], mapped["gidMappings"]) = (mapping(), mapping());
    push(&mut spec["mounts"], mapped);
    push(&mut spec["mounts"], bind(&source, "/by-option", &["rbind", "ridmap"]));
    push(&mut spec["mounts"], bind(&source, "/plain", &["rbind"]));
    let output = sandbox.run(&spec);
    let stats = "/by-mount/secret 1001:0\n/by-option/secret 1001:0\n/plain/secret 65534:65534\n";
    assert_eq!(output.stdout, stats, "{output:?}");
    assert!(output.stderr.contains("can't create /plain/three: Permission denied"), "{output:?}");
    for made in ["one", "two"] {
        assert_eq!(fs::metadata(source.join(made)).unwrap().uid(), 0);
    }
}

#[test]
fn idmapped_volumes_without_a_user_namespace_and_mistakes() {
    let sandbox = Sandbox::new();
    let source = sandbox.path().join("source");
    fs::create_dir(&source).unwrap();
    let mut spec = sandbox.spec(&["stat", "-c", "%u:%g", "/data"]);
    let mut mapped = bind(&source, "/data", &["rbind"]);
    mapped["uidMappings"] = json!([{ "containerID": 0, "hostID": 42, "size": 10 }]);
    push(&mut spec["mounts"], mapped.clone());
    assert!(sandbox.refusal(&spec).to_string().contains("gid mappings are missing"));
    let last = spec["mounts"].as_array().unwrap().len() - 1;
    spec["mounts"][last]["gidMappings"] = json!([{ "containerID": 0, "hostID": 43, "size": 10 }]);
    assert_eq!(sandbox.run(&spec).ok(), "42:43");
    // A file system that cannot be idmapped: proc.
    spec["mounts"][last]["source"] = json!("/proc/self/fdinfo");
    let error = sandbox.refusal(&spec).to_string();
    assert!(error.contains("mount /data") && error.contains("does not support idmapped mounts"), "{error}");
    spec["mounts"][last] = bind(&source, "/data", &["rbind", "idmap"]);
    assert!(sandbox.refusal(&spec).to_string().contains("without a user namespace"));
}

#[test]
fn nobody_inside_can_change_or_take_away_a_mount() {
    // Trap 5: a container that may mount must not make a read-only volume writable, nor look beneath one.
    let sandbox = Sandbox::new();
    let source = sandbox.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "old").unwrap();
    fs::create_dir(sandbox.lower("volume")).unwrap();
    fs::write(sandbox.lower("volume/beneath"), "").unwrap();
    let script = "mount -o remount,bind,rw /volume; mount -o remount,rw /volume; umount /volume; umount -l /volume; \
        umount /proc/kcore; umount -l /proc; umount -l /dev; mount -o remount,bind,rw /sys; \
        echo new > /volume/file; ls /volume; mkdir /mine && mount -t tmpfs mine /mine && echo may-mount; \
        mount --bind /volume /mine && mount -o remount,bind,rw /mine; echo new > /mine/file; \
        umount /mine && echo unmounted";
    let mut spec = spec(&sandbox, script);
    let capabilities: Vec<_> = DEFAULT_CAPABILITIES.iter().copied().chain(["CAP_SYS_ADMIN"]).collect();
    for set in ["bounding", "effective", "permitted"] {
        spec["process"]["capabilities"][set] = json!(capabilities);
    }
    let mut volume = bind(&source, "/volume", &["rbind", "ro"]);
    (volume["uidMappings"], volume["gidMappings"]) = (mapping(), mapping());
    push(&mut spec["mounts"], volume);
    let output = sandbox.run(&spec);
    assert_eq!(fs::read_to_string(source.join("file")).unwrap(), "old", "{output:?}");
    // Who may mount may mount what is its own, and take that away.
    assert_eq!(output.stdout, "file\nmay-mount\nunmounted\n", "{output:?}");
    assert!(output.stderr.contains("/volume/file: Read-only file system"), "{output:?}");
    assert!(output.stderr.contains("/mine/file: Read-only file system"), "{output:?}");
}

#[test]
fn the_host_s_mounts_are_not_there_any_more() {
    // Trap 4: proc and the like are mounted while the host's are still seen; after that nothing of the host's may be left.
    let sandbox = Sandbox::new();
    let output = sandbox.run(&spec(&sandbox, "cat /proc/self/mountinfo; ls /; readlink /proc/self/root")).ok();
    assert!(output.ends_with("\n/"), "{output}");
    let points: Vec<_> = output.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    assert_eq!(points.iter().filter(|point| **point == "/").count(), 1, "{output}");
    let own = ["/proc", "/dev", "/sys"].map(|own| points.iter().filter(|point| point.starts_with(own)).count());
    assert_eq!(own.iter().sum::<usize>() + 1, points.len(), "{output}");
}

#[test]
fn a_further_process_is_in_the_user_namespace_too() {
    let sandbox = Sandbox::new();
    let sleeper = sleeper(&sandbox);
    let output = sleeper.sh("id -u; stat -c %u /proc/self/; cat /proc/self/uid_map; echo x > /dev/stdout").ok();
    let lines: Vec<_> = output.lines().map(str::trim).collect();
    assert_eq!(lines[..2], ["0", "0"], "{output}");
    assert!(lines[2].starts_with('0') && lines[3] == "x", "{output}");
    let mut dev =
        process(&["sh", "-c", "id -u; id -G; echo y > /dev/stderr; cat /proc/self/limits | grep -i 'open files'"]);
    dev["user"] = json!({ "uid": 0, "gid": 0, "username": "dev" });
    dev["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 77, "hard": 88 }]);
    let output = sleeper.exec(&dev);
    assert!(output.stdout.starts_with("1001\n1001 29\n"), "{output:?}");
    assert_eq!(output.stderr, "y\n", "{output:?}");
    let limit: Vec<_> = output.stdout.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(limit[3..5], ["77", "88"], "{output:?}");
    dev["user"] = json!({ "uid": 70_000, "gid": 0 });
    let error = sleeper.start(&dev).err().unwrap().to_string();
    assert!(error.contains("uid 70000 is not mapped in the user namespace"), "{error}");
}

#[test]
fn a_terminal_belongs_to_the_user() {
    let sandbox = Sandbox::new();
    let mut spec = spec(&sandbox, "tty; stat -c %u $(tty); echo hello > /dev/console; stty size");
    spec["process"]["terminal"] = json!(true);
    let stdio = ProcessStdio::Terminal { size: Some(TerminalSize { rows: 33, columns: 99 }) };
    let mut container = sandbox.create(&spec, stdio).unwrap();
    let master = container.take_terminal().unwrap();
    container.start().unwrap();
    let said = read_all(master);
    assert_eq!(reap(container.pidfd()), 0, "{said}");
    assert_eq!(said.replace('\r', ""), "/dev/pts/0\n0\nhello\n33 99\n");

    let sleeper = sleeper(&sandbox);
    let mut inside = process(&["sh", "-c", "tty; stat -c %u $(tty)"]);
    inside["terminal"] = json!(true);
    let inside = serde_json::from_value(inside).unwrap();
    let stdio = ProcessStdio::Terminal { size: None };
    let request = ExecRequest { process: &inside, stdio, cgroup: None };
    let mut process = sleeper.container.exec(request).unwrap();
    let said = read_all(process.take_terminal().unwrap());
    assert_eq!(reap(process.pidfd()), 0, "{said}");
    assert_eq!(said.replace('\r', ""), "/dev/pts/0\n0\n");
}

#[test]
fn a_pod_s_namespaces_belong_to_its_user_namespace() {
    let request = PodNamespacesRequest {
        hostname: Some("pod-name".into()),
        net: true,
        ipc: true,
        uts: true,
        user: Some(mappings()),
        sysctls: [("net.ipv4.ip_unprivileged_port_start".into(), "0".into()), ("kernel.msgmax".into(), "9000".into())]
            .into(),
    };
    let pod = create_pod_namespaces(&request).unwrap();
    let script = "hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax; \
        ip -o link show lo; readlink /proc/self/ns/user; ls /sys/class/net";
    let run = || {
        let sandbox = Sandbox::new();
        let (stdio, pipes) = pipes();
        let mut spec = spec(&sandbox, script);
        spec["hostname"] = json!(null);
        let container = sandbox.create_in(&spec, stdio, &pod, None).unwrap();
        let pid = container.pid();
        let user = fs::metadata(format!("/proc/{pid}/ns/user")).unwrap().ino();
        for kind in ["net", "ipc", "uts", "pid", "mnt", "cgroup"] {
            assert_eq!(owner(pid, kind), user, "{kind}");
        }
        container.start().unwrap();
        pipes.wait(container.pidfd()).ok()
    };
    let (first, second) = (run(), run());
    assert_eq!(first, second);
    let lines: Vec<_> = first.lines().collect();
    assert_eq!(lines[..3], ["pod-name", "0", "9000"]);
    assert!(lines[3].contains("LOOPBACK,UP"), "{first}");
    assert_eq!(lines[5], "lo");
}

#[test]
fn a_user_namespace_can_be_joined_by_its_path() {
    let first = Sandbox::new();
    let sleeper = sleeper(&first);
    let pid = sleeper.container.pid();
    let second = Sandbox::new();
    let mut spec = second.spec(&["sh", "-c", "readlink /proc/self/ns/user; id -u; echo x > /made"]);
    push(&mut spec["linux"]["namespaces"], json!({ "type": "user", "path": format!("/proc/{pid}/ns/user") }));
    assert_eq!(second.run(&spec).ok(), format!("{}\n0", ns(pid, "user")));
    assert_eq!(fs::metadata(second.upper("made")).unwrap().uid(), 0);
    spec["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 1, "size": 1 }]);
    spec["linux"]["gidMappings"] = spec["linux"]["uidMappings"].clone();
    assert!(second.refusal(&spec).to_string().contains("not those of the user namespace that is joined"));
    let last = spec["linux"]["namespaces"].as_array().unwrap().len() - 1;
    spec["linux"]["namespaces"][last]["path"] = json!(format!("/proc/{pid}/ns/net"));
    assert!(second.refusal(&spec).to_string().contains("a namespace of another kind"));
    spec["linux"]["namespaces"].as_array_mut().unwrap().pop();
    assert!(second.refusal(&spec).to_string().contains("does not list user"));
}

#[test]
fn shared_mounts_out_of_a_user_namespace_are_refused() {
    let sandbox = Sandbox::new();
    let mut spec = spec(&sandbox, "true");
    push(&mut spec["mounts"], bind(sandbox.path(), "/shared", &["rbind", "rshared"]));
    assert!(sandbox.refusal(&spec).to_string().contains("shares no mounts with the host"));
}

#[test]
fn one_layer_alone_is_mapped_as_it_is() {
    let sandbox = Sandbox::new();
    let user = UserNamespace::create(mappings()).unwrap();
    let lowers = RootKind::Overlay { lowers: vec!["lower".into()], upper: None, work: None, volatile: false };
    for kind in [lowers, RootKind::Bind { source: "lower".into(), readonly: false }] {
        let root = RootMount { kind, label: None, beneath: sandbox.path().to_owned() };
        let root = assemble_idmapped_root(&root, &user).unwrap();
        assert!(root.read("/etc/passwd".as_ref(), 1000).unwrap().is_some());
    }
}

#[test]
fn the_probe_says_yes_here_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    probe_user_namespaces(folder.path()).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(probe_user_namespaces(Path::new("/proc")).is_err());
}
