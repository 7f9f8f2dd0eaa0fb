//! A thread of the shim's inside of the pod's network: who reads `/proc/<id>/net` of it sees the pod's.
//!
//! Others know a pod's network by the process of a pause container, which we have not: cAdvisor, which keeps the id for as
//! long as the pod's control group is there. A thread costs a stack and no process, and it is made when somebody asks.

use std::{os::fd::BorrowedFd, sync::mpsc, thread};

use rustix::thread::{LinkNameSpaceType, gettid, move_into_link_name_space};
use wharf_error::{Result, ResultExt as _};

/// Room, not memory: it touches a page or two of it.
const STACK: usize = 64 << 10;

/// The thread; dropping this ends it.
pub struct Witness {
    /// Its id, which is one of a process to whoever looks at `/proc`.
    pub id: u32,
    _life: mpsc::Sender<()>,
}

// === impl Witness ===

impl Witness {
    /// Starts it in this network namespace.
    pub fn enter(net: BorrowedFd<'_>) -> Result<Self> {
        let what = || "look at the pod's network from inside".to_owned();
        let net = net.try_clone_to_owned().step(what)?;
        let (told, inside) = mpsc::channel();
        let (life, end) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("pod-network".into()).stack_size(STACK);
        thread
            .spawn(move || {
                let entered =
                    move_into_link_name_space(std::os::fd::AsFd::as_fd(&net), Some(LinkNameSpaceType::Network));
                drop(net);
                // Nobody waits for the answer only where the shim gave up.
                let _ = told.send(entered.map(|()| gettid().as_raw_nonzero().get()));
                // Nothing is ever sent: this returns when the other end is dropped.
                let _ = end.recv();
            })
            .step(what)?;
        let id = inside.recv().step(what)?.map_err(std::io::Error::from).step(what)?;
        Ok(Self { id: id.unsigned_abs(), _life: life })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::fd::AsFd as _, path::Path};

    use super::*;

    #[test]
    fn it_is_in_the_network_for_as_long_as_it_lives() {
        let own = fs::File::open("/proc/self/ns/net").unwrap();
        // Without the right to enter there is nothing to see.
        let Ok(witness) = Witness::enter(own.as_fd()) else { return };
        let path = format!("/proc/{}/net/dev", witness.id);
        assert!(fs::read_to_string(&path).unwrap().contains("lo:"));
        drop(witness);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while Path::new(&path).exists() && std::time::Instant::now() < deadline {
            thread::yield_now();
        }
        assert!(!Path::new(&path).exists(), "the thread goes on");
    }
}
