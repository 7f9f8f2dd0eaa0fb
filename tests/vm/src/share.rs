use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use wharf_testkit::wait_for;

use crate::tools::Tools;

/// This machine's files, for the guest to read: virtiofsd on a copy of the mounts in a mount namespace of its own, every
/// one of them read-only, so that no mistake in a guest can reach them. Ends on drop.
#[derive(Debug)]
pub struct Share {
    daemon: Child,
    socket: PathBuf,
}

/// `$1` is the place to bind to, the rest the server. Only file systems on a device or an overlay are files;
/// the others (`/proc`, cgroups) the guest has of its own.
const READ_ONLY: &str = r#"set -e
at=$1; shift
mount --bind / "$at"
mount -o remount,bind,ro "$at"
while read -r _ _ _ _ point _ rest; do
  kind=${rest#*- }; kind=${kind%% *}
  case $point in /|"$at"|"$at"/*) continue;; esac
  case $kind in ext[234]|xfs|btrfs|zfs|overlay|f2fs|bcachefs) ;; *) continue;; esac
  [ -d "$point" ] || continue
  mount --bind "$point" "$at$point" && mount -o remount,bind,ro "$at$point"
done </proc/self/mountinfo
exec "$@""#;
const START: Duration = Duration::from_secs(20);

impl Share {
    /// Starts it; `dir` takes its socket, its log and the place of its mounts.
    pub fn start(tools: &Tools, dir: &Path) -> Result<Self> {
        let (at, socket, log) = (dir.join("host"), dir.join("host.sock"), dir.join("virtiofsd.log"));
        fs::create_dir(&at).with_context(|| format!("make {}", at.display()))?;
        let out = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", READ_ONLY, "sh"]).arg(&at);
        // What is shared does not change under the guest: it may keep what it has read.
        let options = format!("source={},cache=always,sandbox=chroot", at.display());
        command.arg(&tools.virtiofsd).arg(format!("--socket-path={}", socket.display())).args(["-o", &options]);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let daemon = command.spawn().with_context(|| format!("start {}", tools.virtiofsd.display()))?;
        let mut share = Self { daemon, socket };
        let mut ended = None;
        let there = wait_for(START, || {
            ended = share.daemon.try_wait().ok().flatten();
            ended.is_some() || share.socket.exists()
        });
        if ended.is_some() || !there {
            bail!("virtiofsd does not start: {}", fs::read_to_string(&log).unwrap_or_default().trim());
        }
        Ok(share)
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // It ends by itself with its guest; both fail only then.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
