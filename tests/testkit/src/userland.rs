use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    packages::{apt_is_here, unpacked_package},
    tree::Tree,
};

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
";
const GROUP: &str = "\
root:x:0:
daemon:x:1:
www-data:x:33:
staff:x:50:www-data
users:x:100:www-data,nobody
nogroup:x:65534:
";
/// What the tests run; where there is no busybox these are taken from the host.
const TOOLS: &[&str] = &[
    "sh", "cat", "ls", "sleep", "id", "echo", "mkdir", "rm", "touch", "stat", "env", "head", "wc", "true", "false",
    "hostname", "dd", "grep", "readlink", "chmod", "ln", "kill", "ps", "mount", "tail", "seq", "sort",
];

/// The parts of a small userland, one tree a layer.
#[derive(Debug)]
pub struct Userland {
    /// The C library and what else the programs link.
    pub libraries: Tree,
    /// A shell and small tools.
    pub programs: Tree,
    /// Users, groups and the usual folders.
    pub skeleton: Tree,
    /// Where it comes from, for a progress line.
    pub source: &'static str,
}

/// A small real userland: the distribution's busybox and C library, or, where packages cannot be had,
/// the host's own shell and tools with the libraries they name.
///
/// # Errors
///
/// When neither can be had.
pub fn userland() -> Result<Userland> {
    let (libraries, programs, source) = if apt_is_here() {
        let (libraries, programs) = from_packages()?;
        (libraries, programs, "Debian's packages busybox and libc6")
    } else {
        let (libraries, programs) = from_host()?;
        (libraries, programs, "this machine's own shell and tools")
    };
    Ok(Userland { libraries, programs, skeleton: skeleton(), source })
}

fn from_packages() -> Result<(Tree, Tree)> {
    let mut libraries = Tree::new();
    let wanted = ["ld-", "libc.so", "libresolv.so", "libm.so", "libnss_", "libpthread.so", "libdl.so"];
    libraries.take(&unpacked_package("libc6")?, &|path| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let odd = ["/gconv/", "/audit/"].iter().any(|dir| path.contains(dir));
        (name.contains(".so") && !odd && wanted.iter().any(|start| name.starts_with(start))).then(|| unmerged(path))
    })?;
    // Debian's static busybox runs applets inside its shell, which would hide a masked /bin/ls: take the dynamic one.
    let busybox = unpacked_package("busybox")?;
    let binary = ["bin/busybox", "usr/bin/busybox"]
        .iter()
        .map(|path| busybox.join(path))
        .find(|path| path.is_file())
        .context("package busybox holds no busybox")?;
    let listed =
        Command::new(&binary).arg("--list").output().with_context(|| format!("run {} --list", binary.display()))?;
    anyhow::ensure!(listed.status.success(), "{} --list: {}", binary.display(), listed.status);
    let mut programs = Tree::new();
    programs.file("bin/busybox", fs::read(&binary)?).mode(0o755);
    let applets: BTreeSet<_> = String::from_utf8_lossy(&listed.stdout).split_whitespace().map(str::to_owned).collect();
    for applet in applets.iter().filter(|a| *a != "busybox") {
        programs.hardlink(&format!("bin/{applet}"), "bin/busybox");
    }
    Ok((libraries, programs))
}

// Newer releases ship everything below /usr; programs still name their loader below /lib.
fn unmerged(path: &str) -> String {
    path.strip_prefix("usr/").filter(|rest| rest.starts_with("lib")).unwrap_or(path).to_owned()
}

fn from_host() -> Result<(Tree, Tree)> {
    let mut programs = Tree::new();
    let mut needed = BTreeSet::new();
    for tool in TOOLS {
        let Some(path) =
            ["/bin", "/usr/bin", "/sbin", "/usr/sbin"].iter().map(|d| Path::new(d).join(tool)).find(|p| p.is_file())
        else {
            continue;
        };
        let data = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        programs.file(&format!("bin/{tool}"), data).mode(fs::metadata(&path)?.permissions().mode() & 0o777);
        needed.extend(libraries_of(&path));
    }
    anyhow::ensure!(programs.has("bin/sh"), "this machine has neither apt-get nor a /bin/sh to make an image of");
    let mut libraries = Tree::new();
    for library in needed {
        let data = fs::read(&library).with_context(|| format!("read {}", library.display()))?;
        libraries.file(&library.to_string_lossy(), data).mode(0o755);
    }
    Ok((libraries, programs))
}

// A static program has none: ldd fails for it.
fn libraries_of(program: &Path) -> Vec<PathBuf> {
    let Ok(out) = Command::new("ldd").arg(program).output() else { return Vec::new() };
    String::from_utf8_lossy(&out.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(|word| PathBuf::from(word.trim_end_matches(':')))
        .filter(|path| path != program)
        .collect()
}

fn skeleton() -> Tree {
    let mut tree = Tree::new();
    for dir in ["dev", "etc", "home", "proc", "run", "sys", "usr/bin", "usr/sbin", "var/lib", "var/log"] {
        tree.dir(dir);
    }
    tree.file("etc/passwd", PASSWD);
    tree.file("etc/group", GROUP);
    tree.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
    tree.dir("root").mode(0o700);
    tree.dir("tmp").mode(0o1777);
    tree.dir("var/tmp").mode(0o1777);
    tree.dir("var/www").owner(33, 33);
    tree
}
