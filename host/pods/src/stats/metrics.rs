use std::{
    fs, io,
    path::{Path, PathBuf},
};

use wharf_cgroups::Detail;
use wharf_error::{Result, ResultExt as _};

use super::{ContainerStats, PodStats};
use crate::{Pods, inner::Inner, pod::blocking};

/// All that is known of what a pod uses: [`PodStats`] and what only a monitor wants to know.
#[derive(Clone, Debug)]
pub struct PodMetrics {
    /// What its stats tell. Its containers are in [`PodMetrics::containers`] alone.
    pub stats: PodStats,
    /// More of its control group.
    pub detail: Detail,
    /// Its running containers.
    pub containers: Vec<ContainerMetrics>,
}

/// All that is known of what a container uses.
#[derive(Clone, Debug)]
pub struct ContainerMetrics {
    /// What its stats tell.
    pub stats: ContainerStats,
    /// More of its control group.
    pub detail: Detail,
    /// What its processes have open.
    pub open: OpenFiles,
    /// The file system that its writable layer is on.
    pub disk: Option<Disk>,
}

/// What the processes of a container have open.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OpenFiles {
    /// File descriptors, sockets among them.
    pub files: u64,
    /// Sockets.
    pub sockets: u64,
    /// How many files the first process may open; `None`: not known, or no limit.
    pub limit: Option<u64>,
}

/// A file system.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Disk {
    /// What is mounted, as the kernel calls it: `/dev/vda1`.
    pub device: String,
    /// Bytes in all.
    pub bytes: u64,
    /// Inodes in all; 0 where the file system makes them as it needs them.
    pub inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
}

impl Pods {
    /// All that is known of what each ready pod uses. What ends meanwhile is left out.
    ///
    /// Dear: it looks at every open file of every process.
    pub async fn list_pod_metrics(&self) -> Vec<PodMetrics> {
        let disk = self.inner.layers_disk().await;
        let mut all = Vec::new();
        for stats in self.list_pod_stats(|_| true).await {
            let id = stats.pod.id.clone();
            match self.inner.metrics_of(stats, disk.as_ref()).await {
                Ok(metrics) => all.extend(metrics),
                Err(error) => tracing::warn!(pod = %id, %error, "metrics"),
            }
        }
        all
    }
}

// === impl Inner ===

impl Inner {
    async fn metrics_of(&self, mut stats: PodStats, disk: Option<&Disk>) -> Result<Option<PodMetrics>> {
        let Some((detail, _)) = self.detail(&stats.pod.sandbox.cgroup_parent, None).await? else { return Ok(None) };
        let mut containers = Vec::new();
        for stats in std::mem::take(&mut stats.containers) {
            let (cgroup, pid) = (stats.container.cgroup.clone(), stats.container.pid);
            if let Some((detail, open)) = self.detail(&cgroup, pid).await? {
                containers.push(ContainerMetrics { stats, detail, open, disk: disk.cloned() });
            }
        }
        Ok(Some(PodMetrics { stats, detail, containers }))
    }

    /// `first`: a container's first process. `None`: there is no such group any more.
    async fn detail(&self, path: &str, first: Option<u32>) -> Result<Option<(Detail, OpenFiles)>> {
        let group = self.cgroups.open(path)?;
        blocking("read a control group's details", move || {
            let read = group.detail().and_then(|detail| {
                let pids = if first.is_some() { group.pids()? } else { Vec::new() };
                Ok((detail, open_files(&pids, first)))
            });
            match read {
                Ok(read) => Ok(Some(read)),
                Err(_) if !group.exists() => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn layers_disk(&self) -> Option<Disk> {
        let path = self.images.fs_path().to_owned();
        let looked = blocking("look at the file system of the layers", move || {
            disk(&path).step(|| format!("look at the file system of {}", path.display()))
        })
        .await;
        looked.inspect_err(|error| tracing::debug!(%error, "metrics")).ok()
    }
}

/// A process that ends meanwhile has nothing open.
fn open_files(pids: &[i32], first: Option<u32>) -> OpenFiles {
    let mut open = OpenFiles { limit: first.and_then(limit), ..OpenFiles::default() };
    for pid in pids {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for entry in entries.flatten() {
            open.files += 1;
            let socket = |target: PathBuf| target.as_os_str().as_encoded_bytes().starts_with(b"socket:");
            open.sockets += u64::from(fs::read_link(entry.path()).is_ok_and(socket));
        }
    }
    open
}

/// `Max open files            1024                 4096                 files`
fn limit(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

fn disk(path: &Path) -> io::Result<Disk> {
    let whole = rustix::fs::statvfs(path)?;
    let number = rustix::fs::stat(path)?.st_dev;
    let number = format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(Disk {
        device: device(&table, &number).unwrap_or(number),
        bytes: whole.f_blocks.saturating_mul(whole.f_frsize),
        inodes: whole.f_files,
        free_inodes: whole.f_ffree,
    })
}

/// What is mounted under a device number: the second word behind the dash.
fn device(table: &str, number: &str) -> Option<String> {
    let line = table.lines().find(|line| line.split(' ').nth(2) == Some(number))?;
    Some(line.split_once(" - ")?.1.split(' ').nth(1)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_of_this_process_are_seen() {
        let _socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let own = std::process::id();
        let open = open_files(&[i32::try_from(own).unwrap()], Some(own));
        assert!(open.files > open.sockets && open.sockets >= 1, "{open:?}");
        assert_eq!(open_files(&[i32::MAX], None), OpenFiles::default());
    }

    #[test]
    fn a_file_system_has_a_device() {
        let table = "1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n2 1 0:44 / /mnt rw - tmpfs tmpfs rw\n";
        assert_eq!(device(table, "8:1").unwrap(), "/dev/sda1");
        assert_eq!(device(table, "8:2"), None);
        assert!(disk(Path::new("/")).unwrap().bytes > 0);
    }
}
