use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction as Action};

use super::*;

fn built(case: &Case) -> Option<LinuxSeccomp> {
    case.build().unwrap().linux().as_ref().unwrap().seccomp().clone()
}

fn profile(kind: i32, file: &str) -> Option<SecurityProfile> {
    Some(SecurityProfile { profile_type: kind, localhost_ref: file.into() })
}

fn allows(profile: &LinuxSeccomp, name: &str) -> bool {
    let mut rules = profile.syscalls().iter().flatten();
    rules.any(|rule| rule.action() == Action::ScmpActAllow && rule.names().iter().any(|other| other == name))
}

#[test]
fn nothing_asked_for_and_unconfined_are_no_profile() {
    let mut case = Case::new();
    assert_eq!(built(&case), None);
    case.security().seccomp = profile(1, "");
    assert_eq!(built(&case), None);
    case.security().seccomp = profile(1, "/strict.json");
    case.refused(Kind::InvalidArgument, "seccomp.localhost_ref");
    case.security().seccomp = profile(1, "");
    // The new field is what counts.
    case.security().seccomp_profile_path = "runtime/default".into();
    assert_eq!(built(&case), None);
    case.security().seccomp = None;
    case.security().seccomp_profile_path = "unconfined".into();
    assert_eq!(built(&case), None);
}

#[test]
fn the_default_knows_the_container_s_capabilities() {
    let mut case = Case::new();
    for word in ["runtime/default", "docker/default", ""] {
        let security = case.security();
        security.seccomp_profile_path = word.into();
        security.seccomp = profile(0, "").filter(|_| word.is_empty());
        let usual = built(&case).unwrap();
        assert_eq!(usual.default_action(), Action::ScmpActErrno);
        assert!(allows(&usual, "read") && allows(&usual, "chroot") && !allows(&usual, "mount"));
    }
    case.security().capabilities = Some(AskedCapabilities {
        add_capabilities: words(&["SYS_ADMIN"]),
        drop_capabilities: words(&["SYS_CHROOT"]),
        ..AskedCapabilities::default()
    });
    let other = built(&case).unwrap();
    assert!(allows(&other, "mount") && !allows(&other, "chroot"));
}

#[test]
fn a_file_is_taken_in_either_form_and_by_either_field() {
    let mut case = Case::new();
    let file = case.dir.path().join("profile.json");
    let path = file.to_str().unwrap().to_owned();
    let json = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "includes": { "caps": ["CAP_CHOWN"] } },
        { "name": "rmdir", "action": "SCMP_ACT_ERRNO", "excludes": { "caps": ["CAP_CHOWN"] } },
    ] });
    fs::write(&file, json.to_string()).unwrap();
    for (new, old) in [
        (profile(2, &path), String::new()),
        (profile(2, &format!("localhost/{path}")), String::new()),
        (None, format!("localhost/{path}")),
    ] {
        case.security().seccomp = new;
        case.security().seccomp_profile_path = old;
        let rules = built(&case).unwrap().syscalls().clone().unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].names(), &["mkdir"]);
    }
}

#[test]
fn a_profile_that_cannot_be_had_is_told_by_its_file() {
    let mut case = Case::new();
    let dir = case.dir.path().to_owned();
    let refused = |case: &mut Case, name: &str, words: &str| {
        let path = dir.join(name).to_str().unwrap().to_owned();
        case.security().seccomp = profile(2, &path);
        case.refused(Kind::InvalidArgument, &path);
        case.refused(Kind::InvalidArgument, words);
    };
    fs::write(dir.join("broken"), "{").unwrap();
    fs::write(dir.join("asks"), r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#).unwrap();
    refused(&mut case, "missing", "No such file");
    refused(&mut case, "broken", "it is no seccomp profile");
    refused(&mut case, "asks", "SCMP_ACT_NOTIFY cannot be used as default action");
    rustix::fs::mknodat(rustix::fs::CWD, dir.join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    refused(&mut case, "fifo", "it is no file");
    case.security().seccomp = profile(2, "profiles/x.json");
    case.refused(Kind::InvalidArgument, "profile profiles/x.json: the path is not absolute");
    case.security().seccomp = profile(7, "");
    case.refused(Kind::InvalidArgument, "profile_type");
    case.security().seccomp = None;
    case.security().seccomp_profile_path = "strict".into();
    case.refused(Kind::InvalidArgument, "\"strict\" is no profile");
}

#[test]
fn a_privileged_container_is_confined_by_no_profile() {
    let mut case = Case::new();
    case.privileged();
    case.security().seccomp = profile(0, "");
    assert_eq!(built(&case), None);
    case.security().seccomp = None;
    case.security().seccomp_profile_path = "runtime/default".into();
    assert_eq!(built(&case), None);
}
