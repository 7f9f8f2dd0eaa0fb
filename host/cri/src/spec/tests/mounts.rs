use super::*;

#[test]
fn a_volume_that_wants_to_be_relabelled_is_mounted_on_a_node_with_selinux() {
    let mut case = Case::new();
    case.node.selinux = true;
    case.bind("v", "/v").selinux_relabel = true;
    assert!(mounted(&case.build().unwrap(), "/v").is_some());
}

#[test]
fn a_mount_of_the_client_wins_over_ours() {
    let mut case = Case::new();
    case.bind("d", "/dev/");
    case.bind("p", "/proc/");
    let spec = case.build().unwrap();
    assert_eq!(mounted(&spec, "/proc").unwrap().typ().as_deref(), Some("bind"));
    assert!(mounted(&spec, "/dev/pts").is_none() && mounted(&spec, "/dev/mqueue").is_none());
    assert!(case.dir.path().join("d").is_dir(), "a missing folder of the host is made");
}

#[test]
fn sources_are_resolved_and_propagation_needs_a_shared_mount() {
    let mut case = Case::new();
    fs::create_dir(case.dir.path().join("real")).unwrap();
    symlink("real", case.dir.path().join("link")).unwrap();
    case.bind("link", "/data").recursive_read_only = true;
    case.refused(Kind::InvalidArgument, "recursive_read_only conflicts");
    case.config.mounts[0].readonly = true;
    let spec = case.build().unwrap();
    let real = fs::canonicalize(case.dir.path().join("real")).unwrap();
    assert_eq!(mounted(&spec, "/data").unwrap().source().as_ref(), Some(&real));
    assert_eq!(options(&spec, "/data"), ["rbind", "rprivate", "rro"]);

    // proc is the one mount that every machine and container has privately or not: ask for what it is.
    let host = propagation::of("/proc".as_ref()).unwrap();
    case.config.mounts[0] = Mount {
        container_path: "/data".into(),
        host_path: "/proc".into(),
        propagation: MountPropagation::PropagationBidirectional.into(),
        ..Mount::default()
    };
    if host.shared {
        let spec = case.build().unwrap();
        assert_eq!(options(&spec, "/data"), ["rbind", "rshared", "rw"]);
        assert_eq!(spec.linux().as_ref().unwrap().rootfs_propagation().as_deref(), Some("rshared"));
    } else {
        case.refused(Kind::InvalidArgument, "not on a shared mount");
    }
}

#[test]
fn paths_of_mounts_are_checked() {
    for (host, container, words) in [
        ("/x", "data", "container_path is not absolute"),
        ("/x", "/", "root itself"),
        ("/x", "/a/../..", "root itself"),
        ("x", "/data", "host_path is not absolute"),
    ] {
        let mut case = Case::new();
        case.config.mounts =
            vec![Mount { host_path: host.into(), container_path: container.into(), ..Mount::default() }];
        case.refused(Kind::InvalidArgument, words);
    }
}

#[test]
fn paths_of_mounts_are_resolved_inside_of_the_root() {
    for (container, place) in [("/a/../b", "/b"), ("/../../b", "/b"), ("/a/./b/../c/", "/a/c")] {
        let mut case = Case::new();
        case.bind("m", container);
        assert!(mounted(&case.build().unwrap(), place).is_some(), "{container}");
    }
}

#[test]
fn volumes_of_an_image_are_memory_only_where_its_root_is_read_only() {
    let mut case = Case::new();
    case.image.set_volumes(Some(words(&["/var/data", "relative", "/mounted"])));
    case.bind("m", "/mounted");
    assert!(mounted(&case.build().unwrap(), "/var/data").is_none());
    case.security().readonly_rootfs = true;
    let spec = case.build().unwrap();
    assert_eq!(mounted(&spec, "/var/data").unwrap().typ().as_deref(), Some("tmpfs"));
    assert_eq!(mounted(&spec, "/mounted").unwrap().typ().as_deref(), Some("bind"));
}
