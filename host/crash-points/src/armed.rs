use std::{
    fs::{self, OpenOptions},
    io::{Seek as _, Write as _},
    path::PathBuf,
    sync::OnceLock,
};

use crate::FOLDER;

/// Counts, and ends the process where it was told to. Without the file `armed` nothing is counted: no verb is under way.
pub fn reached(name: &str) {
    static PLACE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(folder) = PLACE.get_or_init(|| std::env::var_os(FOLDER).map(PathBuf::from)) else { return };
    let Ok(armed) = fs::read_to_string(folder.join("armed")) else { return };
    let Some(times) = count(&folder.join("hits").join(name)) else { return };
    if armed.trim() == format!("{name} {times}") {
        // Told first; who looks for it finds the process still there for a moment.
        let _ = fs::write(folder.join("died"), std::process::id().to_string());
        std::process::abort();
    }
}

/// A byte for each time: where a file is appended to, the end of one's own byte is the count, whoever else appends.
fn count(path: &std::path::Path) -> Option<u64> {
    let mut file = OpenOptions::new().create(true).append(true).open(path).ok()?;
    file.write_all(b".").ok()?;
    file.stream_position().ok()
}
