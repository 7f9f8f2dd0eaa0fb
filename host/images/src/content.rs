use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use oci_spec::image::Digest;
use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_registry::{ALGORITHMS, MAX_DOCUMENT, path_of, verify};

use crate::spool::Spools;

/// The small documents of images by their digests: `blobs/<algorithm>/<hex>`. All methods block.
///
/// A document is written beside, flushed and renamed, so what is there is whole; it is verified when it is read.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    dirs: Arc<Dirs>,
}

#[derive(Debug)]
struct Dirs {
    blobs: PathBuf,
    ingest: PathBuf,
}

// === impl Content ===

impl Content {
    /// Makes the folders, and empties `ingest` of what a killed daemon left but for unfinished downloads.
    pub fn open(dir: &Path) -> Result<Self> {
        let dirs = Dirs { blobs: dir.join("blobs"), ingest: dir.join("ingest") };
        let blobs = ALGORITHMS.map(|algorithm| dirs.blobs.join(algorithm));
        for folder in blobs.iter().chain([&dirs.ingest]) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.step(|| format!("content: make {}", folder.display()))?;
        }
        let content = Self { dirs: Arc::new(dirs) };
        for name in content.names(&content.dirs.ingest)?.into_iter().filter(|name| !Spools::is_download(name)) {
            let path = content.dirs.ingest.join(name);
            remove(&path)?;
        }
        Ok(content)
    }

    /// A folder on the same disk for what is on its way.
    pub fn ingest(&self) -> &Path {
        &self.dirs.ingest
    }

    /// Keeps a document; returns when it is on the disk. One that is there is left alone.
    pub fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let path = self.path(digest)?;
        let step = || format!("content: write {digest}");
        if fs::metadata(&path).is_ok_and(|there| there.len() == bytes.len() as u64) {
            return Ok(());
        }
        let mut file = tempfile::Builder::new().prefix("document-").tempfile_in(&self.dirs.ingest).step(step)?;
        file.write_all(bytes).step(step)?;
        file.as_file().sync_all().step(step)?;
        point!("images.content.written");
        file.persist(&path).map_err(|error| error.error).step(step)?;
        point!("images.content.named");
        File::open(path.parent().unwrap_or(&self.dirs.blobs)).and_then(|dir| dir.sync_all()).step(step)
    }

    /// A document; `None` where it is not here.
    ///
    /// # Errors
    /// `DataLoss` where it is not what its digest says.
    pub fn get(&self, digest: &Digest) -> Result<Option<Bytes>> {
        let path = self.path(digest)?;
        let step = || format!("content: read {digest}");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).step(step),
        };
        let mut bytes = Vec::new();
        file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).step(step)?;
        verify("content", &bytes, digest)?;
        Ok(Some(bytes.into()))
    }

    /// A document that must be here.
    pub fn expect(&self, digest: &Digest) -> Result<Bytes> {
        self.get(digest)?.ok_or_else(|| Error::new(Kind::DataLoss, format!("content: {digest} is gone")))
    }

    /// Removes all documents but these, given as digests.
    pub fn keep_only(&self, keep: &HashSet<String>) -> Result<()> {
        for (algorithm, name) in self.documents()? {
            if !keep.contains(&format!("{algorithm}:{name}")) {
                point!("images.content.remove");
                remove(&self.dirs.blobs.join(algorithm).join(name))?;
            }
        }
        Ok(())
    }

    /// Bytes and files of all documents.
    pub fn usage(&self) -> Result<(u64, u64)> {
        let mut usage = (0, 0);
        for (algorithm, name) in self.documents()? {
            if let Ok(metadata) = fs::symlink_metadata(self.dirs.blobs.join(algorithm).join(name)) {
                usage = (usage.0 + metadata.len(), usage.1 + 1);
            }
        }
        Ok(usage)
    }

    fn path(&self, digest: &Digest) -> Result<PathBuf> {
        Ok(self.dirs.blobs.join(path_of(digest)?))
    }

    /// Algorithm and hexadecimal part of all that are here.
    fn documents(&self) -> Result<Vec<(&'static str, String)>> {
        let mut documents = Vec::new();
        for algorithm in ALGORITHMS {
            let names = self.names(&self.dirs.blobs.join(algorithm))?;
            documents.extend(names.into_iter().map(|name| (algorithm, name)));
        }
        Ok(documents)
    }

    fn names(&self, folder: &Path) -> Result<Vec<String>> {
        let step = || format!("content: list {}", folder.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).step(step)? {
            names.extend(entry.step(step)?.file_name().into_string());
        }
        Ok(names)
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).step(|| format!("content: remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use wharf_registry::digest_of;

    use super::*;

    #[test]
    fn a_document_comes_back_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let content = Content::open(dir.path()).unwrap();
        let digest = digest_of(b"{}").unwrap();
        assert_eq!(content.get(&digest).unwrap(), None);
        content.put(&digest, b"{}").unwrap();
        assert_eq!(content.expect(&digest).unwrap(), &b"{}"[..]);
        assert_eq!(content.usage().unwrap(), (2, 1));
        std::fs::write(content.path(&digest).unwrap(), b"[]").unwrap();
        assert_eq!(content.get(&digest).unwrap_err().kind(), Kind::DataLoss);
        std::fs::write(content.path(&digest).unwrap(), b"").unwrap();
        content.put(&digest, b"{}").unwrap();
        assert!(content.get(&digest).unwrap().is_some(), "a torn one is written again");
        assert_eq!(fs::read_dir(content.ingest()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_kept_goes_and_ingest_is_emptied_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let content = Content::open(dir.path()).unwrap();
        let (one, two) = (digest_of(b"1").unwrap(), digest_of(b"2").unwrap());
        content.put(&one, b"1").unwrap();
        content.put(&two, b"2").unwrap();
        content.keep_only(&[one.to_string()].into()).unwrap();
        assert!(content.get(&one).unwrap().is_some() && content.get(&two).unwrap().is_none());
        std::fs::write(content.ingest().join("half"), b"x").unwrap();
        let content = Content::open(dir.path()).unwrap();
        assert_eq!(fs::read_dir(content.ingest()).unwrap().count(), 0);
    }
}
