use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context as _, Result};

/// A listener on a free port of loopback, each connection on a thread of its own. No more are taken once it is dropped;
/// those that are open go on.
#[derive(Debug)]
pub(crate) struct Loopback {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Loopback {
    pub fn bind() -> Result<TcpListener> {
        TcpListener::bind("127.0.0.1:0").context("listen on loopback")
    }

    /// `stop` becomes true when this is dropped, for connections that look. What one comes to is not looked at: ones that
    /// break are what these tests make on purpose.
    pub fn serve(
        listener: TcpListener,
        stop: Arc<AtomicBool>,
        serve: impl Fn(TcpStream) + Clone + Send + 'static,
    ) -> Result<Self> {
        let address = listener.local_addr()?;
        let stopping = stop.clone();
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let serve = serve.clone();
                std::thread::spawn(move || serve(stream));
            }
        });
        Ok(Self { address, stop, accepting: Some(accepting) })
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}
