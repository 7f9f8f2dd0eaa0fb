use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    http::request,
    image::{Blob, Image},
    packages::{apt_is_here, unpacked_package},
    wait::wait_for,
};

const START: Duration = Duration::from_secs(15);
/// Ends the registry and its folder when our end of its standard input closes: also when this process is killed,
/// and for a registry in a `static`, which is never dropped.
const GUARD: &str = r#"dir=$1; shift
"$@" >"$dir/log" 2>&1 & child=$!
cat >/dev/null
kill "$child"; wait "$child"; rm -rf -- "$dir""#;

/// Debian's `docker-registry` as a child on a free port of loopback, its storage in a temporary folder. Ends on drop.
#[derive(Debug)]
pub struct DockerRegistry {
    guard: Child,
    address: String,
}

impl DockerRegistry {
    /// Where the program is: installed, or fetched as a package into the cache without being installed.
    ///
    /// # Errors
    ///
    /// When it is neither here nor among the packages that apt knows.
    pub fn find() -> Result<PathBuf> {
        let installed = ["/usr/bin/docker-registry", "/usr/local/bin/docker-registry"];
        if let Some(found) = installed.iter().map(PathBuf::from).find(|p| p.is_file()) {
            return Ok(found);
        }
        ensure!(apt_is_here(), "docker-registry is not installed, and there is no apt-get to fetch it");
        Ok(unpacked_package("docker-registry")?.join("usr/bin/docker-registry"))
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it is not installed, or does not answer, with its own last words.
    pub fn start() -> Result<Self> {
        let program = Self::find()?;
        let dir =
            tempfile::Builder::new().prefix("wharf-registry-").tempdir().context("make a folder for the registry")?;
        // Another process may take the port before the registry does: then it exits and the next port is tried.
        for _ in 0..3 {
            let port = TcpListener::bind("127.0.0.1:0").context("find a free port")?.local_addr()?.port();
            if let Some(guard) = launch(&program, dir.path(), port)? {
                // From here on the guard removes the folder.
                let _ = dir.keep();
                return Ok(Self { guard, address: format!("127.0.0.1:{port}") });
            }
        }
        bail!(
            "docker-registry does not answer: {}",
            fs::read_to_string(dir.path().join("log")).unwrap_or_default().trim()
        )
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Pushes an image as `repository:tag`.
    ///
    /// # Errors
    ///
    /// When the registry refuses a part, with its answer.
    pub fn push(&self, repository: &str, tag: &str, image: &Image) -> Result<()> {
        for blob in &image.blobs {
            self.push_blob(repository, blob).with_context(|| format!("push {repository}: blob {}", blob.digest))?;
        }
        for manifest in &image.manifests {
            self.push_manifest(repository, &manifest.digest, manifest)?;
        }
        self.push_manifest(repository, tag, &image.target)
    }

    fn push_blob(&self, repository: &str, blob: &Blob) -> Result<()> {
        if request("HEAD", &self.address, &format!("/v2/{repository}/blobs/{}", blob.digest), &[], b"")?.status == 200 {
            return Ok(());
        }
        let opened = request("POST", &self.address, &format!("/v2/{repository}/blobs/uploads/"), &[], b"")?;
        ensure!(opened.status == 202, "open upload: {} {}", opened.status, String::from_utf8_lossy(&opened.body));
        let location = opened.header("location").context("an upload without a location")?;
        let path = location.strip_prefix("http://").and_then(|l| l.find('/').map(|at| &l[at..])).unwrap_or(location);
        let join = if path.contains('?') { '&' } else { '?' };
        let headers = [("Content-Type", "application/octet-stream")];
        let put = request("PUT", &self.address, &format!("{path}{join}digest={}", blob.digest), &headers, &blob.bytes)?;
        ensure!(put.status == 201, "upload: {} {}", put.status, String::from_utf8_lossy(&put.body));
        Ok(())
    }

    fn push_manifest(&self, repository: &str, reference: &str, manifest: &Blob) -> Result<()> {
        let headers = [("Content-Type", manifest.media_type.as_str())];
        let put = request(
            "PUT",
            &self.address,
            &format!("/v2/{repository}/manifests/{reference}"),
            &headers,
            &manifest.bytes,
        )?;
        ensure!(
            put.status == 201,
            "push {repository}:{reference}: {} {}",
            put.status,
            String::from_utf8_lossy(&put.body)
        );
        Ok(())
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

// `None` when it ended before it answered.
fn launch(program: &Path, dir: &Path, port: u16) -> Result<Option<Child>> {
    let config = dir.join("config.yml");
    let storage = dir.join("storage");
    let text = format!(
        "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n",
        storage.display()
    );
    fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
    let mut guard = Command::new("/bin/sh")
        .args(["-c", GUARD, "registry"])
        .arg(dir)
        .arg(program)
        .arg("serve")
        .arg(&config)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start /bin/sh for docker-registry")?;
    let address = format!("127.0.0.1:{port}");
    if wait_for(START, || request("GET", &address, "/v2/", &[], b"").is_ok_and(|r| r.status == 200)) {
        return Ok(Some(guard));
    }
    drop(guard.stdin.take());
    let _ = guard.wait();
    fs::create_dir_all(dir)?;
    Ok(None)
}
