use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use nix::{
    mount::{MsFlags, mount},
    sys::stat::{Mode, SFlag, makedev, mknod},
};
use wharf_vm::DISK;

const CGROUPS: &str = "/sys/fs/cgroup";

/// Makes a node of the bare machine: what systemd mounts elsewhere, cgroup v2 with every controller handed down, modules,
/// loopback, the host's name.
///
/// `systemd`: it has done its part.
pub fn node(modules: &Path, place: &Path, systemd: bool) -> Result<()> {
    fs::create_dir_all(place).with_context(|| format!("make {}", place.display()))?;
    mount(Some(modules), place, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("bind {} to {}", modules.display(), place.display()))?;
    if !systemd {
        mounts()?;
        cgroups()?;
    }
    // Those of a machine without them (no AppArmor, no BPF) are no loss. A systemd that takes the guest for a container, by files
    // of this machine's, leaves them out.
    for (kind, at) in [("securityfs", "/sys/kernel/security"), ("bpf", "/sys/fs/bpf")] {
        let _ = fresh(kind, at, "");
    }
    devices(place)?;
    let tmp = format!("{DISK}/tmp");
    fs::create_dir_all(&tmp).with_context(|| format!("make {tmp}"))?;
    nix::unistd::sethostname("guest").context("set the host's name")?;
    run("ip", &["link", "set", "lo", "up"])
}

fn mounts() -> Result<()> {
    for (kind, at, options) in [
        ("devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=0620,gid=5"),
        ("tmpfs", "/dev/shm", "mode=1777"),
        ("mqueue", "/dev/mqueue", ""),
    ] {
        fs::create_dir_all(at).with_context(|| format!("make {at}"))?;
        fresh(kind, at, options)?;
    }
    for (target, link) in [("pts/ptmx", "/dev/ptmx"), ("/proc/self/fd", "/dev/fd")] {
        let _ = fs::remove_file(link);
        std::os::unix::fs::symlink(target, link).with_context(|| format!("link {link}"))?;
    }
    Ok(())
}

// The nodes of modules that are loaded when somebody opens them: /dev/fuse, /dev/loop-control, /dev/net/tun.
fn devices(modules: &Path) -> Result<()> {
    // `MODULE PATH cMAJOR:MINOR`
    let table = fs::read_to_string(modules.join("modules.devname")).unwrap_or_default();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ').skip(1);
        let (Some(path), Some(number)) = (words.next(), words.next()) else { continue };
        let (kind, number) = number.split_at(number.len().min(1));
        let Some((major, minor)) = number.split_once(':').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)))
        else {
            continue;
        };
        let path = Path::new("/dev").join(path);
        if path.exists() {
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        let kind = if kind == "b" { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
        mknod(&path, kind, Mode::from_bits_truncate(0o600), makedev(major, minor))
            .with_context(|| format!("make {}", path.display()))?;
    }
    Ok(())
}

// Processes may not stand where controllers are handed down, but for the root: this one moves aside all the same, as
// systemd's do.
fn cgroups() -> Result<()> {
    fresh("cgroup2", CGROUPS, "nsdelegate")?;
    let own = format!("{CGROUPS}/init");
    fs::create_dir(&own).with_context(|| format!("make {own}"))?;
    fs::write(format!("{own}/cgroup.procs"), "0").context("move into a cgroup")?;
    let controllers = fs::read_to_string(format!("{CGROUPS}/cgroup.controllers")).context("read the controllers")?;
    for controller in controllers.split_whitespace() {
        fs::write(format!("{CGROUPS}/cgroup.subtree_control"), format!("+{controller}"))
            .with_context(|| format!("hand down {controller}"))?;
    }
    Ok(())
}

fn fresh(kind: &str, at: &str, options: &str) -> Result<()> {
    mount(Some(kind), at, Some(kind), MsFlags::empty(), Some(options)).with_context(|| format!("mount {at}"))
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let status = Command::new(program).args(arguments).env("PATH", path).status();
    let status = status.with_context(|| format!("start {program}"))?;
    anyhow::ensure!(status.success(), "{program} {}: {status}", arguments.join(" "));
    Ok(())
}
