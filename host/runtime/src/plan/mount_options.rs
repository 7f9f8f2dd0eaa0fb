use std::ffi::CString;

use oci_spec::runtime::Mount;
use wharf_error::{Error, Kind, Result};

use super::c_string;
use crate::sys::Attributes;

const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const NOEXEC: u64 = 0x8;
const ATIME: u64 = 0x70;
const RELATIME: u64 = 0x00;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
const NOSYMFOLLOW: u64 = 0x20_0000;

/// The options that are understood here; what else there is goes to the file system.
pub(crate) const KNOWN: [&str; 67] = [
    "acl",
    "async",
    "atime",
    "bind",
    "copy-up",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noacl",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
    "_netdev",
    "noauto",
    "nofail",
];

/// Flags of file systems, which mount(2) takes with a bind mount, too, and does not heed.
const OF_FILE_SYSTEMS: [&str; 5] = ["acl", "dirsync", "lazytime", "mand", "sync"];

/// A mount's options, sorted by who takes them.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// `bind` or `rbind`; `rbind` takes the mounts below along.
    pub(super) bind: bool,
    pub(super) recursive: bool,
    /// For the mount itself.
    pub(super) own: Attributes,
    /// For the mount and all below it: `rro` and its like.
    pub(super) all: Attributes,
    /// The mount's propagation, and whether it goes for all below it; `None`: private.
    pub(super) propagation: Option<(u64, bool)>,
    /// Whether its files' owners are mapped, and with `Some(true)` those of all mounts below it, too.
    pub(super) idmap: Option<bool>,
    /// Whether a tmpfs begins with what lies under it.
    pub(super) copy_up: bool,
    /// For the file system.
    pub(super) data: Vec<(CString, Option<CString>)>,
}

/// Whether a mount is a bind mount.
pub(super) fn is_bind(mount: &Mount) -> bool {
    let bind = |option: &String| option == "bind" || option == "rbind";
    mount.typ().as_deref() == Some("bind") || mount.options().iter().flatten().any(bind)
}

/// Sorts a mount's options.
pub(super) fn parse(mount: &Mount) -> Result<Options> {
    let mut options = Options { bind: is_bind(mount), ..Options::default() };
    for option in mount.options().iter().flatten() {
        if apply(option, &mut options) {
            continue;
        }
        let at = mount.destination().display();
        if option == "remount" {
            return Err(Error::new(Kind::Unsupported, format!("mount {at}: option {option} is not supported")));
        }
        // As mount(2) has it: what a file system would take says nothing to a copy of a mount.
        if options.bind && (option.contains('=') || OF_FILE_SYSTEMS.contains(&option.as_str())) {
            continue;
        }
        if options.bind {
            return Err(Error::invalid(format!("mount {at}: a bind mount takes no option {option}")));
        }
        options.data.push(match option.split_once('=') {
            Some((key, value)) => (c_string("mount option", key)?, Some(c_string("mount option", value)?)),
            None => (c_string("mount option", option)?, None),
        });
    }
    let at = mount.destination().display();
    if options.copy_up && mount.typ().as_deref() != Some("tmpfs") {
        return Err(Error::invalid(format!("mount {at}: option tmpcopyup is for a tmpfs")));
    }
    let mapped = |list: &Option<Vec<_>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if mapped(mount.uid_mappings()) || mapped(mount.gid_mappings()) {
        options.idmap.get_or_insert(false);
    }
    if options.idmap.is_some() && !options.bind {
        return Err(Error::invalid(format!("mount {at}: only a bind mount can be idmapped")));
    }
    Ok(options)
}

fn apply(option: &str, options: &mut Options) -> bool {
    // `r` before an attribute makes it recursive; `ro` and `relatime` are words of their own.
    let (word, attributes) = match option.strip_prefix('r') {
        Some(word) if attribute(option).is_none() && attribute(word).is_some() => (word, &mut options.all),
        _ => (option, &mut options.own),
    };
    if let Some((set, clear)) = attribute(word) {
        attributes.set = attributes.set & !clear | set;
        attributes.clear = attributes.clear & !set | clear;
        return true;
    }
    match option {
        "bind" => {}
        "idmap" => options.idmap = Some(false),
        "ridmap" => options.idmap = Some(true),
        "tmpcopyup" | "copy-up" => options.copy_up = true,
        "rbind" => options.recursive = true,
        "private" => options.propagation = Some((libc::MS_PRIVATE, false)),
        "rprivate" => options.propagation = Some((libc::MS_PRIVATE, true)),
        "slave" => options.propagation = Some((libc::MS_SLAVE, false)),
        "rslave" => options.propagation = Some((libc::MS_SLAVE, true)),
        "shared" => options.propagation = Some((libc::MS_SHARED, false)),
        "rshared" => options.propagation = Some((libc::MS_SHARED, true)),
        "unbindable" => options.propagation = Some((libc::MS_UNBINDABLE, false)),
        "runbindable" => options.propagation = Some((libc::MS_UNBINDABLE, true)),
        // What mount(8) keeps to itself, and the defaults by name.
        "defaults" | "async" | "nomand" | "loud" | "nofail" | "noauto" | "_netdev" => {}
        // Flags that say what is so anyway, or that fsopen(2) has no word for: access lists, which file systems have or have
        // not, how much the kernel logs of the mount, and a counter that they keep or do not.
        "acl" | "noacl" | "nolazytime" | "silent" | "iversion" | "noiversion" => {}
        _ => return option.starts_with("x-"),
    }
    true
}

/// What an option sets and clears.
fn attribute(option: &str) -> Option<(u64, u64)> {
    Some(match option {
        "ro" => (RDONLY, 0),
        "rw" => (0, RDONLY),
        "nosuid" => (NOSUID, 0),
        "suid" => (0, NOSUID),
        "nodev" => (NODEV, 0),
        "dev" => (0, NODEV),
        "noexec" => (NOEXEC, 0),
        "exec" => (0, NOEXEC),
        // Of the times one is valid: it is cleared and set together. Without any the kernel's is `relatime`.
        "relatime" | "norelatime" | "atime" | "nostrictatime" => (RELATIME, ATIME),
        "noatime" => (NOATIME, ATIME),
        "strictatime" => (STRICTATIME, ATIME),
        "nodiratime" => (NODIRATIME, 0),
        "diratime" => (0, NODIRATIME),
        "nosymfollow" => (NOSYMFOLLOW, 0),
        "symfollow" => (0, NOSYMFOLLOW),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(options: &[&str]) -> Result<Options> {
        let mount = serde_json::json!({ "destination": "/data", "type": "bind", "options": options });
        parse(&serde_json::from_value(mount).unwrap())
    }

    #[test]
    fn attributes_are_the_last_word_s() {
        let options = parsed(&["rbind", "ro", "nosuid", "rw", "noatime"]).unwrap();
        assert!(options.bind && options.recursive);
        assert_eq!(options.own.set, NOSUID | NOATIME);
        assert_eq!(options.own.clear & RDONLY, RDONLY);
        assert_eq!(options.all, Attributes::default());
    }

    #[test]
    fn an_r_in_front_takes_all_below() {
        let options = parsed(&["rbind", "rro", "rnoexec", "rslave", "relatime"]).unwrap();
        assert_eq!(options.all.set, RDONLY | NOEXEC);
        assert_eq!(options.own.set, RELATIME);
        assert_eq!(options.own.clear, ATIME);
        assert_eq!(options.propagation, Some((libc::MS_SLAVE, true)));
    }

    #[test]
    fn what_is_known_is_taken() {
        for option in KNOWN {
            // As a bind mount, which takes no data.
            let known = parsed(&[option]).map(|options| options.data.is_empty());
            let for_tmpfs = ["copy-up", "tmpcopyup"].contains(&option);
            assert!(known.as_ref().is_ok_and(|known| *known) || for_tmpfs, "{option}: {known:?}");
        }
    }

    #[test]
    fn a_bind_mount_takes_no_data() {
        assert!(parsed(&["bind", "nosuidd"]).unwrap_err().to_string().contains("nosuidd"));
        assert!(parsed(&["bind", "mode=755"]).unwrap().data.is_empty(), "ignored, as by mount(2)");
        assert_eq!(parsed(&["bind", "remount"]).unwrap_err().kind(), Kind::Unsupported);
        assert!(parsed(&["bind", "tmpcopyup"]).unwrap_err().to_string().contains("for a tmpfs"));
    }

    #[test]
    fn flags_of_a_file_system_are_its_own_and_no_matter_to_a_bind_mount() {
        let flags = ["sync", "dirsync", "mand", "lazytime", "silent", "iversion", "acl"];
        for flag in flags {
            assert!(parsed(&["bind", flag]).unwrap().data.is_empty(), "{flag}");
        }
        let mount = serde_json::json!({ "destination": "/data", "type": "tmpfs", "options": flags });
        let options = parse(&serde_json::from_value(mount).unwrap()).unwrap();
        let data: Vec<_> = options.data.iter().map(|(key, _)| key.to_str().unwrap()).collect();
        assert_eq!(data, ["sync", "dirsync", "mand", "lazytime"]);
    }

    #[test]
    fn idmaps_are_asked_for_by_option_or_by_mappings() {
        assert_eq!(parsed(&["bind"]).unwrap().idmap, None);
        assert_eq!(parsed(&["bind", "idmap"]).unwrap().idmap, Some(false));
        assert_eq!(parsed(&["rbind", "ridmap"]).unwrap().idmap, Some(true));
        let map = serde_json::json!([{ "containerID": 0, "hostID": 5, "size": 1 }]);
        let mut mount = serde_json::json!({ "destination": "/d", "type": "bind", "uidMappings": map });
        assert_eq!(parse(&serde_json::from_value(mount.clone()).unwrap()).unwrap().idmap, Some(false));
        mount["type"] = "tmpfs".into();
        let error = parse(&serde_json::from_value(mount).unwrap()).unwrap_err();
        assert!(error.to_string().contains("only a bind mount"), "{error}");
    }

    #[test]
    fn the_rest_is_the_file_system_s() {
        let mount = serde_json::json!({
            "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k", "huge"],
        });
        let options = parse(&serde_json::from_value(mount).unwrap()).unwrap();
        let data: Vec<_> = options.data.iter().map(|(key, value)| (key.to_str().unwrap(), value.is_some())).collect();
        assert_eq!(data, [("mode", true), ("size", true), ("huge", false)]);
        assert_eq!(options.own.set, NOSUID | STRICTATIME);
    }
}
