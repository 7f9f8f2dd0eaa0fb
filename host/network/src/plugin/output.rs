use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    task::JoinHandle,
};

/// How long a stream may stay open once the plugin has ended: somebody whom it left behind holds it.
const GRACE: Duration = Duration::from_secs(1);

/// What a plugin prints on one stream: the beginning is kept, the rest read and dropped, so that it never waits for us.
pub(super) struct Output {
    kept: Arc<Mutex<Kept>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    /// Whether there was more than is kept.
    pub(super) cut: bool,
}

// === impl Output ===

impl Output {
    /// Reads until the end, in the background.
    pub(super) fn gather(stream: Option<impl AsyncRead + Send + Unpin + 'static>, most: usize) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let into = kept.clone();
        let task = tokio::spawn(async move {
            let Some(mut stream) = stream else { return };
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                let mut kept = lock(&into);
                let room = read.min(most.saturating_sub(kept.bytes.len()));
                kept.cut |= room < read;
                kept.bytes.extend_from_slice(buffer.get(..room).unwrap_or_default());
            }
        });
        Self { kept, task }
    }

    /// What it was, once the plugin has ended.
    pub(super) async fn finish(mut self) -> Kept {
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
        std::mem::take(&mut *lock(&self.kept))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
