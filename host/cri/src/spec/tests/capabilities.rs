use super::*;

#[test]
fn privileged_means_all_of_the_node() {
    let mut case = Case::new();
    case.privileged();
    case.security().masked_paths = words(&["/proc/kcore"]);
    let spec = case.build().unwrap();
    assert_eq!(granted(&spec), case.node.capabilities);
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(linux.masked_paths().as_deref(), Some(&[][..]));
    let rules = linux.resources().as_ref().unwrap().devices().clone().unwrap();
    assert_eq!(rules.len(), 1);
    assert!(rules[0].allow() && rules[0].typ() == Some(LinuxDeviceType::A));
    let nodes = linux.devices().as_ref().unwrap();
    let null = nodes.iter().find(|node| node.path().to_str() == Some("/dev/null")).unwrap();
    assert_eq!((null.typ(), null.major(), null.minor()), (LinuxDeviceType::C, 1, 3));
    assert!(!nodes.iter().any(|node| node.path().starts_with("/dev/pts")));
    assert!(options(&spec, "/sys").contains(&"rw".to_owned()));
    assert!(options(&spec, "/sys/fs/cgroup").contains(&"rw".to_owned()));
    assert!(!linux.namespaces().iter().flatten().any(|namespace| namespace.typ() == Type::Cgroup));
}

#[test]
fn a_privileged_container_needs_a_privileged_pod() {
    let mut case = Case::new();
    case.security().privileged = true;
    case.refused(Kind::PermissionDenied, "no privileged container allowed in sandbox");
}

#[test]
fn capabilities_all_first_then_single_ones() {
    let asked = |add: &[&str], drop: &[&str]| {
        let mut case = Case::new();
        case.security().capabilities = Some(AskedCapabilities {
            add_capabilities: words(add),
            drop_capabilities: words(drop),
            add_ambient_capabilities: Vec::new(),
        });
        case.build().map(|spec| granted(&spec))
    };
    assert_eq!(asked(&["all"], &["CHOWN"]).unwrap(), Capabilities::from([Capability::SysAdmin]));
    assert_eq!(asked(&["CAP_SYS_TIME"], &["ALL"]).unwrap(), Capabilities::from([Capability::SysTime]));
    assert_eq!(asked(&["sys_time"], &[]).unwrap().len(), 15);
    assert!(asked(&["FLY"], &[]).unwrap_err().to_string().contains("unknown capability to add: \"FLY\""));
}

#[test]
fn ambient_capabilities_are_in_all_sets() {
    let mut case = Case::new();
    case.security().capabilities = Some(AskedCapabilities {
        drop_capabilities: words(&["ALL"]),
        add_ambient_capabilities: words(&["NET_BIND_SERVICE"]),
        ..AskedCapabilities::default()
    });
    let spec = case.build().unwrap();
    let sets = spec.process().as_ref().unwrap().capabilities().clone().unwrap();
    let expected = Some(Capabilities::from([Capability::NetBindService]));
    for set in [sets.bounding(), sets.permitted(), sets.effective(), sets.inheritable(), sets.ambient()] {
        assert_eq!(*set, expected);
    }
}
