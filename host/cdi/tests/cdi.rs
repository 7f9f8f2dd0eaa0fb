//! Files as vendors write them, and what becomes of a container's specification.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail it as the test itself does")]

use std::{fs, path::PathBuf};

use oci_spec::runtime::{LinuxDeviceType, Spec};
use tempfile::TempDir;
use wharf_cdi::Cdi;
use wharf_error::Kind;

struct Folders {
    dir: TempDir,
}

impl Folders {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["etc", "run"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        Self { dir }
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn cdi(&self) -> Cdi {
        Cdi::new(["etc", "run", "absent"].map(|folder| self.dir.path().join(folder)).into())
    }

    fn apply(&self, names: &[&str]) -> wharf_error::Result<Spec> {
        let mut spec = Spec::default();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        self.cdi().apply(&names, &mut spec).map(|()| spec)
    }

    fn refused(&self, name: &str, kind: Kind, words: &str) {
        let error = self.apply(&[name]).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

const GPU: &str = r#"
cdiVersion: "0.7.0"
kind: vendor.com/gpu
containerEdits:
  env: [ "ALL=yes", "PATH=/vendor" ]
devices:
  - name: "0"
    containerEdits:
      env: [ "GPU=0" ]
      additionalGids: [ 44, 0 ]
      deviceNodes:
        - path: /dev/gpu0
          hostPath: /dev/null
          permissions: rw
      mounts:
        - hostPath: /usr/lib
          containerPath: /vendor/lib
          options: [ ro, nosuid ]
  - name: all
    containerEdits:
      deviceNodes: [ { path: /dev/zero }, { path: /dev/special, type: b, major: 7, minor: 9, uid: 5, gid: 6, fileMode: 384 } ]
"#;

#[test]
fn a_device_brings_all_that_it_needs() {
    let folders = Folders::new();
    folders.put("etc/gpu.yaml", GPU);
    let spec = folders.apply(&["vendor.com/gpu=0", "vendor.com/gpu=all", "vendor.com/gpu=0"]).unwrap();
    let process = spec.process().as_ref().unwrap();
    let env = process.env().as_ref().unwrap();
    assert_eq!(env.iter().filter(|entry| entry.starts_with("ALL=")).count(), 1, "{env:?}");
    assert!(env.contains(&"GPU=0".to_owned()) && env.contains(&"PATH=/vendor".to_owned()), "{env:?}");
    assert_eq!(env.iter().filter(|entry| entry.starts_with("PATH=")).count(), 1, "{env:?}");
    assert_eq!(process.user().additional_gids().as_deref(), Some(&[44][..]));
    let linux = spec.linux().as_ref().unwrap();
    let devices = linux.devices().as_ref().unwrap();
    let at = |path: &str| devices.iter().find(|device| device.path() == &PathBuf::from(path)).unwrap();
    let (gpu, special) = (at("/dev/gpu0"), at("/dev/special"));
    assert_eq!((gpu.typ(), gpu.major(), gpu.minor()), (LinuxDeviceType::C, 1, 3), "as the host's");
    assert_eq!((special.typ(), special.major(), special.minor()), (LinuxDeviceType::B, 7, 9));
    assert_eq!((special.uid(), special.gid(), special.file_mode()), (Some(5), Some(6), Some(0o600)));
    let rules = linux.resources().as_ref().unwrap().devices().clone().unwrap();
    assert!(rules.iter().any(|rule| rule.allow() && rule.major() == Some(1) && rule.access().as_deref() == Some("rw")));
    let mount = spec.mounts().as_ref().unwrap().iter().find(|mount| mount.destination().ends_with("lib")).unwrap();
    assert_eq!(mount.options().as_deref().unwrap(), ["rbind", "ro", "nosuid"]);
}

#[test]
fn a_later_folder_goes_before_an_earlier_one() {
    let folders = Folders::new();
    let one = |value: &str| {
        format!(
            r#"{{"cdiVersion":"0.3.0","kind":"v/c","devices":[{{"name":"a","containerEdits":{{"env":["X={value}"]}}}}]}}"#
        )
    };
    folders.put("etc/a.json", &one("etc"));
    let value = |folders: &Folders| {
        let spec = folders.apply(&["v/c=a"]).unwrap();
        spec.process().as_ref().unwrap().env().as_ref().unwrap().last().unwrap().clone()
    };
    assert_eq!(value(&folders), "X=etc");
    folders.put("run/b.json", &one("run"));
    assert_eq!(value(&folders), "X=run");
    folders.put("etc/c.json", &one("other"));
    assert_eq!(value(&folders), "X=run", "what conflicts below is covered");
    folders.put("run/d.yml", &one("conflict"));
    folders.refused("v/c=a", Kind::FailedPrecondition, "several files");
}

#[test]
fn what_is_not_there_or_not_right_is_named() {
    let folders = Folders::new();
    folders.put("etc/gpu.yaml", GPU);
    folders.refused("gpu", Kind::InvalidArgument, "not a qualified name");
    folders.refused("vendor.com/gpu=1", Kind::NotFound, "vendor.com/gpu=1");
    folders.refused("other.com/gpu=0", Kind::NotFound, "looked for in");
    folders.put("run/broken.yaml", "cdiVersion: [");
    folders.refused("vendor.com/gpu=1", Kind::NotFound, "broken.yaml");
    assert!(folders.apply(&["vendor.com/gpu=0"]).is_ok(), "a broken file is nobody else's harm");
    assert!(Folders::new().apply(&[]).is_ok());
}

#[test]
fn versions_are_taken_at_their_word() {
    let folders = Folders::new();
    let spec = |version: &str, name: &str, edits: &str| {
        format!(r#"{{"cdiVersion":"{version}","kind":"v/c","devices":[{{"name":"{name}","containerEdits":{edits}}}]}}"#)
    };
    for (version, name, edits, words) in [
        ("9.9.9", "a", "{}", "9.9.9"),
        ("0.3.0", "a", r#"{"mounts":[{"hostPath":"/a","containerPath":"/a","type":"bind"}]}"#, "0.4.0"),
        ("0.4.0", "a", r#"{"deviceNodes":[{"path":"/dev/a","hostPath":"/dev/null"}]}"#, "0.5.0"),
        ("0.4.0", "0", "{}", "0.5.0"),
        ("0.6.0", "a", r#"{"additionalGids":[1]}"#, "0.7.0"),
        ("1.0.0", "a", r#"{"netDevices":[{"hostInterfaceName":"x","name":"y"}]}"#, "1.1.0"),
        ("1.0.0", "a", r#"{"unheard":1}"#, "unheard"),
    ] {
        folders.put("etc/v.json", &spec(version, name, edits));
        let error = folders.apply(&[&format!("v/c={name}")]).unwrap_err().to_string();
        assert!(error.contains(words), "{error} does not say {words}");
    }
}

#[test]
fn hooks_come_after_those_that_are_there() {
    let folders = Folders::new();
    let text = r#"{"cdiVersion":"0.6.0","kind":"v/c","containerEdits":{"hooks":[
        {"hookName":"createContainer","path":"/bin/first","args":["first","x"],"env":["A=b"],"timeout":3}]},
        "devices":[{"name":"a","containerEdits":{"hooks":[
        {"hookName":"createContainer","path":"/bin/second"},{"hookName":"poststop","path":"/bin/last"}]}}]}"#;
    folders.put("etc/a.json", text);
    let hooks = serde_json::to_value(folders.apply(&["v/c=a"]).unwrap().hooks()).unwrap();
    let first = serde_json::json!({ "path": "/bin/first", "args": ["first", "x"], "env": ["A=b"], "timeout": 3 });
    let wanted = [first, serde_json::json!({ "path": "/bin/second" })];
    let mut created = hooks["createContainer"].as_array().unwrap().clone();
    created.sort_by_key(|hook| hook["path"].to_string());
    assert_eq!(created, wanted);
    assert_eq!(hooks["poststop"], serde_json::json!([{ "path": "/bin/last" }]));
}

#[test]
fn modes_in_yaml_are_octal_as_people_write_them() {
    for mode in ["0640", "0o640", "416"] {
        let folders = Folders::new();
        let text = format!(
            "cdiVersion: 0.6.0\nkind: v/c\ndevices:\n- name: a\n  containerEdits:\n    deviceNodes:\n    - path: /dev/null\n      fileMode: {mode}\n"
        );
        folders.put("etc/a.yaml", &text);
        let spec = folders.apply(&["v/c=a"]).unwrap();
        let devices = spec.linux().as_ref().unwrap().devices().as_ref().unwrap();
        assert_eq!(devices[0].file_mode(), Some(0o640), "{mode}");
    }
}

#[test]
fn interfaces_are_moved_once_and_to_one_name() {
    let folders = Folders::new();
    let put = |devices: &str| {
        folders.put("etc/a.json", &format!(r#"{{"cdiVersion":"1.1.0","kind":"v/net","devices":[{devices}]}}"#));
    };
    let device = |name: &str, host: &str, inside: &str| {
        format!(
            r#"{{"name":"{name}","containerEdits":{{"netDevices":[{{"hostInterfaceName":"{host}","name":"{inside}"}}]}}}}"#
        )
    };
    put(&[device("a", "eth1", "net0"), device("b", "eth2", "net1"), device("same", "eth1", "net0")].join(","));
    let spec = folders.apply(&["v/net=a", "v/net=b", "v/net=same"]).unwrap();
    let linux = serde_json::to_value(spec.linux()).unwrap();
    assert_eq!(linux["netDevices"], serde_json::json!({ "eth1": { "name": "net0" }, "eth2": { "name": "net1" } }));
    put(&[device("a", "eth1", "net0"), device("b", "eth1", "net1"), device("c", "eth2", "net0"), device("d", "", "x")]
        .join(","));
    for (second, words) in [("b", "\"eth1\" is given two names"), ("c", "\"net0\" inside"), ("d", "are needed")] {
        let error = folders.apply(&["v/net=a", &format!("v/net={second}")]).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn what_is_not_implemented_is_refused() {
    let folders = Folders::new();
    let edits = |edits: &str| {
        let text =
            format!(r#"{{"cdiVersion":"1.1.0","kind":"v/c","devices":[{{"name":"a","containerEdits":{edits}}}]}}"#);
        folders.put("etc/a.json", &text);
    };
    edits(r#"{"hooks":[{"hookName":"sometime","path":"/bin/hook"}]}"#);
    folders.refused("v/c=a", Kind::InvalidArgument, "hooks: \"sometime\" is no turn of a container's life");
    edits(r#"{"hooks":[{"hookName":"poststop","path":"hook"}]}"#);
    folders.refused("v/c=a", Kind::InvalidArgument, "plain absolute path");
    edits(r#"{"hooks":[{"hookName":"poststop","path":"/bin/hook","timeout":0}]}"#);
    folders.refused("v/c=a", Kind::InvalidArgument, "timeout 0 is not above zero");
    edits(r#"{"intelRdt":{"closID":"x"}}"#);
    folders.refused("v/c=a", Kind::Unsupported, "intelRdt");
    edits(r#"{"deviceNodes":[{"path":"/dev/nope-there-is-none"}]}"#);
    folders.refused("v/c=a", Kind::FailedPrecondition, "/dev/nope-there-is-none");
    edits(r#"{"deviceNodes":[{"path":"../dev/null"}]}"#);
    folders.refused("v/c=a", Kind::InvalidArgument, "plain absolute path");
    edits(r#"{"env":["nothing"]}"#);
    folders.refused("v/c=a", Kind::InvalidArgument, "env");
}
