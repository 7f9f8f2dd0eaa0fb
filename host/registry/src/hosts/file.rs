use std::{collections::BTreeMap, path::Path, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use url::Url;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{
    Endpoint, Origin, Tls,
    address::Address,
    one_or_many::{OneOrMany, Pairs},
};

/// One hosts.toml.
#[derive(Debug, Default, Deserialize)]
pub(super) struct HostsFile {
    pub server: Option<String>,
    #[serde(default)]
    pub host: Ordered,
    #[serde(flatten)]
    pub own: HostEntry,
}

/// The settings of one host; at the top of the file they are the registry's own.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct HostEntry {
    capabilities: Option<Vec<String>>,
    #[serde(default)]
    ca: OneOrMany,
    #[serde(default)]
    client: Pairs,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    header: BTreeMap<String, OneOrMany>,
    #[serde(default)]
    override_path: bool,
    dial_timeout: Option<String>,
    #[serde(flatten)]
    unknown: BTreeMap<String, toml::Value>,
}

/// The `[host."…"]` tables as they stand in the file: their order is the order of trying.
#[derive(Debug, Default)]
pub(super) struct Ordered(pub Vec<(String, HostEntry)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tables;
        impl<'de> Visitor<'de> for Tables {
            type Value = Vec<(String, HostEntry)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("tables [host.\"URL\"]")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut hosts = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    hosts.push(entry);
                }
                Ok(hosts)
            }
        }
        deserializer.deserialize_map(Tables).map(Self)
    }
}

// === impl HostsFile ===

impl HostsFile {
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let file: Self = toml::from_str(text)
            .step_as(Kind::FailedPrecondition, || format!("{}: read the registry's hosts", path.display()))?;
        // containerd ignores what it does not know, and files are shared with it: say it, and go on.
        for (table, entry) in
            std::iter::once(("the file", &file.own)).chain(file.host.0.iter().map(|(url, entry)| (url.as_str(), entry)))
        {
            for key in entry.unknown.keys() {
                tracing::warn!(file = %path.display(), table, key, "unknown key is ignored");
            }
        }
        Ok(file)
    }
}

// === impl HostEntry ===

impl HostEntry {
    pub fn with_certificates(ca: OneOrMany, client: Pairs) -> Self {
        Self { ca, client, ..Self::default() }
    }

    /// The endpoint that these settings describe. Relative paths are relative to the folder of the file.
    pub fn endpoint(&self, path: &Path, url: &str) -> Result<Endpoint> {
        let bad =
            |why: String| Error::new(Kind::FailedPrecondition, format!("{}: host {url:?}: {why}", path.display()));
        let folder = path.parent().unwrap_or(path);
        let tls = Tls {
            ca: self.ca.0.iter().map(|file| folder.join(file)).collect(),
            client: self
                .client
                .0
                .iter()
                .map(|(cert, key)| (folder.join(cert), key.as_ref().map(|key| folder.join(key))))
                .collect(),
            skip_verify: self.skip_verify,
        };
        let Address { url: secure, clear, lenient } = Address::parse(url, &tls).map_err(bad)?;
        let (base, origin) = self.root(&secure).map_err(bad)?;
        let (pull, resolve) = self.capabilities().map_err(bad)?;
        Ok(Endpoint {
            base,
            origin,
            pull,
            resolve,
            tls,
            lenient,
            clear: clear.map(|url| self.root(&url)).transpose().map_err(bad)?,
            headers: self.headers().map_err(bad)?,
            dial_timeout: self
                .dial_timeout
                .as_deref()
                .map(parse_duration)
                .transpose()
                .map_err(bad)?
                .filter(|timeout| !timeout.is_zero()),
            is_registry: false,
            ns: None,
        })
    }

    /// The root of the API, and whose it is.
    fn root(&self, url: &Url) -> Result<(String, Origin), String> {
        let origin = Origin::of(url).ok_or("has no host")?;
        let mut base = format!("{}{}", url.origin().ascii_serialization(), url.path().trim_end_matches('/'));
        if !self.override_path && !base.ends_with("/v2") {
            base.push_str("/v2");
        }
        Ok((base, origin))
    }

    fn capabilities(&self) -> Result<(bool, bool), String> {
        // Not a word of them means all, as in containerd.
        let Some(list) = self.capabilities.as_ref().filter(|list| !list.is_empty()) else { return Ok((true, true)) };
        let list: Vec<String> = list.iter().map(|capability| capability.to_lowercase()).collect();
        if let Some(unknown) = list.iter().find(|c| !["pull", "resolve", "push", "referrers"].contains(&c.as_str())) {
            return Err(format!("capability {unknown:?} is none of pull, resolve, push"));
        }
        let has = |name: &str| list.iter().any(|c| c == name);
        Ok((has("pull"), has("resolve")))
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, values) in &self.header {
            let header = HeaderName::try_from(name.as_str()).map_err(|_| format!("{name:?} is no header name"))?;
            for value in &values.0 {
                let mut value = HeaderValue::try_from(value.as_str())
                    .map_err(|_| format!("the value of header {name} has characters that are not allowed"))?;
                value.set_sensitive(true);
                headers.append(header.clone(), value);
            }
        }
        Ok(headers)
    }
}

/// Go's notation for the durations of this file: a number with a unit, or several (`1m30s`), or 0, which says nothing.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("dial_timeout {text:?} is no duration like \"500ms\", \"3s\" or \"1m30s\"");
    let mut total = Duration::ZERO;
    let mut rest = if text == "0" { "0s" } else { text };
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let unit = match &rest[digits..unit_end] {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(bad()),
        };
        total += Duration::try_from_secs_f64(number * unit).map_err(|_| bad())?;
        rest = &rest[unit_end..];
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_s() {
        assert_eq!(parse_duration("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!((parse_duration("0s").unwrap(), parse_duration("0").unwrap()), (Duration::ZERO, Duration::ZERO));
        for bad in ["", "3", "s", "-1s", "1 s", "1y"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
