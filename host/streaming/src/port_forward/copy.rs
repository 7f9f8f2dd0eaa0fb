use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};
use wharf_error::{Kind, Result, ResultExt as _};

use crate::Handler;

/// What is copied at once, bytes.
const CHUNK: usize = 64 * 1024;

/// The client's side of one connection to a port.
#[async_trait]
pub(super) trait Client: Sync {
    async fn send(&self, bytes: &[u8]) -> io::Result<()>;

    /// The pod sends no more.
    async fn end(&self) -> io::Result<()>;
}

/// Connects to a port of a pod and copies both ways until the pod's end.
pub(super) async fn copy(
    client: &dyn Client,
    mut input: mpsc::Receiver<Bytes>,
    handler: &dyn Handler,
    pod: &str,
    port: u16,
) -> Result<()> {
    let connection = handler.connect(pod, port).await?;
    let (mut from, mut to) = connection.into_split();
    let sending = async {
        while let Some(bytes) = input.recv().await {
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    };
    let receiving = async {
        let mut chunk = vec![0; CHUNK];
        loop {
            match from.read(&mut chunk).await? {
                0 => return client.end().await,
                count => client.send(&chunk[..count]).await?,
            }
        }
    };
    let received = async {
        tokio::pin!(sending);
        tokio::pin!(receiving);
        // The pod's end is the end; the client's is only its last word.
        tokio::select! {
            received = &mut receiving => received,
            sent = &mut sending => match sent {
                Ok(()) => receiving.await,
                Err(error) => Err(error),
            },
        }
    };
    received.await.step_as(Kind::Unavailable, || format!("pod sandbox {pod}: port {port}"))
}
