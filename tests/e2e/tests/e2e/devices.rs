//! Devices by the Container Device Interface, and what mounts may be restricted to.

use std::fs;

use serde_json::json;
use wharf_api::cri::{ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec, Mount, PodSandboxConfig};
use wharf_e2e::{Cri, Node};
use wharf_testkit::DaemonOptions;

#[test]
fn a_device_that_a_vendor_describes_is_there_with_all_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("etc"), dir.path().join("run"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    let cri = format!("cdi_spec_dirs = [{:?}, {:?}]", first, second);
    let Some(node) = Node::with(DaemonOptions { cri, ..DaemonOptions::default() }) else { return };
    node.ok(&["pull", &Node::image()]);
    fs::write(dir.path().join("lib"), "a library").unwrap();
    let lib = dir.path().join("lib");
    let text = format!(
        "cdiVersion: '0.7.0'\nkind: vendor.test/gpu\ndevices:\n- name: one\n  containerEdits:\n    env: [GPU=one]\n    \
         additionalGids: [4242]\n    deviceNodes:\n    - path: /dev/gpu\n      hostPath: /dev/full\n    mounts:\n    \
         - hostPath: {}\n      containerPath: /vendor/lib\n      options: [ro]\n    hooks:\n    - hookName: createRuntime\n      \
         path: /bin/sh\n      args: [sh, -c, 'cat > {}']\n      env: ['PATH=/usr/bin:/bin']\n",
        lib.display(),
        dir.path().join("told").display(),
    );
    fs::write(second.join("gpu.yaml"), text).unwrap();
    let pod = node.pod("devices");
    let script = "echo $GPU; id -G; cat /vendor/lib; echo; echo x > /dev/gpu; ls -l /dev/gpu";
    let (log, _) = node.outcome(&pod, "field", script, |config| {
        config["CDI_devices"] = json!([{ "name": "vendor.test/gpu=one" }]);
    });
    assert!(log.starts_with("one\n0 ") && log.contains("4242"), "{log}");
    assert!(log.contains("a library\n") && log.contains("No space left on device"), "{log}");
    let told = fs::read_to_string(dir.path().join("told")).unwrap();
    assert!(told.contains("\"status\":\"creating\""), "the hook was run: {told}");
    let (log, _) = node.outcome(&pod, "annotation", "echo $GPU", |config| {
        config["annotations"] = json!({ "cdi.k8s.io/vendor": "vendor.test/gpu=one" });
    });
    assert_eq!(log, "one\n");
    let config = node.container_config("absent", "true", |config| {
        config["CDI_devices"] = json!([{ "name": "vendor.test/gpu=two" }]);
    });
    let said = node.fails(&["create", &pod.id, &config, &pod.config]);
    assert!(said.contains("vendor.test/gpu=two not found") && said.contains("looked for in"), "{said}");
    node.finish();
}

#[test]
fn a_mount_can_forbid_programs() {
    let Some(node) = Node::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    fs::write(&program, "#!/bin/sh\necho it runs\n").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let pod = node.pod("noexec");
    // crictl does not know the field yet.
    let cri = Cri::new(&node.daemon.socket());
    let create = |name: &str, options: &[&str]| {
        let mount = Mount {
            host_path: dir.path().display().to_string(),
            container_path: "/programs".into(),
            mount_options: options.iter().map(|option| (*option).to_owned()).collect(),
            ..Mount::default()
        };
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.into(), attempt: 0 }),
            image: Some(ImageSpec { image: Node::image(), ..ImageSpec::default() }),
            command: ["sh", "-c", "/programs/program; grep /programs /proc/mounts"].map(str::to_owned).into(),
            log_path: format!("{name}.log"),
            mounts: vec![mount],
            ..ContainerConfig::default()
        };
        let sandbox = PodSandboxConfig { log_directory: pod.logs.display().to_string(), ..PodSandboxConfig::default() };
        let asked = CreateContainerRequest {
            pod_sandbox_id: pod.id.clone(),
            config: Some(config),
            sandbox_config: Some(sandbox),
        };
        let mut client = cri.runtime();
        cri.wait(async move { client.create_container(asked).await }).map(|made| made.into_inner().container_id)
    };
    let run = |name: &str, options: &[&str]| {
        let id = create(name, options).unwrap();
        node.ok(&["start", &id]);
        node.exit_code(&id);
        node.log(&id)
    };
    let log = run("may", &[]);
    assert!(log.contains("it runs\n"), "{log}");
    let log = run("may-not", &["noexec", "nosuid", "nodev"]);
    assert!(!log.contains("it runs") && log.contains("Permission denied"), "{log}");
    assert!(log.contains("nosuid,nodev,noexec"), "{log}");
    let refused = create("unknown", &["exec"]).unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
    node.finish();
}
