//! Credentials that the node itself has, as Docker keeps them: `config.json` and the helpers that it names.

mod file;
mod helper;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use self::file::{ConfigFile, Source};
use crate::Auth;

/// How long a helper's answer is good: long enough for the requests of one pull.
const GOOD_FOR: Duration = Duration::from_secs(60);
const MAX_ANSWERS: usize = 256;

/// One `config.json`, read at each question. Cheap to clone; clones share the helpers' answers.
///
/// `auths`, `credHelpers` and `credsStore` are understood, all else is passed over. For a host the order is: its own
/// helper, the store, the file itself.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    path: PathBuf,
    answers: Arc<Mutex<HashMap<(String, String), Answer>>>,
}

#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(bytes: &[u8], host: &str, repository: &str) {
    if let Ok(config) = ConfigFile::parse(bytes) {
        let _ = config.sources(host, repository);
    }
}

/// What a helper has said, or how it failed. Held while it is asked, so that it is asked once.
type Answer = Arc<Mutex<Option<(Instant, Result<Option<Auth>, (Kind, String)>)>>>;

// === impl DockerConfig ===

impl DockerConfig {
    /// The file at this path, which need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), answers: Arc::default() }
    }

    /// Where Docker would look: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`. Home is `$HOME`, or without
    /// it what the passwd database says: systemd starts the services of the system without one. None without a home.
    pub fn of_environment() -> Option<Self> {
        let folder = match std::env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => std::env::home_dir().filter(|home| !home.as_os_str().is_empty())?.join(".docker"),
        };
        Some(Self::at(folder.join("config.json")))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What there is for a repository (`library/busybox`) at a host (`docker.io`, `registry.example:5000`): good for
    /// that host alone, so it is answered with its address.
    ///
    /// Helpers are programs `docker-credential-NAME` on the `PATH`; one may take 30 seconds, and its answer is kept
    /// for a minute. Dropping the future kills it.
    ///
    /// # Errors
    /// `FailedPrecondition` for a file that cannot be read, and a helper that is not there, fails or makes no sense;
    /// `DeadlineExceeded` for one that takes too long. No text carries a secret.
    pub async fn credentials(&self, host: &str, repository: &str) -> Result<Option<Auth>> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || ConfigFile::read(&path));
        let config = read.await.step(|| format!("{}: read", self.path.display()))??;
        for source in config.sources(host, repository) {
            let found = match source {
                Source::File(auth) => Some(auth),
                Source::Helper { name, server } => self.helper(&name, &server).await?,
            };
            if let Some(auth) = found {
                return Ok(Some(Auth { server_address: host.to_owned(), ..auth }));
            }
        }
        Ok(None)
    }

    async fn helper(&self, name: &str, server: &str) -> Result<Option<Auth>> {
        let answer = {
            let mut answers = self.answers.lock().await;
            if answers.len() >= MAX_ANSWERS {
                answers.clear();
            }
            answers.entry((name.to_owned(), server.to_owned())).or_default().clone()
        };
        let mut answer = answer.lock().await;
        if let Some((_, known)) = answer.as_ref().filter(|(at, _)| at.elapsed() < GOOD_FOR) {
            return known.clone().map_err(|(kind, text)| Error::new(kind, text));
        }
        let found = helper::get(name, server).await.step(|| self.path.display().to_string());
        // One that hangs is not waited for again with each request of a pull.
        let known = found.as_ref().map(Clone::clone).map_err(|error| (error.kind(), error.to_string()));
        *answer = Some((Instant::now(), known));
        found
    }
}
