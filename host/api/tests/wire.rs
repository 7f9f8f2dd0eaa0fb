//! Our interface description against a published one: no number, name or type may disagree.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, ServiceDescriptorProto};

/// The package that carries a description of CRI v1, of Kubernetes 1.32's level.
const CARRIER: &str = "k8s-cri";

/// Declared otherwise on purpose. The wire type is the same: length and bytes.
const RETYPED: &[&str] = &["runtime.v1.KeyValue.value = 2"];

/// What a description says, as sets of lines: `message.field = number` with its type, and so on.
#[derive(Default)]
struct Facts {
    fields: BTreeMap<String, String>,
    values: BTreeSet<String>,
    methods: BTreeMap<String, String>,
    messages: BTreeSet<String>,
}

#[test]
fn no_number_name_or_type_disagrees() {
    let ours =
        Facts::read(Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("proto"), "runtime/v1/api.proto");
    let theirs = Facts::read(carrier().join("proto"), "v1.proto");
    assert!(theirs.fields.len() > 300 && theirs.methods.len() >= 34, "the carrier was read");

    let mut wrong = Vec::new();
    for (field, kind) in &theirs.fields {
        match ours.fields.get(field) {
            Some(our_kind) if our_kind == kind || RETYPED.contains(&field.as_str()) => {}
            found => wrong.push(format!("{field}: {kind} there, {found:?} here")),
        }
    }
    for (method, signature) in &theirs.methods {
        if ours.methods.get(method) != Some(signature) {
            wrong.push(format!("{method}: {signature} there, {:?} here", ours.methods.get(method)));
        }
    }
    wrong.extend(theirs.values.difference(&ours.values).map(|value| format!("{value} is not here")));
    wrong.extend(theirs.messages.difference(&ours.messages).map(|message| format!("{message} is not here")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the carrier is too old for is written down a second time, so that no slip of a key changes the wire.
#[test]
fn what_is_newer_than_the_published_copy_is_what_we_mean() {
    let ours =
        Facts::read(Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("proto"), "runtime/v1/api.proto");
    let theirs = Facts::read(carrier().join("proto"), "v1.proto");

    let fields: Vec<_> = ours
        .fields
        .keys()
        .filter(|field| !theirs.fields.contains_key(*field))
        .filter(|field| theirs.messages.iter().any(|message| field.starts_with(&format!("{message}."))))
        .map(|field| field.trim_start_matches("runtime.v1."))
        .collect();
    assert_eq!(
        fields,
        [
            "ContainerConfig.stop_signal = 18",
            "ContainerStats.io = 6",
            "ContainerStatus.stop_signal = 19",
            "CpuUsage.psi = 4",
            "ImageSpec.image_ref = 20",
            "LinuxPodSandboxStats.io = 6",
            "MemoryUsage.psi = 8",
            "Mount.image_sub_path = 10",
            "Mount.mount_options = 11",
            "RuntimeFeatures.mount_options = 3",
            "RuntimeFeatures.user_namespaces_host_network = 2",
        ]
    );

    let methods: Vec<_> = ours.methods.keys().filter(|method| !theirs.methods.contains_key(*method)).collect();
    assert_eq!(
        methods,
        [
            "ImageService.StreamImages",
            "RuntimeService.CheckpointPod",
            "RuntimeService.RestorePod",
            "RuntimeService.StreamContainerStats",
            "RuntimeService.StreamContainers",
            "RuntimeService.StreamPodSandboxMetrics",
            "RuntimeService.StreamPodSandboxStats",
            "RuntimeService.StreamPodSandboxes",
            "RuntimeService.UpdatePodSandboxResources",
        ]
    );

    let new: Vec<_> = ours.messages.difference(&theirs.messages).map(|name| name.as_str()).collect();
    assert_eq!(new.len(), 24, "{new:?}");
    let signals: Vec<_> = ours.values.difference(&theirs.values).collect();
    assert_eq!(signals.len(), 66, "{signals:?}");
    for signal in ["SIGNAL_RUNTIME_DEFAULT = 0", "SIGNAL_SIGKILL = 13", "SIGNAL_SIGTERM = 23", "SIGNAL_SIGRTMAX = 65"] {
        assert!(ours.values.contains(&format!("runtime.v1.Signal.{signal}")), "{signal}");
    }
}

// === impl Facts ===

impl Facts {
    fn read(root: PathBuf, file: &str) -> Self {
        let set = protox::compile([file], [&root]).unwrap_or_else(|e| panic!("{}: {e}", root.display()));
        let mut facts = Self::default();
        set.file.iter().filter(|file| file.package() == "runtime.v1").for_each(|file| facts.file(file));
        facts
    }

    fn file(&mut self, file: &FileDescriptorProto) {
        file.message_type.iter().for_each(|message| self.message(file.package(), message));
        file.enum_type.iter().for_each(|kind| self.values(file.package(), kind));
        file.service.iter().for_each(|service| self.methods(service));
    }

    fn message(&mut self, scope: &str, message: &DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        for field in &message.field {
            let kind = format!("{:?} {:?} {}", field.label(), field.r#type(), field.type_name());
            self.fields.insert(format!("{name}.{} = {}", field.name(), field.number()), kind);
        }
        message.nested_type.iter().for_each(|nested| self.message(&name, nested));
        message.enum_type.iter().for_each(|kind| self.values(&name, kind));
        self.messages.insert(name);
    }

    fn values(&mut self, scope: &str, kind: &EnumDescriptorProto) {
        for value in &kind.value {
            self.values.insert(format!("{scope}.{}.{} = {}", kind.name(), value.name(), value.number()));
        }
    }

    fn methods(&mut self, service: &ServiceDescriptorProto) {
        for method in &service.method {
            let stream = |yes| if yes { "stream " } else { "" };
            let signature = format!(
                "{}{} -> {}{}",
                stream(method.client_streaming()),
                method.input_type(),
                stream(method.server_streaming()),
                method.output_type()
            );
            self.methods.insert(format!("{}.{}", service.name(), method.name()), signature);
        }
    }
}

/// The folder of the carrier's source, fetched when it is not on this disk yet.
fn carrier() -> PathBuf {
    metadata().unwrap_or_else(|| {
        let fetched = cargo(&["fetch", "--locked"]);
        assert!(fetched.status.success(), "cargo fetch: {}", String::from_utf8_lossy(&fetched.stderr));
        metadata().unwrap_or_else(|| panic!("{CARRIER} is not in Cargo.lock"))
    })
}

fn metadata() -> Option<PathBuf> {
    let output = cargo(&["metadata", "--format-version", "1", "--offline"]);
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let package = metadata["packages"].as_array()?.iter().find(|package| package["name"] == CARRIER)?;
    let folder = Path::new(package["manifest_path"].as_str()?).parent()?;
    folder.is_dir().then(|| folder.to_owned())
}

fn cargo(args: &[&str]) -> std::process::Output {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(args).output();
    output.unwrap_or_else(|error| panic!("run cargo: {error}"))
}
