use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::PathBuf};

use oci_spec::runtime::{Capabilities, Capability, LinuxDeviceType, LinuxNamespaceType as Type};
use serde_json::{Value, json};
use wharf_api::cri::{
    Capability as AskedCapabilities, ContainerMetadata, Device, HugepageLimit, IdMapping, ImageSpec, Int64Value,
    KeyValue, LinuxContainerConfig, LinuxContainerResources, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, Mount,
    MountPropagation, NamespaceMode, NamespaceOption, PodSandboxMetadata, SeLinuxOption, SecurityProfile,
    UserNamespace,
};
use wharf_shim_api::Namespace;

use super::*;

mod annotations;
mod capabilities;
mod labels;
mod mounts;
mod namespaces;
mod seccomp;

/// One container to be built, and the folders that it needs.
struct Case {
    dir: tempfile::TempDir,
    config: ContainerConfig,
    pod_config: PodSandboxConfig,
    image: ImageConfig,
    sandbox: SandboxOptions,
    node: Node,
    target_pid: Option<u32>,
    image_volumes: BTreeMap<PathBuf, String>,
    passed: PassedAnnotations,
}

// === impl Case ===

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["hosts", "hostname", "resolv.conf"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let mut image = ImageConfig::default();
        image
            .set_entrypoint(Some(vec!["/entry".into()]))
            .set_cmd(Some(vec!["default".into()]))
            .set_env(Some(vec!["FROM_IMAGE=1".into(), "BOTH=image".into()]));
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: "web".into(), attempt: 0 }),
            image: Some(ImageSpec { image: "busybox".into(), ..ImageSpec::default() }),
            ..ContainerConfig::default()
        };
        let metadata = PodSandboxMetadata { name: "pod".into(), uid: "u1".into(), namespace: "ns".into(), attempt: 0 };
        let pod_config =
            PodSandboxConfig { metadata: Some(metadata), hostname: "pod-host".into(), ..PodSandboxConfig::default() };
        let sandbox =
            SandboxOptions { hostname: "pod-host".into(), pid: Namespace::Container, ..SandboxOptions::default() };
        let node = Node {
            kernel: "6.1.0".into(),
            hostname: "node-1".into(),
            capabilities: Capabilities::from([Capability::Chown, Capability::SysAdmin]),
            unified: false,
            swap: true,
            hugetlb: true,
            selinux: false,
            apparmor: false,
            oom_floor: None,
        };
        let (image_volumes, passed) = (BTreeMap::new(), PassedAnnotations::default());
        Self { dir, config, pod_config, image, sandbox, node, target_pid: None, image_volumes, passed }
    }

    fn build(&self) -> Result<Spec> {
        build(&Input {
            pod_id: "pod-id",
            cgroup: "/pods/pod-id/ctr",
            pod_dir: self.dir.path(),
            sandbox: &self.sandbox,
            config: &self.config,
            pod_config: &self.pod_config,
            image: &self.image,
            image_name: "docker.io/library/busybox:latest",
            target_pid: self.target_pid,
            node: &self.node,
            cdi: &Cdi::new(vec![self.dir.path().join("cdi")]),
            image_volumes: &self.image_volumes,
            passed_annotations: &self.passed,
        })
    }

    fn security(&mut self) -> &mut LinuxContainerSecurityContext {
        let linux = self.config.linux.get_or_insert_with(LinuxContainerConfig::default);
        linux.security_context.get_or_insert_with(LinuxContainerSecurityContext::default)
    }

    fn resources(&mut self, resources: LinuxContainerResources) {
        self.config.linux.get_or_insert_with(LinuxContainerConfig::default).resources = Some(resources);
    }

    fn privileged(&mut self) {
        self.security().privileged = true;
        let security = LinuxSandboxSecurityContext { privileged: true, ..LinuxSandboxSecurityContext::default() };
        self.pod_config.linux =
            Some(LinuxPodSandboxConfig { security_context: Some(security), ..LinuxPodSandboxConfig::default() });
    }

    fn bind(&mut self, host: &str, container: &str) -> &mut Mount {
        let host_path = self.dir.path().join(host).to_string_lossy().into_owned();
        self.config.mounts.push(Mount { host_path, container_path: container.into(), ..Mount::default() });
        self.config.mounts.last_mut().unwrap()
    }

    /// Compares with `golden/NAME.json`; `BLESS=1` writes it instead.
    fn matches(&self, name: &str) {
        let mut value = serde_json::to_value(self.build().unwrap()).unwrap();
        for set in value["process"]["capabilities"].as_object_mut().unwrap().values_mut() {
            set.as_array_mut().unwrap().sort_by_key(Value::to_string);
        }
        let folder = fs::canonicalize(self.dir.path()).unwrap();
        let text = serde_json::to_string_pretty(&value).unwrap().replace(folder.to_str().unwrap(), "/DIR") + "\n";
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("src/spec/golden/{name}.json"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap();
        assert_eq!(text, golden, "{}", path.display());
    }

    fn refused(&self, kind: Kind, words: &str) {
        let error = self.build().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error} does not say {words:?}");
    }
}

fn args(spec: &Spec) -> Vec<String> {
    spec.process().as_ref().unwrap().args().clone().unwrap()
}

fn mounted<'a>(spec: &'a Spec, path: &str) -> Option<&'a oci_spec::runtime::Mount> {
    spec.mounts().as_ref().unwrap().iter().find(|mount| mount.destination().to_str() == Some(path))
}

fn options(spec: &Spec, path: &str) -> Vec<String> {
    mounted(spec, path).unwrap().options().clone().unwrap()
}

fn granted(spec: &Spec) -> Capabilities {
    let capabilities = spec.process().as_ref().unwrap().capabilities().clone().unwrap();
    assert_eq!(capabilities.bounding(), capabilities.effective());
    assert_eq!(capabilities.bounding(), capabilities.permitted());
    assert!(capabilities.inheritable().is_none() && capabilities.ambient().is_none());
    capabilities.bounding().clone().unwrap()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_container_that_asks_for_nothing() {
    Case::new().matches("plain");
}

/// What the kubelet sends for an ordinary container with limits and volumes.
#[test]
fn a_container_of_the_kubelet() {
    let mut case = Case::new();
    case.config.command = words(&["/bin/server"]);
    case.config.args = words(&["--port", "80"]);
    case.config.working_dir = "/srv".into();
    case.config.envs = vec![
        KeyValue { key: "BOTH".into(), value: b"pod".to_vec() },
        KeyValue { key: "PATH".into(), value: b"/bin".to_vec() },
    ];
    case.bind("volume/data", "/srv/data");
    case.bind("volume", "/srv").readonly = true;
    fs::write(case.dir.path().join("etc-hosts"), "").unwrap();
    case.bind("etc-hosts", "/etc/hosts");
    let security = case.security();
    security.namespace_options =
        Some(NamespaceOption { pid: NamespaceMode::Container.into(), ..NamespaceOption::default() });
    security.run_as_user = Some(Int64Value { value: 1000 });
    security.run_as_group = Some(Int64Value { value: 2000 });
    security.supplemental_groups = vec![3000, 2500];
    security.no_new_privs = true;
    security.readonly_rootfs = true;
    security.masked_paths = words(&["/proc/kcore"]);
    security.readonly_paths = words(&["/proc/sys"]);
    security.seccomp = Some(SecurityProfile { profile_type: 1, localhost_ref: String::new() });
    security.capabilities = Some(AskedCapabilities {
        add_capabilities: words(&["NET_ADMIN"]),
        drop_capabilities: words(&["ALL"]),
        add_ambient_capabilities: Vec::new(),
    });
    case.resources(LinuxContainerResources {
        cpu_period: 100_000,
        cpu_quota: 50_000,
        cpu_shares: 512,
        memory_limit_in_bytes: 64 << 20,
        oom_score_adj: 987,
        cpuset_cpus: "0-1".into(),
        hugepage_limits: vec![HugepageLimit { page_size: "2MB".into(), limit: 0 }],
        ..LinuxContainerResources::default()
    });
    case.matches("kubelet");
}

#[test]
fn a_container_with_all_of_the_nodes_namespaces() {
    let mut case = Case::new();
    case.pod_config.hostname = String::new();
    let node = Namespace::Node;
    case.sandbox = SandboxOptions { network: node, ipc: node, pid: node, ..SandboxOptions::default() };
    let spec = case.build().unwrap();
    let linux = spec.linux().as_ref().unwrap();
    let listed: Vec<_> = linux.namespaces().iter().flatten().map(|namespace| namespace.typ()).collect();
    assert_eq!(listed, [Type::Mount, Type::Cgroup]);
    assert!(spec.process().as_ref().unwrap().env().iter().flatten().any(|entry| entry == "HOSTNAME=node-1"));
    assert_eq!(mounted(&spec, "/dev/shm").unwrap().typ().as_deref(), Some("bind"));
}

#[test]
fn command_and_args_take_the_place_of_the_images_as_kubernetes_says() {
    let mut case = Case::new();
    let mut becomes = |command: &[&str], arguments: &[&str], want: &[&str]| {
        (case.config.command, case.config.args) = (words(command), words(arguments));
        assert_eq!(args(&case.build().unwrap()), want);
    };
    becomes(&[], &[], &["/entry", "default"]);
    becomes(&[], &["mine"], &["/entry", "mine"]);
    becomes(&["/run"], &[], &["/run"]);
    becomes(&["/run"], &["mine"], &["/run", "mine"]);

    case = Case::new();
    case.image.set_entrypoint(Some(words(&[""])));
    assert_eq!(args(&case.build().unwrap()), ["default"]);
    case.image.set_cmd(None);
    case.refused(Kind::InvalidArgument, "no command specified");
}

#[test]
fn a_later_variable_takes_the_place_of_an_earlier_one() {
    let mut case = Case::new();
    case.image.set_env(Some(words(&["A=1", "HOSTNAME=image", "TERM"])));
    case.config.tty = true;
    case.config.envs = vec![KeyValue { key: "A".into(), value: b"2=3".to_vec() }];
    let spec = case.build().unwrap();
    let env = spec.process().as_ref().unwrap().env().clone().unwrap();
    assert_eq!(
        env,
        ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=image", "A=2=3"],
        "an entry without `=` takes TERM away"
    );
    case.config.envs = vec![KeyValue { key: "BYTES".into(), value: vec![0xff] }];
    case.refused(Kind::Unsupported, "envs[BYTES]");
    case.config.envs = vec![KeyValue { key: "A=B".into(), value: Vec::new() }];
    case.refused(Kind::InvalidArgument, "envs");
}

#[test]
fn users_are_resolved_in_the_image_unless_numbers_say_all() {
    let user = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::new();
        change(&mut case);
        case.build().map(|spec| {
            let user = spec.process().as_ref().unwrap().user().clone();
            let groups = user.additional_gids().clone().unwrap_or_default();
            (user.uid(), user.gid(), groups, user.username().clone().unwrap_or_default())
        })
    };
    assert_eq!(user(&|_| ()).unwrap(), (0, 0, vec![], "0".to_owned()), "the groups of root are the image's to say");
    let image = user(&|case| {
        case.image.set_user(Some("www-data:1004".into()));
    });
    let image = image.unwrap();
    assert_eq!(image, (0, 0, vec![], "www-data:1004".to_owned()));
    let named = user(&|case| {
        case.image.set_user(Some("other".into()));
        case.security().run_as_username = "app".into();
        case.security().run_as_group = Some(Int64Value { value: 7 });
    });
    assert_eq!(named.unwrap().3, "app:7");
    let strict = |group: bool| {
        user(&|case| {
            let security = case.security();
            security.run_as_user = Some(Int64Value { value: 5 });
            security.run_as_group = group.then_some(Int64Value { value: 6 });
            security.supplemental_groups = vec![9, 6];
            security.supplemental_groups_policy = 1;
        })
    };
    assert_eq!(strict(true).unwrap(), (5, 6, vec![6, 9], "5:6".to_owned()));
    assert_eq!(strict(false).unwrap(), (5, 0, vec![6, 9], "5".to_owned()), "its group is the image's to say");
    let group_alone = user(&|case| case.security().run_as_group = Some(Int64Value { value: 7 }));
    assert!(group_alone.unwrap_err().to_string().contains("without user"));
    let negative = user(&|case| case.security().run_as_user = Some(Int64Value { value: -1 }));
    assert!(negative.unwrap_err().to_string().contains("run_as_user"));
}

#[test]
fn devices_are_made_and_allowed() {
    let mut case = Case::new();
    let device = |host: &str, container: &str, permissions: &str| Device {
        host_path: host.into(),
        container_path: container.into(),
        permissions: permissions.into(),
    };
    case.config.devices = vec![device("/dev/zero", "/dev/mine", "r")];
    let spec = case.build().unwrap();
    let linux = spec.linux().as_ref().unwrap();
    let node = &linux.devices().as_ref().unwrap()[0];
    assert_eq!((node.path().to_str(), node.major(), node.minor()), (Some("/dev/mine"), 1, 5));
    let rule = linux.resources().as_ref().unwrap().devices().as_ref().unwrap().last().unwrap();
    assert_eq!(rule.to_string(), "c 1:5 r");
    case.config.devices = vec![device("/dev/zero", "/dev/mine", "x")];
    case.refused(Kind::InvalidArgument, "permissions");
    case.config.devices = vec![device("/etc/passwd", "/dev/mine", "")];
    case.refused(Kind::InvalidArgument, "not a device node");
}

#[test]
fn limits_are_what_the_node_can_set() {
    let mut case = Case::new();
    (case.node.swap, case.node.hugetlb, case.node.oom_floor) = (false, false, Some(100));
    case.resources(LinuxContainerResources {
        memory_limit_in_bytes: 1 << 20,
        oom_score_adj: -998,
        hugepage_limits: vec![HugepageLimit { page_size: "2MB".into(), limit: 1 }],
        ..LinuxContainerResources::default()
    });
    let spec = case.build().unwrap();
    assert_eq!(spec.process().as_ref().unwrap().oom_score_adj(), Some(100));
    let resources = spec.linux().as_ref().unwrap().resources().clone().unwrap();
    let memory = resources.memory().unwrap();
    assert_eq!((memory.limit(), memory.swap()), (Some(1 << 20), None));
    assert!(resources.hugepage_limits().is_none() && resources.cpu().is_none());
    case.node.swap = true;
    let spec = case.build().unwrap();
    let resources = spec.linux().as_ref().unwrap().resources().clone().unwrap();
    assert_eq!(resources.memory().unwrap().swap(), Some(1 << 20), "no swap unless asked for");

    let unified = BTreeMap::from([("memory.high".to_owned(), "1".to_owned())]);
    case.resources(LinuxContainerResources { unified, ..LinuxContainerResources::default() });
    case.refused(Kind::Unsupported, "linux.resources.unified");
    case.node.unified = true;
    let spec = case.build().unwrap();
    assert_eq!(serde_json::to_value(spec).unwrap()["linux"]["resources"]["unified"], json!({"memory.high": "1"}));
    case.resources(LinuxContainerResources { oom_score_adj: 1001, ..LinuxContainerResources::default() });
    case.refused(Kind::InvalidArgument, "oom_score_adj");
}

#[test]
fn what_is_not_implemented_is_refused_by_its_field() {
    let refused = |field: &str, change: &dyn Fn(&mut Case)| {
        let mut case = Case::new();
        change(&mut case);
        case.refused(Kind::Unsupported, field);
    };
    refused("windows", &|case| case.config.windows = Some(wharf_api::cri::WindowsContainerConfig::default()));
}

#[test]
fn a_container_is_in_its_pods_user_namespace() {
    let maps = || vec![IdMapping { host_id: 100_000, container_id: 0, length: 65_536 }];
    let user = |mode: NamespaceMode| UserNamespace { mode: mode.into(), uids: maps(), gids: maps() };
    let mut case = Case::new();
    case.sandbox.user_namespace = Some(user_mappings(&user(NamespaceMode::Pod)));
    case.bind("v", "/v").uid_mappings = maps();
    case.refused(Kind::InvalidArgument, "both uidMappings and gidMappings");
    case.config.mounts[0].gid_mappings = maps();
    let spec = case.build().unwrap();
    let linux = spec.linux().as_ref().unwrap();
    assert!(linux.namespaces().as_ref().unwrap().iter().any(|namespace| namespace.typ() == Type::User));
    for map in [linux.uid_mappings(), linux.gid_mappings(), mounted(&spec, "/v").unwrap().uid_mappings()] {
        let map = map.as_ref().unwrap();
        assert_eq!((map[0].container_id(), map[0].host_id(), map[0].size()), (0, 100_000, 65_536));
    }
    let says = |case: &mut Case, userns: UserNamespace| {
        let userns_options = Some(userns);
        case.security().namespace_options =
            Some(NamespaceOption { userns_options, pid: 1, ..NamespaceOption::default() });
    };
    says(&mut case, user(NamespaceMode::Pod));
    case.build().unwrap();
    says(&mut case, UserNamespace { mode: NamespaceMode::Node.into(), ..UserNamespace::default() });
    case.refused(Kind::InvalidArgument, "userns_options: not the same as the pod sandbox's");
    case.sandbox.user_namespace = None;
    case.build().unwrap();
    says(&mut case, user(NamespaceMode::Pod));
    case.refused(Kind::InvalidArgument, "userns_options: not the same as the pod sandbox's");
}

mod asked_by_name;
