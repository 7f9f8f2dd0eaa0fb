//! Images and devices that a container asks for by their names, and restrictions of mounts.

use super::*;
use wharf_api::cri::CdiDevice;

fn image(path: &str) -> Mount {
    let image = Some(ImageSpec { image: "sha256:1".into(), ..ImageSpec::default() });
    Mount { container_path: path.into(), image, ..Mount::default() }
}

#[test]
fn an_image_is_mounted_read_only_whatever_else_is_asked() {
    let mut case = Case::new();
    case.image_volumes.insert("/vol".into(), "sha256:1".into());
    case.config.mounts = vec![Mount { mount_options: words(&["noexec"]), ..image("/vol/") }];
    let spec = case.build().unwrap();
    assert_eq!(options(&spec, "/vol"), ["rbind", "rprivate", "ro", "rnoexec"]);
    assert_eq!(mounted(&spec, "/vol").unwrap().source().as_deref(), Some("image:sha256:1".as_ref()));
    case.config.mounts[0].host_path = "/x".into();
    case.refused(Kind::InvalidArgument, "image and host_path are both set");
    case.config.mounts[0] = Mount { image: None, image_sub_path: "a".into(), host_path: "/x".into(), ..image("/v") };
    case.refused(Kind::InvalidArgument, "image_sub_path is set without image");
}

#[test]
fn restrictions_go_for_all_that_is_mounted_below() {
    let mut case = Case::new();
    case.bind("v", "/v").mount_options = words(&["noexec", "nodev", "nosuid"]);
    assert_eq!(options(&case.build().unwrap(), "/v"), ["rbind", "rprivate", "rw", "rnoexec", "rnodev", "rnosuid"]);
    case.bind("w", "/w").mount_options = words(&["exec"]);
    case.refused(Kind::InvalidArgument, "mounts[/w]: mount_options: \"exec\"");
}

#[test]
fn devices_come_by_field_and_by_annotation_once() {
    let mut case = Case::new();
    case.config.cdi_devices = vec![CdiDevice { name: "v.com/c=a".into() }];
    case.refused(Kind::NotFound, "v.com/c=a");
    fs::create_dir(case.dir.path().join("cdi")).unwrap();
    let text = json!({ "cdiVersion": "0.5.0", "kind": "v.com/c", "devices": [
        { "name": "a", "containerEdits": { "env": ["A=1"], "deviceNodes": [{ "path": "/dev/a", "hostPath": "/dev/null" }] } },
        { "name": "b", "containerEdits": { "env": ["B=1"] } },
    ] });
    fs::write(case.dir.path().join("cdi/v.json"), text.to_string()).unwrap();
    case.config.annotations.insert("cdi.k8s.io/v".into(), "v.com/c=a,v.com/c=b".into());
    let spec = case.build().unwrap();
    let env = spec.process().as_ref().unwrap().env().clone().unwrap();
    assert_eq!(env.iter().filter(|entry| *entry == "A=1").count(), 1, "{env:?}");
    assert!(env.contains(&"B=1".to_owned()), "{env:?}");
    let devices = spec.linux().as_ref().unwrap().devices().clone().unwrap();
    assert_eq!(devices.iter().filter(|device| device.path().ends_with("a")).count(), 1);
}
