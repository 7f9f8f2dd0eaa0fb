use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use wharf_error::{Kind, Result, ResultExt as _};

use crate::hosts::Tls;

/// No certificate file comes near; a bound on what a wrong path can make us read.
const MAX_FILE: u64 = 4 << 20;

/// The contents of the files that TLS settings name.
pub(super) struct Material {
    pub ca: Vec<File>,
    /// Certificates, and their key where that is in a file of its own.
    pub client: Vec<(File, Option<File>)>,
}

/// A file that was read.
pub(super) struct File {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

// === impl Material ===

impl Material {
    /// Blocking: reads the disk.
    pub fn read(tls: &Tls) -> Result<Self> {
        let pair = |(certificate, key): &(PathBuf, Option<PathBuf>)| -> Result<_> {
            Ok((File::read(certificate)?, key.as_deref().map(File::read).transpose()?))
        };
        Ok(Self {
            ca: tls.ca.iter().map(|path| File::read(path)).collect::<Result<_>>()?,
            client: tls.client.iter().map(pair).collect::<Result<_>>()?,
        })
    }

    /// What connections that may be shared have in common.
    pub fn key(&self, settings: [bool; 2], dial: Duration) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(bytes.len().to_le_bytes());
            hasher.update(bytes);
        };
        add(&settings.map(u8::from));
        add(&dial.as_nanos().to_le_bytes());
        add(&self.client.len().to_le_bytes());
        for (certificate, key) in &self.client {
            add(&certificate.bytes);
            add(&[u8::from(key.is_some())]);
            add(key.as_ref().map_or(&[], |key| &key.bytes));
        }
        for ca in &self.ca {
            add(&ca.bytes);
        }
        hasher.finalize().into()
    }
}

// === impl File ===

impl File {
    fn read(path: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        let step = || format!("{}: read a certificate file of hosts.toml", path.display());
        let file = std::fs::File::open(path).step_as(Kind::FailedPrecondition, step)?;
        file.take(MAX_FILE).read_to_end(&mut bytes).step_as(Kind::FailedPrecondition, step)?;
        Ok(Self { path: path.to_owned(), bytes })
    }
}
