use std::{
    ffi::CString,
    fs::{self, File},
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::MountNamespace;
use wharf_shim_api::OtherShim;

use crate::engine::ended::ends;

/// How long one run may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A run of the program for one verb.
pub struct Run<'a> {
    pub program: &'a OtherShim,
    pub id: &'a str,
    pub namespace: &'a str,
    pub address: &'a str,
}

// === impl Run ===

impl Run<'_> {
    /// What it prints. Streams are files of the bundle: what it leaves running may hold them open.
    pub fn run(
        &self,
        verb: &str,
        bundle: &Path,
        mounts: Option<&Arc<MountNamespace>>,
        events: &Path,
    ) -> Result<String> {
        let what = || format!("{} {verb}", self.program.path.display());
        let (input, output, errors) = (bundle.join("options"), bundle.join("answer"), bundle.join("errors"));
        fs::write(&input, self.program.encoded_options()?).step(what)?;
        let create = |path: &Path| File::create(path).step(what);
        let mut command = Command::new(&self.program.path);
        command
            .args(["-namespace", self.namespace, "-address", self.address, "-publish-binary", "/bin/true"])
            .args(["-id", self.id])
            .arg("-bundle")
            .arg(bundle)
            .arg(verb)
            .current_dir(bundle)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()))
            .env("NAMESPACE", self.namespace)
            .env("GRPC_ADDRESS", self.address)
            .env("TTRPC_ADDRESS", events)
            .env("MAX_SHIM_VERSION", "3")
            .env("GOMAXPROCS", "2")
            .stdin(Stdio::from(File::open(&input).step(what)?))
            .stdout(create(&output)?)
            .stderr(create(&errors)?);
        if let Some(mounts) = mounts.cloned() {
            let directory = CString::new(bundle.as_os_str().as_bytes()).step(what)?;
            // SAFETY: the closure only makes system calls; it allocates nothing and takes no lock.
            unsafe {
                command.pre_exec(move || mounts.enter(&directory));
            }
        }
        let mut child = command.spawn().step(|| format!("{}: start it", what()))?;
        if !ends(&child, DEADLINE).step(what)? {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::new(Kind::DeadlineExceeded, format!("{}: not done within {DEADLINE:?}", what())));
        }
        let status = child.wait().step(what)?;
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).trim().to_owned();
        let (printed, said) = (read(&output), read(&errors));
        for file in [input, output, errors] {
            let _ = fs::remove_file(file);
        }
        if status.success() {
            return Ok(printed);
        }
        Err(Error::internal(format!("{}: {} ({status})", what(), if said.is_empty() { printed } else { said })))
    }
}
