use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::json;
use wharf_runtime::{RootKind, RootMount, assemble_root};

use crate::support::{Sandbox, bind, push};

#[test]
fn the_standard_mounts_are_there_with_their_options() {
    let table = Sandbox::new().sh("cat /proc/mounts").ok();
    let line = |at: &str| {
        let found = table.lines().find(|line| line.split(' ').nth(1) == Some(at));
        found.unwrap_or_else(|| panic!("no {at} in {table}")).to_owned()
    };
    assert!(line("/").starts_with("overlay "), "{table}");
    for (at, start, options) in [
        ("/proc", "proc", &["nosuid", "nodev", "noexec"][..]),
        ("/dev", "tmpfs", &["nosuid", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", &["nosuid", "noexec", "gid=5", "mode=620", "ptmxmode=666"]),
        ("/dev/mqueue", "mqueue", &["nosuid", "nodev", "noexec"]),
        ("/sys", "sysfs", &["ro", "nosuid", "nodev", "noexec"]),
        ("/sys/fs/cgroup", "", &["ro", "nosuid", "nodev", "noexec"]),
        ("/proc/sys", "proc", &["ro"]),
    ] {
        let line = line(at);
        assert!(line.starts_with(start), "{line}");
        let has: Vec<&str> = line.split(' ').nth(3).unwrap().split(',').collect();
        for option in options {
            assert!(has.contains(option), "{at}: no {option} in {line}");
        }
    }
    assert!(!table.contains("/dev/vda"), "nothing of the host's is mounted: {table}");
}

#[test]
fn binds_take_files_directories_and_what_is_below() {
    let sandbox = Sandbox::new();
    let source = sandbox.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "from the host").unwrap();
    fs::create_dir(sandbox.lower("existing")).unwrap();
    fs::write(sandbox.lower("existing/hidden"), "").unwrap();
    let mut spec = sandbox.spec(&[
        "sh",
        "-c",
        "cat /data/file /one/two/file; ls /existing; echo new > /data/made; \
        echo no > /existing/no; echo no > /one/two/file; ls -d /sys-copy/class/net/lo",
    ]);
    for mount in [
        bind(&source, "/data", &["rbind", "rw"]),
        bind(&source.join("file"), "/one/two/file", &["bind", "ro"]),
        bind(&source, "/existing", &["rbind", "ro", "rprivate"]),
        bind("/sys".as_ref(), "/sys-copy", &["rbind", "rro"]),
    ] {
        push(&mut spec["mounts"], mount);
    }
    let output = sandbox.run(&spec);
    assert_eq!(output.stdout, "from the hostfrom the hostfile\n/sys-copy/class/net/lo\n");
    assert_eq!(output.stderr.matches("Read-only file system").count(), 2, "{output:?}");
    assert_eq!(fs::read_to_string(source.join("made")).unwrap(), "new\n");
    assert_eq!(fs::read_to_string(source.join("file")).unwrap(), "from the host");
}

#[test]
fn recursive_read_only_reaches_below_and_plain_does_not() {
    // A container whose own /dev/shm-like tmpfs lies below what a second one would bind cannot be had without host
    // mounts; the host's /sys with its cgroup mounts below serves: all of it is looked at by its flags.
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sh", "-c", "grep ' /all\\| /top' /proc/mounts"]);
    push(&mut spec["mounts"], bind("/sys".as_ref(), "/all", &["rbind", "rro", "rnosuid"]));
    push(&mut spec["mounts"], bind("/sys".as_ref(), "/top", &["rbind", "ro"]));
    let table = sandbox.run(&spec).ok();
    let flags = |line: &str| line.split(' ').nth(3).unwrap().split(',').map(str::to_owned).collect::<Vec<_>>();
    let at = |line: &str| line.split(' ').nth(1).unwrap().to_owned();
    let below = |top: &str| {
        table.lines().filter(|line| at(line).starts_with(&format!("{top}/"))).map(flags).collect::<Vec<_>>()
    };
    assert!(!below("/all").is_empty(), "the host has nothing mounted below /sys: {table}");
    assert!(below("/all").iter().all(|flags| flags.contains(&"ro".into()) && flags.contains(&"nosuid".into())));
    assert!(below("/top").iter().any(|flags| flags.contains(&"rw".into())), "{table}");
}

#[test]
fn propagation_is_as_asked() {
    let sandbox = Sandbox::new();
    let source = sandbox.path().join("source");
    fs::create_dir(&source).unwrap();
    let mut spec = sandbox.spec(&["grep", " /p", "/proc/self/mountinfo"]);
    push(&mut spec["mounts"], bind(&source, "/p-default", &["rbind"]));
    push(&mut spec["mounts"], bind(&source, "/p-shared", &["rbind", "rshared"]));
    push(&mut spec["mounts"], bind(&source, "/p-private", &["rbind", "rprivate"]));
    let table = sandbox.run(&spec).ok();
    let shared = |at: &str| table.lines().find(|line| line.contains(at)).unwrap().contains("shared:");
    assert!(shared("/p-shared"), "{table}");
    assert!(!shared("/p-default") && !shared("/p-private"), "{table}");
}

#[test]
fn masked_paths_show_nothing_and_read_only_paths_stay_so() {
    let output = Sandbox::new().sh("for f in /proc/kcore /proc/keys /proc/timer_list; do test -e $f || continue; \
         stat -c '%t,%T' $f; wc -c < $f; done; ls -A /sys/firmware /proc/scsi 2>/dev/null | grep -v ':$' | grep .; \
         echo 1 > /proc/sys/kernel/sem; echo 1 > /proc/sys/net/ipv4/ip_forward; echo done");
    for pair in output.stdout.trim_end().trim_end_matches("done").trim_end().lines().collect::<Vec<_>>().chunks(2) {
        assert_eq!(pair, ["1,3", "0"], "{output:?}");
    }
    assert!(output.stdout.contains("1,3") && output.stdout.ends_with("done\n"), "{output:?}");
    assert_eq!(output.stderr.matches("Read-only file system").count(), 2, "{output:?}");
}

#[test]
fn a_read_only_root_takes_no_writes_but_in_its_mounts() {
    let sandbox = Sandbox::new();
    let source = sandbox.path().join("source");
    fs::create_dir(&source).unwrap();
    let mut spec = sandbox.spec(&["sh", "-c", "echo x > /file; echo x > /data/file; echo x > /dev/shm-like; ls /cwd"]);
    spec["root"]["readonly"] = json!(true);
    spec["process"]["cwd"] = json!("/cwd");
    push(&mut spec["mounts"], bind(&source, "/data", &["rbind", "rw"]));
    let output = sandbox.run(&spec);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("can't create /file: Read-only file system"), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert!(source.join("file").exists());
    assert!(!sandbox.upper("file").exists());
}

#[test]
fn a_read_only_tmpfs_still_holds_what_belongs_in_it() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["sh", "-c", "echo x > /dev/null && echo x > /dev/new; ls /dev/pts/ptmx"]);
    push(&mut spec["mounts"][1]["options"], json!("ro"));
    let output = sandbox.run(&spec);
    assert_eq!(output.stdout, "/dev/pts/ptmx\n");
    assert!(output.stderr.contains("/dev/new: Read-only file system"), "{output:?}");
}

#[test]
fn devices_and_links() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&[
        "sh",
        "-c",
        "cd /dev; stat -c '%n %a %u:%g %t,%T' null zero full random urandom tty \
        fuse fifo; for l in fd stdin stdout stderr ptmx; do echo $l $(readlink $l); done; echo ok > stdout",
    ]);
    spec["linux"]["devices"] = json!([
        { "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 5, "gid": 6 },
        { "path": "/dev/fifo", "type": "p", "fileMode": 0o600 },
        { "path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 0, "gid": 0 },
    ]);
    let output = sandbox.run(&spec).ok();
    assert_eq!(
        output.lines().collect::<Vec<_>>(),
        [
            "null 666 0:0 1,3",
            "zero 666 0:0 1,5",
            "full 666 0:0 1,7",
            "random 666 0:0 1,8",
            "urandom 666 0:0 1,9",
            "tty 666 0:0 5,0",
            "fuse 640 5:6 a,e5",
            "fifo 600 0:0 0,0",
            "fd /proc/self/fd",
            "stdin /proc/self/fd/0",
            "stdout /proc/self/fd/1",
            "stderr /proc/self/fd/2",
            "ptmx pts/ptmx",
            "ok",
        ]
    );
}

#[test]
fn layers_lie_on_each_other_and_the_host_table_stays() {
    let sandbox = Sandbox::new();
    let mut lowers = Vec::new();
    for number in 0..126 {
        let name = format!("layer-{number}");
        fs::create_dir(sandbox.path().join(&name)).unwrap();
        fs::write(sandbox.path().join(&name).join("top"), number.to_string()).unwrap();
        fs::write(sandbox.path().join(&name).join(format!("own-{number}")), "").unwrap();
        lowers.push(name.into());
    }
    lowers.push("lower".into());
    let root = RootMount {
        label: None,
        kind: RootKind::Overlay { lowers, upper: None, work: None, volatile: false },
        beneath: sandbox.path().to_owned(),
    };
    let root = assemble_root(&root).unwrap();
    assert_eq!(root.read("/top".as_ref(), 10).unwrap().unwrap(), b"0");
    assert_eq!(root.read("/own-125".as_ref(), 10).unwrap().unwrap(), b"");
    assert!(root.read("/etc/passwd".as_ref(), 5).unwrap_err().to_string().contains("more than 5 bytes"));
    assert!(root.read("/etc".as_ref(), 5).unwrap_err().to_string().contains("no regular file"));
    assert!(root.read("/none".as_ref(), 5).unwrap().is_none());
}

#[test]
fn one_layer_alone_is_a_read_only_view() {
    let sandbox = Sandbox::new();
    for at in ["proc", "dev", "sys", "work"] {
        fs::create_dir(sandbox.lower(at)).unwrap();
    }
    let spec = serde_json::from_value(sandbox.spec(&["sh", "-c", "echo x > /file"])).unwrap();
    let (stdio, pipes) = crate::support::pipes();
    let root = RootMount {
        label: None,
        kind: RootKind::Overlay { lowers: vec!["lower".into()], upper: None, work: None, volatile: false },
        beneath: sandbox.path().to_owned(),
    };
    let container = wharf_runtime::create(wharf_runtime::CreateRequest {
        id: "view",
        bundle: &sandbox.path().join("bundle"),
        spec: &spec,
        root: assemble_root(&root).unwrap(),
        sources: std::collections::BTreeMap::new(),
        namespaces: &wharf_runtime::PodNamespaces::default(),
        user_namespace: None,
        cgroup: None,
        merge_image_groups: true,
        folders: &[],
        stdio,
    })
    .unwrap();
    container.start().unwrap();
    let output = pipes.wait(container.pidfd());
    assert!(output.stderr.contains("Read-only file system"), "{output:?}");
}

#[test]
fn the_working_directory_is_made_and_may_be_the_user_s_or_root_s() {
    let sandbox = Sandbox::new();
    let mut spec = sandbox.spec(&["pwd"]);
    spec["process"]["cwd"] = json!("/made/for/it");
    assert_eq!(sandbox.run(&spec).ok(), "/made/for/it");

    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.lower("closed")).unwrap();
    fs::set_permissions(sandbox.lower("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    let mut spec = sandbox.spec(&["readlink", "/proc/self/cwd"]);
    spec["process"]["user"] = json!({ "uid": 1001, "gid": 1001 });
    spec["process"]["cwd"] = json!("/closed");
    assert_eq!(sandbox.run(&spec).ok(), "/closed", "root may enter it, so the user stands there, as with runc");
}

#[test]
fn a_tmpfs_may_begin_with_what_the_image_has() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.lower("data/folder/deep")).unwrap();
    fs::write(sandbox.lower("data/folder/file"), "from the image").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", sandbox.lower("data/link")).unwrap();
    std::os::unix::fs::chown(sandbox.lower("data/folder"), Some(7), Some(8)).unwrap();
    for (path, mode) in [("data", 0o711), ("data/folder", 0o2750), ("data/folder/file", 0o4711)] {
        fs::set_permissions(sandbox.lower(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let script = "stat -c '%n %a %u:%g' /data /data/folder /data/folder/file /data/folder/deep; readlink /data/link; \
        cat /data/folder/file; echo; grep ' /data ' /proc/mounts | cut -d' ' -f3; echo x > /data/new; ls /none";
    let mut spec = sandbox.spec(&["sh", "-c", script]);
    let tmpfs = |at: &str, options: &[&str]| json!({ "destination": at, "type": "tmpfs", "options": options });
    push(&mut spec["mounts"], tmpfs("/data", &["tmpcopyup", "size=1m"]));
    push(&mut spec["mounts"], tmpfs("/none", &["tmpcopyup"]));
    let output = sandbox.run(&spec).ok();
    assert_eq!(
        output.lines().collect::<Vec<_>>(),
        [
            "/data 711 0:0",
            "/data/folder 2750 7:8",
            "/data/folder/file 4711 0:0",
            "/data/folder/deep 755 0:0",
            "/etc/passwd",
            "from the image",
            "tmpfs",
        ]
    );
    assert!(!sandbox.upper("data/new").exists() && !sandbox.lower("data/new").exists());

    fs::write(sandbox.lower("data/large"), vec![1; 2 << 20]).unwrap();
    let error = sandbox.refusal(&spec).to_string();
    assert!(error.contains("mount /data") && error.contains("larger than the tmpfs"), "{error}");
}

#[test]
fn a_copied_up_folder_leads_nowhere_else() {
    let sandbox = Sandbox::new();
    let outside = sandbox.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "").unwrap();
    std::os::unix::fs::symlink(&outside, sandbox.lower("data")).unwrap();
    let mut spec = sandbox.spec(&["sh", "-c", "ls /data/"]);
    push(&mut spec["mounts"], json!({ "destination": "/data", "type": "tmpfs", "options": ["tmpcopyup"] }));
    assert_eq!(sandbox.run(&spec).ok(), "", "the link leads into the root, where there is nothing");
}

#[test]
fn the_root_propagates_as_asked() {
    let sandbox = Sandbox::new();
    let tags = |propagation: &str| {
        let mut spec = sandbox.spec(&["sh", "-c", "grep -m1 ' / / ' /proc/self/mountinfo"]);
        spec["linux"]["rootfsPropagation"] = json!(propagation);
        let line = sandbox.run(&spec).ok();
        line.split(" - ").next().unwrap().split(' ').skip(6).collect::<Vec<_>>().join(" ")
    };
    assert!(tags("shared").starts_with("shared:"));
    assert!(tags("rshared").starts_with("shared:"));
    assert_eq!(tags("unbindable"), "unbindable");
    for private in ["", "private", "rprivate", "slave", "rslave"] {
        assert_eq!(tags(private), "", "{private}");
    }
    let mut spec = sandbox.spec(&["true"]);
    spec["linux"]["rootfsPropagation"] = json!("sideways");
    assert!(sandbox.refusal(&spec).to_string().contains("rootfsPropagation \"sideways\" is unknown"));
}

#[test]
fn folders_are_made_below_what_is_mounted_and_nowhere_else() {
    let sandbox = Sandbox::new();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), sandbox.lower("leads-out")).unwrap();
    fs::write(sandbox.lower("file"), "").unwrap();
    let volume = tempfile::tempdir().unwrap();
    let mut spec = sandbox.spec(&["sh", "-c", "ls -d /made/deep /home/dev; touch /made/deep/x; ls /volume"]);
    push(&mut spec["mounts"], bind(volume.path(), "/volume", &["rbind", "rw"]));
    let folders = ["/made/deep", "/home/dev", "/leads-out/in", "/file", "/volume/below"].map(std::path::PathBuf::from);
    let output = sandbox.run_with_folders(&spec, &folders);
    assert_eq!(output.ok(), "/home/dev\n/made/deep");
    assert!(sandbox.upper("made/deep/x").exists());
    assert!(fs::read_dir(outside.path()).unwrap().next().is_none(), "nothing outside the root");
    assert!(fs::read_dir(volume.path()).unwrap().next().is_none(), "nothing in what is mounted");
}
