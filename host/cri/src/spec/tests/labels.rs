use super::*;

fn process(case: &Case) -> oci_spec::runtime::Process {
    case.build().unwrap().process().clone().unwrap()
}

fn profile(kind: i32, name: &str) -> Option<SecurityProfile> {
    Some(SecurityProfile { profile_type: kind, localhost_ref: name.into() })
}

#[test]
fn without_apparmor_only_a_profile_by_name_is_refused() {
    let mut case = Case::new();
    for (new, old) in
        [(None, ""), (profile(0, ""), ""), (profile(1, ""), ""), (None, "runtime/default"), (None, "unconfined")]
    {
        case.security().apparmor = new;
        case.security().apparmor_profile = old.into();
        assert_eq!(*process(&case).apparmor_profile(), None);
    }
    for (new, old) in [(profile(2, "strict"), ""), (profile(2, "localhost/strict"), ""), (None, "localhost/strict")] {
        case.security().apparmor = new;
        case.security().apparmor_profile = old.into();
        case.refused(Kind::Unsupported, "profile \"strict\": this node has no AppArmor");
    }
    case.privileged();
    case.refused(Kind::Unsupported, "this node has no AppArmor");
    case.node.apparmor = true;
    for kind in [None, profile(0, "")] {
        case.security().apparmor = kind;
        case.security().apparmor_profile = String::new();
        assert_eq!(*process(&case).apparmor_profile(), None, "no default confines a privileged container");
    }
}

#[test]
fn with_apparmor_unconfined_is_said_and_odd_words_are_refused() {
    let mut case = Case::new();
    case.node.apparmor = true;
    case.security().apparmor = profile(1, "");
    assert_eq!(process(&case).apparmor_profile().as_deref(), Some("unconfined"));
    case.security().apparmor = profile(2, "localhost/");
    case.refused(Kind::InvalidArgument, "without a name");
    case.security().apparmor = profile(1, "localhost/strict");
    case.refused(Kind::InvalidArgument, "apparmor.localhost_ref");
    case.security().apparmor = profile(9, "");
    case.refused(Kind::InvalidArgument, "profile_type");
    case.security().apparmor = None;
    case.security().apparmor_profile = "strict".into();
    case.refused(Kind::InvalidArgument, "\"strict\" is no profile");
}

#[test]
fn labels_are_made_of_what_is_asked_for_where_there_is_selinux() {
    let options = |user: &str, role: &str, typ: &str, level: &str| {
        Some(SeLinuxOption { user: user.into(), role: role.into(), r#type: typ.into(), level: level.into() })
    };
    let mut case = Case::new();
    let labels = |case: &Case| {
        let spec = case.build().unwrap();
        let process = spec.process().as_ref().unwrap().selinux_label().clone();
        (process, spec.linux().as_ref().unwrap().mount_label().clone())
    };
    case.security().selinux_options = options("", "", "", "s0:c1,c2");
    assert_eq!(labels(&case), (None, None), "no SELinux, no labels");
    case.node.selinux = true;
    let both = |process: &str, files: &str| (Some(process.to_owned()), Some(files.to_owned()));
    assert_eq!(
        labels(&case),
        both("system_u:system_r:container_t:s0:c1,c2", "system_u:object_r:container_file_t:s0:c1,c2")
    );
    case.security().selinux_options = options("u", "r", "spc_t", "");
    assert_eq!(labels(&case), both("u:r:spc_t:s0", "u:object_r:container_file_t:s0"));
    for odd in [options("a:b", "", "", ""), options("", "", "x\",rw", ""), options("", "", "", "s0\n")] {
        case.security().selinux_options = odd;
        case.refused(Kind::InvalidArgument, "cannot be part of a label");
    }
    case.security().selinux_options = Some(SeLinuxOption::default());
    assert_eq!(labels(&case), (None, None));
    case.privileged();
    case.security().selinux_options = options("", "", "", "s0");
    assert_eq!(labels(&case), (None, None));
}
