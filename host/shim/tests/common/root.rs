//! A root file system with busybox and the libraries it needs, made once a test binary.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const APPLETS: [&str; 18] = [
    "cat", "dd", "echo", "env", "false", "head", "hostname", "id", "ls", "ps", "seq", "sh", "sleep", "stty", "tail",
    "true", "tty", "wc",
];

static LAYERS: OnceLock<PathBuf> = OnceLock::new();

/// The folder of all layers, as a snapshotter has one.
pub fn layers() -> PathBuf {
    LAYERS
        .get_or_init(|| {
            // A guest finds that folder on an overlay, which is no place for another overlay's upper folder.
            let folder = match std::env::var_os("WHARF_TEST_GUEST") {
                Some(_) => std::env::temp_dir(),
                None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
            };
            let layers = folder.join("layers");
            // Kept from run to run; a half-made one has another name.
            if !layers.join("busybox").exists() {
                let new = layers.join(format!("busybox-{}", std::process::id()));
                build(&new);
                let _ = fs::rename(&new, layers.join("busybox"));
                let _ = fs::remove_dir_all(&new);
            }
            layers
        })
        .clone()
}

pub fn busybox() -> PathBuf {
    layers().join("busybox")
}

fn build(root: &Path) {
    for dir in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let which = Command::new("sh").args(["-c", "command -v busybox"]).output().unwrap();
    let busybox = PathBuf::from(String::from_utf8(which.stdout).unwrap().trim());
    assert!(busybox.exists(), "the test needs busybox");
    fs::copy(&busybox, root.join("bin/busybox")).unwrap();
    let ldd = Command::new("ldd").arg(&busybox).output().unwrap();
    for library in String::from_utf8(ldd.stdout).unwrap().split_whitespace().filter(|word| word.starts_with('/')) {
        let copy = root.join(&library[1..]);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(library, copy).unwrap();
    }
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nweb:x:1001:\nextra:x:2000:web\n").unwrap();
}
