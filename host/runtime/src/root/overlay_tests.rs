use std::fs;

use super::*;
use crate::root::read_inside;
use std::os::fd::AsFd as _;

/// A folder with numbered lowers, each with its number in `name` and a file of its own.
fn layers(count: usize) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let lowers = (0..count).map(|number| PathBuf::from(format!("{number}/fs"))).collect::<Vec<_>>();
    for (number, lower) in lowers.iter().enumerate() {
        let path = folder.path().join(lower);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("name"), number.to_string()).unwrap();
        fs::write(path.join(format!("own-{number}")), "").unwrap();
    }
    for own in ["upper", "work"] {
        fs::create_dir(folder.path().join(own)).unwrap();
    }
    (folder, lowers)
}

#[test]
fn every_way_gives_the_same_root_and_touches_no_mount_table() {
    let table = fs::read("/proc/thread-self/mountinfo").unwrap();
    for way in WAYS {
        let (folder, lowers) = layers(127);
        let upper = Upper { upper: Path::new("upper"), work: Path::new("work"), volatile: true };
        let asked = Layers { beneath: folder.path(), lowers: &lowers, upper: Some(upper), label: None };
        let mount = match way(&asked) {
            // The last way is every kernel's; a better one that this kernel has not must say so.
            Err(Failure { unknown: true, .. }) if !std::ptr::fn_addr_eq(way, WAYS[2]) => continue,
            other => other.unwrap(),
        };
        check(&mount, &asked).unwrap();
        let read = |path: &str| read_inside(mount.as_fd(), Path::new(path), 100).unwrap();
        assert_eq!(read("name").unwrap(), b"0", "the nearest layer wins");
        assert!(read("own-126").is_some());
        assert!(read("own-127").is_none());
        assert_eq!(fs::read("/proc/thread-self/mountinfo").unwrap(), table);
    }
}

#[test]
fn the_error_names_the_layer_and_what_the_kernel_says() {
    let (folder, mut lowers) = layers(2);
    lowers.push("missing".into());
    let asked = Layers { beneath: folder.path(), lowers: &lowers, upper: None, label: None };
    let error = overlay(&asked).unwrap_err().to_string();
    assert!(error.contains("open layer missing"), "{error}");

    let upper = Upper { upper: Path::new("upper"), work: Path::new("0/fs"), volatile: false };
    let asked = Layers { beneath: folder.path(), lowers: &lowers[..2], upper: Some(upper), label: None };
    let error = overlay(&asked).unwrap_err().to_string();
    assert!(error.contains("overlay"), "{error}");
}

#[test]
fn nothing_is_opened_through_a_link_or_outside() {
    let (folder, _) = layers(2);
    std::os::unix::fs::symlink("0", folder.path().join("link")).unwrap();
    for path in ["link/fs", "../etc", "0/../1/fs", "/etc"] {
        let lowers = [PathBuf::from(path), PathBuf::from("1/fs")];
        let asked = Layers { beneath: folder.path(), lowers: &lowers, upper: None, label: None };
        assert!(overlay(&asked).is_err(), "{path} was opened");
    }
    let absolute = [folder.path().join("0/fs"), folder.path().join("1/fs")];
    overlay(&Layers { beneath: folder.path(), lowers: &absolute, upper: None, label: None }).unwrap();
}
