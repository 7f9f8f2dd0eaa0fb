use std::fmt;

use tokio::sync::watch;

/// How far a pull is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// The layers, bottom first; empty while the reference is being resolved.
    pub layers: Vec<LayerProgress>,
}

/// How far a layer is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LayerProgress {
    /// The digest of its blob.
    pub digest: String,
    /// Bytes of the blob that have arrived.
    pub done: u64,
    /// Bytes of the blob.
    pub total: u64,
    /// What happens to it.
    pub state: LayerState,
}

/// What happens to a layer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LayerState {
    /// It waits for its turn, or for another pull of the same layer.
    Waiting,
    /// It is downloaded, verified and unpacked as it comes.
    Downloading,
    /// All its bytes are here; unpacking goes on.
    Unpacking,
    /// It is unpacked and waits for the layers below it.
    Unpacked,
    /// It is a committed snapshot.
    Done,
}

/// The writing side. Bytes are told in steps, so that nobody is woken for each packet.
#[derive(Clone, Debug)]
pub(crate) struct Reporter(watch::Sender<Progress>);

/// The bytes of one layer.
pub(crate) struct LayerReporter {
    reporter: Reporter,
    index: usize,
    told: u64,
}

const STEP: u64 = 256 << 10;

// === impl Progress ===

impl Progress {
    /// Bytes that have arrived, and bytes of all layers.
    pub fn bytes(&self) -> (u64, u64) {
        self.layers.iter().fold((0, 0), |(done, total), layer| (done + layer.done, total + layer.total))
    }
}

impl fmt::Display for Progress {
    /// What is under way, for people; of many layers the lowest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let under_way = |layer: &&LayerProgress| !matches!(layer.state, LayerState::Unpacked | LayerState::Done);
        let done = self.layers.len() - self.layers.iter().filter(under_way).count();
        match self.layers.iter().find(under_way) {
            None => write!(f, "commit its {} layers", self.layers.len()),
            Some(layer) => {
                let LayerProgress { digest, done: bytes, total, state } = layer;
                let at = match state {
                    LayerState::Waiting => "it waits for its turn",
                    LayerState::Downloading => "downloading",
                    _ => "unpacking",
                };
                write!(
                    f,
                    "layer {digest}: {at}, {bytes} of {total} bytes; {done} of {} layers are done",
                    self.layers.len()
                )
            }
        }
    }
}

// === impl Reporter ===

impl Reporter {
    pub fn new() -> Self {
        Self(watch::Sender::new(Progress::default()))
    }

    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.0.subscribe()
    }

    pub fn layers(&self, layers: impl Iterator<Item = (String, u64)>) {
        let layers = layers.map(|(digest, total)| LayerProgress { digest, done: 0, total, state: LayerState::Waiting });
        self.0.send_replace(Progress { layers: layers.collect() });
    }

    /// A layer that begins anew starts at no bytes; one that is there has all.
    pub fn state(&self, index: usize, state: LayerState) {
        self.0.send_modify(|progress| {
            if let Some(layer) = progress.layers.get_mut(index) {
                layer.state = state;
                match state {
                    LayerState::Downloading | LayerState::Waiting => layer.done = 0,
                    LayerState::Unpacking | LayerState::Unpacked | LayerState::Done => layer.done = layer.total,
                }
            }
        });
    }

    pub fn layer(&self, index: usize) -> LayerReporter {
        LayerReporter { reporter: self.clone(), index, told: 0 }
    }
}

// === impl LayerReporter ===

impl LayerReporter {
    /// So many bytes are here.
    pub fn at(&mut self, bytes: u64) {
        if bytes.abs_diff(self.told) < STEP {
            return;
        }
        self.told = bytes;
        self.reporter.0.send_modify(|progress| {
            if let Some(layer) = progress.layers.get_mut(self.index) {
                layer.done = bytes.min(layer.total);
            }
        });
    }
}
