use std::{
    collections::BTreeSet,
    fs::{self, File},
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns, unshare};

use crate::packages::unpacked_package;

/// A network of its own, with its loopback up, for tests that change interfaces and firewalls: the machine's stay as they
/// are. It ends with the last who holds it or runs in it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NetNs(Arc<File>);

impl NetNs {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// For everybody but root, and where no busybox can be had that brings its loopback up.
    pub fn new() -> Result<Self> {
        let busybox = unpacked_package("busybox")?;
        let busybox = ["bin/busybox", "usr/bin/busybox"].map(|path| busybox.join(path));
        let busybox = busybox.iter().find(|path| path.is_file()).context("package busybox holds no busybox")?;
        let make = || -> Result<File> {
            unshare(CloneFlags::CLONE_NEWNET).context("make a network namespace")?;
            let up = Command::new(busybox).args(["ip", "link", "set", "lo", "up"]).stdin(Stdio::null()).output()?;
            ensure!(up.status.success(), "bring a loopback up: {}", String::from_utf8_lossy(&up.stderr));
            File::open("/proc/thread-self/ns/net").context("open a network namespace")
        };
        // A thread of its own ends with the namespace that it has entered.
        let made = thread::scope(|scope| scope.spawn(make).join());
        Ok(Self(Arc::new(made.map_err(|_| anyhow!("the thread that makes a network namespace panicked"))??)))
    }

    /// Runs this inside: connections, listeners and processes made in it are of this network.
    ///
    /// # Errors
    ///
    /// When it cannot be entered, or what is run panics.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || -> Result<T> {
            setns(&*self.0, CloneFlags::CLONE_NEWNET).context("enter a network namespace")?;
            Ok(work())
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .map_err(|_| anyhow!("a thread in a network namespace panicked"))?
    }

    /// The names of its interfaces.
    ///
    /// # Errors
    ///
    /// When it cannot be entered.
    pub fn interfaces(&self) -> Result<BTreeSet<String>> {
        let table = self.run(|| fs::read_to_string("/proc/thread-self/net/dev"))?.context("list interfaces")?;
        Ok(table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::skip::{need, root};

    #[test]
    fn it_has_a_loopback_and_nothing_of_the_machines() {
        if need(root()).is_none() {
            return;
        }
        let Some(netns) = need(NetNs::new()) else { return };
        assert_eq!(netns.interfaces().unwrap(), BTreeSet::from(["lo".to_owned()]));
        let listener = netns.run(|| TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        netns.run(|| TcpStream::connect(address).unwrap()).unwrap();
    }
}
