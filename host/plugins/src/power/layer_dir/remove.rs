use super::{LayerDir, io_fault};
use crate::{Place, contract::Fault};

// === impl LayerDir ===

impl LayerDir {
    /// One rename, whatever the size: the rest happens in the background.
    pub(super) fn remove(&self, at: &Place) -> Result<(), Fault> {
        let removed = self.above(at).and_then(|(above, name)| self.trash.take(&above, &name));
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io_fault(&format!("remove {at}"), &error))
            }
            _ => Ok(()),
        }
    }
}
