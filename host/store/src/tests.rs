//! The store as its users see it.

mod basics;
mod disks;
mod killed;
mod power;
mod reboot;
mod refusals;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::{Lifetime, Store, Table};

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Row {
    text: String,
    #[serde(default)]
    number: u64,
}

enum Images {}
enum Pods {}
enum Intents {}

impl Table for Images {
    const NAME: &'static str = "images";
    const LIFETIME: Lifetime = Lifetime::Durable;
    type Row = Row;
}

impl Table for Pods {
    const NAME: &'static str = "pods";
    const LIFETIME: Lifetime = Lifetime::Crash;
    const BOOT_COPY: bool = true;
    type Row = Row;
}

impl Table for Intents {
    const NAME: &'static str = "intents";
    const LIFETIME: Lifetime = Lifetime::Crash;
    type Row = Row;
}

/// Where a test's two files are.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn meta(&self) -> PathBuf {
        self.0.path().join("meta.redb")
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state.redb")
    }

    fn open(&self) -> Store {
        open_in(self.0.path())
    }
}

fn open_in(folder: &Path) -> Store {
    Store::open(&folder.join("meta.redb"), &folder.join("state.redb")).unwrap()
}

fn row(text: &str) -> Row {
    Row { text: text.into(), number: 7 }
}
