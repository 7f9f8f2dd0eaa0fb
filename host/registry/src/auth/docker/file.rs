use std::{
    collections::BTreeMap,
    io::{self, Read as _},
    path::Path,
};

use serde::{Deserialize, Deserializer};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::Auth;

const MAX_FILE: u64 = 1 << 20;
/// What Docker calls its own registry, to helpers too.
const HUB: &str = "https://index.docker.io/v1/";

/// What of the file concerns pulls.
#[derive(Default, Deserialize)]
pub(crate) struct ConfigFile {
    #[serde(default, deserialize_with = "nothing")]
    auths: BTreeMap<String, Entry>,
    #[serde(default, deserialize_with = "nothing", rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "nothing", rename = "credsStore")]
    store: String,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    auth: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
    #[serde(default, rename = "registrytoken")]
    registry_token: String,
}

/// Who may have credentials.
#[derive(Debug)]
pub(crate) enum Source {
    File(Auth),
    /// A helper's name, and what it calls the host.
    Helper {
        name: String,
        server: String,
    },
}

/// To Go, whose programs write these files, null is as good as nothing.
fn nothing<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

// === impl ConfigFile ===

impl ConfigFile {
    /// A file that is not there is an empty one. Blocking.
    pub fn read(path: &Path) -> Result<Self> {
        let step = || format!("{}: read", path.display());
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error).step_as(Kind::FailedPrecondition, step),
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut bytes).step_as(Kind::FailedPrecondition, step)?;
        Self::parse(&bytes).step(step)
    }

    /// # Errors
    /// `FailedPrecondition`, with the place and without a word of the text, which is secret.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| {
            let text = format!("it is no Docker configuration: line {}, column {}", error.line(), error.column());
            Error::new(Kind::FailedPrecondition, text)
        })
    }

    /// In the order in which they are asked.
    pub fn sources(&self, host: &str, repository: &str) -> Vec<Source> {
        let host = canonical(host);
        let server = || if host == "docker.io" { HUB.to_owned() } else { host.to_owned() };
        let own = self.helpers.iter().find(|(key, _)| Place::of(key).host == host).map(|(_, name)| name);
        let helpers = own.into_iter().chain(Some(&self.store)).filter(|name| !name.is_empty());
        let mut sources: Vec<Source> =
            helpers.map(|name| Source::Helper { name: name.clone(), server: server() }).collect();
        let fits = |key: &String| Place::of(key).host == host && Place::of(key).has(repository);
        // The most particular one counts.
        let entries = self.auths.iter().filter(|(key, entry)| fits(key) && !entry.is_empty());
        let best = entries.max_by_key(|(key, _)| Place::of(key).path.len());
        sources.extend(best.map(|(_, entry)| Source::File(entry.auth())));
        sources
    }
}

// === impl Entry ===

impl Entry {
    /// Where a store keeps the credentials, the file has an empty entry.
    fn is_empty(&self) -> bool {
        let Self { username, auth, identity_token, registry_token, .. } = self;
        [username, auth, identity_token, registry_token].iter().all(|text| text.is_empty())
    }

    fn auth(&self) -> Auth {
        Auth {
            username: self.username.clone(),
            password: self.password.clone(),
            auth: self.auth.clone(),
            server_address: String::new(),
            identity_token: self.identity_token.clone(),
            registry_token: self.registry_token.clone(),
        }
    }
}

/// A key of the file: a host, a URL, or (as podman writes) a host and the beginning of a repository.
struct Place<'a> {
    host: &'a str,
    path: &'a str,
}

// === impl Place ===

impl<'a> Place<'a> {
    fn of(key: &'a str) -> Self {
        let (is_url, rest) = match key.split_once("://") {
            Some((_, rest)) => (true, rest),
            None => (false, key),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        // The path of a URL is that of the API.
        let path = if is_url || matches!(path, "v1" | "v2") { "" } else { path };
        Self { host: canonical(host), path }
    }

    fn has(&self, repository: &str) -> bool {
        match repository.strip_prefix(self.path) {
            Some(rest) => self.path.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

/// All of Docker Hub's names are one.
fn canonical(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(config: &str, host: &str, repository: &str) -> Vec<String> {
        let describe = |source: Source| match source {
            Source::File(auth) => format!("{}{}{}", auth.auth, auth.username, auth.identity_token),
            Source::Helper { name, server } => format!("{name} {server}"),
        };
        ConfigFile::parse(config.as_bytes()).unwrap().sources(host, repository).into_iter().map(describe).collect()
    }

    #[test]
    fn a_host_is_found_however_it_is_written() {
        let config = r#"{"HttpHeaders": {}, "auths": {
            "https://index.docker.io/v1/": {"auth": "hub"}, "r.example:5000": {"username": "user", "password": "p"},
            "https://s.example/v2/": {"identitytoken": "id"}, "t.example": {"auth": "all"},
            "t.example/team": {"auth": "team"}, "t.example/team/app": {"auth": "app"}, "empty.example": {}}}"#;
        for (host, repository, expected) in [
            ("docker.io", "library/busybox", Some("hub")),
            ("registry-1.docker.io", "library/busybox", Some("hub")),
            ("r.example:5000", "a", Some("user")),
            ("r.example", "a", None),
            ("s.example", "a", Some("id")),
            ("t.example", "a", Some("all")),
            ("t.example", "team", Some("team")),
            ("t.example", "team/app/x", Some("app")),
            ("t.example", "teams", Some("all")),
            ("empty.example", "a", None),
            ("docker.io.evil.example", "a", None),
        ] {
            let expected: Vec<&str> = expected.into_iter().collect();
            assert_eq!(described(config, host, repository), expected, "{host}/{repository}");
        }
    }

    #[test]
    fn helpers_come_first_and_the_hub_has_its_old_name() {
        let config = r#"{"credsStore": "all", "credHelpers": {"gcr.io": "gcloud", "docker.io": "hub", "off.example": ""},
            "auths": {"gcr.io": {"auth": "file"}}}"#;
        assert_eq!(described(config, "gcr.io", "a"), ["gcloud gcr.io", "all gcr.io", "file"]);
        assert_eq!(described(config, "docker.io", "a"), [format!("hub {HUB}"), format!("all {HUB}")]);
        assert_eq!(described(config, "off.example", "a"), ["all off.example"]);
        assert!(described("{}", "docker.io", "a").is_empty());
    }

    #[test]
    fn a_broken_file_is_refused_without_a_word_of_it() {
        let error = ConfigFile::parse(br#"{"auths": {"a": {"auth": "secret"}"#).err().unwrap();
        assert_eq!(error.kind(), Kind::FailedPrecondition);
        assert!(!error.to_string().contains("secret") && error.to_string().contains("line 1"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        assert!(ConfigFile::read(&dir.path().join("absent/config.json")).unwrap().auths.is_empty());
    }
}
