//! The files that a pod's containers share: `hosts`, `hostname`, `resolv.conf`, in the pod's folder.

use std::{fs, io, io::Write as _, net::IpAddr, os::unix::fs::chown, path::Path};

use wharf_error::{Result, ResultExt as _};
use wharf_shim_api::{IdRange, Namespace, SandboxOptions};

/// The hosts file of a pod whose client mounts none of its own (the kubelet does).
const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Writes the three files. A host-network pod sees the host's `hosts`; `resolv_conf` of none copies the host's. They
/// belong to the root of the pod's user namespace, where it has one.
pub(crate) fn write(dir: &Path, sandbox: &SandboxOptions, resolv_conf: Option<&str>) -> Result<()> {
    let (hostname, host_network) = (sandbox.hostname.as_str(), sandbox.network == Namespace::Node);
    let root = |list: &[IdRange]| list.iter().find(|range| range.container == 0).map(|range| range.host);
    let owner = sandbox.user_namespace.as_ref().map(|user| (root(&user.uids), root(&user.gids)));
    let hosts = if host_network { host_file("/etc/hosts")?.unwrap_or_else(|| HOSTS.into()) } else { HOSTS.into() };
    let resolv_conf = match resolv_conf {
        Some(lines) => lines.as_bytes().to_vec(),
        None => host_file("/etc/resolv.conf")?.unwrap_or_default(),
    };
    let hostname = if hostname.is_empty() { String::new() } else { format!("{hostname}\n") };
    for (name, contents) in [("hosts", hosts), ("hostname", hostname.into_bytes()), ("resolv.conf", resolv_conf)] {
        let path = dir.join(name);
        fs::write(&path, contents).step(|| format!("write {}", path.display()))?;
        if let Some((uid, gid)) = owner {
            chown(&path, uid, gid).step(|| format!("give {} to the pod's root", path.display()))?;
        }
    }
    Ok(())
}

/// Adds the pod's name for each of its addresses.
pub(crate) fn add_hosts(dir: &Path, hostname: &str, addresses: &[IpAddr]) -> Result<()> {
    if addresses.is_empty() || hostname.is_empty() {
        return Ok(());
    }
    let path = dir.join("hosts");
    let lines: String = addresses.iter().map(|address| format!("{address}\t{hostname}\n")).collect();
    let opened = fs::File::options().append(true).open(&path);
    opened.and_then(|mut file| file.write_all(lines.as_bytes())).step(|| format!("write {}", path.display()))
}

fn host_file(path: &str) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).step(|| format!("read the host's {path}")),
    }
}
