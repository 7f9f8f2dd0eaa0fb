use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Mutex,
};

use serde::{Deserialize, Serialize};
use wasmtime::component::Component;
use wharf_error::{Result, ResultExt as _};

use crate::{compile::compile, digest, engines::Engines, native::Native};

/// Native code that our compiler made, kept so that a start takes no compiler.
///
/// `<sha256 of the component>-<key of the engine>.cwasm`, and beside it a record with the sha256 of that file. What has
/// no record, or is not what its record says, or is not accepted by the engine, is compiled again.
pub(crate) struct Compiled {
    dir: PathBuf,
    compiler: PathBuf,
    /// Names that were used since the start; the others are swept.
    used: Mutex<HashSet<String>>,
}

#[derive(Deserialize, Serialize)]
struct Record {
    sha256: String,
    wasmtime: String,
}

// === impl Compiled ===

impl Compiled {
    /// Makes the directory, for root alone.
    pub(crate) fn open(dir: PathBuf, compiler: PathBuf) -> Result<Self> {
        let step = || format!("compiled plugins: make {}", dir.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).step(step)?;
        let used = Mutex::default();
        Ok(Self { dir, compiler, used })
    }

    /// The component, from here or from the compiler. The second says whether it had to be compiled.
    pub(crate) fn component(&self, engines: &Engines, wasm: &[u8]) -> Result<(Component, bool)> {
        let name = format!("{}-{}", digest::hex(wasm), engines.key);
        if let Ok(mut used) = self.used.lock() {
            used.insert(name.clone());
        }
        match self.read(&name) {
            Ok(Some(native)) => match engines.load(&native) {
                Ok(component) => return Ok((component, false)),
                Err(error) => tracing::warn!("compiled plugin {name}: {error:#}; compiling it again"),
            },
            Ok(None) => {}
            Err(error) => tracing::warn!("compiled plugin {name}: {error}; compiling it again"),
        }
        let native = compile(&self.compiler, wasm)?;
        let component = engines.load(&native).step(|| "load what was compiled".into())?;
        // Without a place to keep it the plugin works all the same.
        if let Err(error) = self.write(&name, &native) {
            tracing::warn!("{error}");
        }
        Ok((component, true))
    }

    /// Removes what no plugin of this configuration and engine uses.
    pub(crate) fn sweep(&self) {
        let Ok(used) = self.used.lock() else { return };
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let stem = Path::new(&name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
            if !stem.is_some_and(|stem| used.contains(&stem)) {
                // Best effort: what stays is only not used.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// None: not there. Errors: there, but not to be trusted.
    fn read(&self, name: &str) -> io::Result<Option<Native>> {
        let Some(record) = own_file(&self.path(name, "json"))? else { return Ok(None) };
        let Some(bytes) = own_file(&self.path(name, "cwasm"))? else { return Ok(None) };
        let record: Record =
            serde_json::from_slice(&record).map_err(|_| io::Error::other("its record cannot be read"))?;
        if digest::hex(&bytes) != record.sha256 {
            return Err(io::Error::other("it is not what its record says"));
        }
        Ok(Some(Native::from_our_compiler(bytes)))
    }

    /// The code first, then the record that makes it count.
    fn write(&self, name: &str, native: &Native) -> Result<()> {
        let sha256 = digest::hex(native.bytes());
        let record = Record { sha256, wasmtime: wharf_engine::WASMTIME_VERSION.to_owned() };
        let record = serde_json::to_vec(&record).step(|| "write the record of a compiled plugin".into())?;
        for (extension, bytes) in [("cwasm", native.bytes()), ("json", record.as_slice())] {
            let path = self.path(name, extension);
            replace(&path, bytes).step(|| format!("keep compiled plugin {}", path.display()))?;
        }
        Ok(())
    }

    fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.dir.join(format!("{name}.{extension}"))
    }
}

/// The content of a regular file that belongs to us and that nobody else could write.
fn own_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut file = match OpenOptions::new().read(true).custom_flags(nofollow).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let meta = file.metadata()?;
    if !meta.is_file() || meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o077 != 0 {
        return Err(io::Error::other("it is not a file of ours alone"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes beside it, flushes, and takes its place.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    // A leftover of a start that was cut short.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}
