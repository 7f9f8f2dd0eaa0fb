use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use wharf_testkit::{Image, Registry};

/// Where a registry sends who asks for its blobs. Nobody gets one before the gate is opened.
pub struct Gate {
    open: watch::Sender<bool>,
    asked: Arc<AtomicUsize>,
    waiting: watch::Sender<usize>,
    _tasks: JoinSet<()>,
}

impl Gate {
    pub async fn before(registry: &Registry, images: &[&Image]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        registry.redirect_blobs(&listener.local_addr().unwrap().to_string());
        let blobs: HashMap<String, Vec<u8>> = images
            .iter()
            .flat_map(|image| &image.blobs)
            .map(|blob| (blob.digest.clone(), blob.bytes.clone()))
            .collect();
        let gate = Self {
            open: watch::Sender::new(false),
            asked: Arc::default(),
            waiting: watch::Sender::new(0),
            _tasks: JoinSet::new(),
        };
        let (open, asked, waiting) = (gate.open.clone(), gate.asked.clone(), gate.waiting.clone());
        let blobs = Arc::new(blobs);
        let mut gate = gate;
        gate._tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (open, blobs) = (open.subscribe(), blobs.clone());
                let (asked, waiting) = (asked.clone(), waiting.clone());
                connections.spawn(async move {
                    let _ = answer(socket, open, &blobs, &asked, &waiting).await;
                });
            }
        });
        gate
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Who comes from now on has to wait.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// How often a blob was asked for.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until so many stand before the gate.
    pub async fn until_waiting(&self, count: usize) {
        self.waiting.subscribe().wait_for(|waiting| *waiting >= count).await.unwrap();
    }
}

async fn answer(
    mut socket: TcpStream,
    mut open: watch::Receiver<bool>,
    blobs: &HashMap<String, Vec<u8>>,
    asked: &AtomicUsize,
    waiting: &watch::Sender<usize>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let digest = path.rsplit('/').next().unwrap_or_default().split('?').next().unwrap_or_default();
    let bytes = blobs.get(digest).expect("a blob of the image");
    // Configurations come before layers and pass.
    if !bytes.starts_with(b"{") {
        asked.fetch_add(1, Ordering::SeqCst);
        waiting.send_modify(|count| *count += 1);
        let _ = open.wait_for(|open| *open).await;
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(bytes).await
}
