use std::{fmt, str::FromStr};

use oci_spec::image::Digest;
use wharf_error::{Error, Result};

use crate::digest::check_algorithm;

const DEFAULT_REGISTRY: &str = "docker.io";
const MAX_REPOSITORY: usize = 255;

/// A fully qualified image reference: what `busybox` means to every runtime, `docker.io/library/busybox:latest`.
///
/// Parsing is strict: what a registry could not be asked for is refused. `Display` is the normalised form, equal
/// for all spellings of one name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

// === impl Reference ===

impl Reference {
    /// The registry's host as written, with its port; Docker Hub is `docker.io`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path in the registry, `library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` where neither tag nor digest was written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, which wins over the tag where both are there.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository, without tag or digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same repository at this digest, without a tag: the name that never moves.
    #[must_use]
    pub fn at(&self, digest: &Digest) -> Self {
        Self { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }

    /// What manifests are asked for by: the digest, or else the tag.
    pub(crate) fn object(&self) -> &str {
        self.digest.as_ref().map(AsRef::as_ref).or(self.tag.as_deref()).unwrap_or("latest")
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|why| Error::invalid(format!("image reference {text:?}: {why}")))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text.contains("://") {
        return Err("has a scheme; write only host, repository and tag".into());
    }
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("is an image id, not a name".into());
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(parse_digest(digest)?)),
        None => (text, None),
    };
    // A colon after the last slash starts a tag; one before it belongs to the registry's port.
    let (name, tag) = match rest.rfind(':').filter(|at| !rest[*at..].contains('/')) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let (registry, repository) = split_name(name);
    check_registry(&registry)?;
    check_repository(&repository)?;
    let tag = match (tag, &digest) {
        (None, None) => Some("latest".to_owned()),
        (tag, _) => tag.map(str::to_owned),
    };
    Ok(Reference { registry, repository, tag, digest })
}

/// The first component is a registry when it looks like a host; all else lives on Docker Hub.
fn split_name(name: &str) -> (String, String) {
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if looks_like_host(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    };
    if registry != DEFAULT_REGISTRY && registry != "index.docker.io" {
        return (registry.to_owned(), repository.to_owned());
    }
    let repository = if repository.contains('/') { repository.to_owned() } else { format!("library/{repository}") };
    (DEFAULT_REGISTRY.to_owned(), repository)
}

fn looks_like_host(component: &str) -> bool {
    component.contains(['.', ':']) || component == "localhost" || component.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_registry(host: &str) -> Result<(), String> {
    let bad = || format!("{host:?} is no registry host");
    let (name, port) = match host.strip_prefix('[') {
        Some(v6) => {
            let (address, port) = v6.split_once(']').ok_or_else(bad)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?;
            (None, port)
        }
        None => match host.find(':') {
            Some(at) => (Some(&host[..at]), &host[at..]),
            None => (Some(host), ""),
        },
    };
    if let Some(name) = name {
        let label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(bad());
        }
    }
    if !port.is_empty() {
        let digits = port.strip_prefix(':').ok_or_else(bad)?;
        let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u16>().ok()).flatten();
        if number.is_none_or(|port| port == 0) {
            return Err(bad());
        }
    }
    Ok(())
}

fn check_repository(path: &str) -> Result<(), String> {
    if path.len() > MAX_REPOSITORY {
        return Err(format!("repository is longer than {MAX_REPOSITORY} characters"));
    }
    match path.split('/').find(|component| !is_path_component(component)) {
        Some(bad) => Err(format!(
            "{bad:?} is no repository path: lower case letters, digits, and single separators (., _, __, -) between them"
        )),
        None => Ok(()),
    }
}

/// Runs of `[a-z0-9]` joined by one of `.`, `_`, `__` or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let mut separator = String::new();
    let mut any = false;
    for c in component.chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            let starts_or_follows_one = separator.is_empty() || (any && is_separator(&separator));
            if !starts_or_follows_one {
                return false;
            }
            separator.clear();
            any = true;
        } else {
            separator.push(c);
        }
    }
    any && separator.is_empty()
}

fn is_separator(text: &str) -> bool {
    matches!(text, "." | "_" | "__") || text.bytes().all(|b| b == b'-')
}

fn check_tag(tag: &str) -> Result<(), String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = tag.bytes();
    let good = tag.len() <= 128 && bytes.next().is_some_and(word) && bytes.all(|b| word(b) || b == b'.' || b == b'-');
    if good { Ok(()) } else { Err(format!("{tag:?} is no tag: at most 128 letters, digits, _, . and -")) }
}

fn parse_digest(text: &str) -> Result<Digest, String> {
    let digest: Digest = text.parse().map_err(|_| format!("{text:?} is no digest"))?;
    check_algorithm(&digest).map_err(|error| error.to_string())?;
    Ok(digest)
}

#[cfg(test)]
mod tests;
