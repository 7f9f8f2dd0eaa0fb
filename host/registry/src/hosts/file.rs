use std::{collections::BTreeMap, path::Path, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use url::Url;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{
    Endpoint, Origin, Tls, is_loopback,
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
        let parsed = parse_url(url, &tls).map_err(bad)?;
        let origin = Origin::of(&parsed).ok_or_else(|| bad("has no host".into()))?;
        let mut base = format!("{}{}", parsed.origin().ascii_serialization(), parsed.path().trim_end_matches('/'));
        if !self.override_path && !base.ends_with("/v2") {
            base.push_str("/v2");
        }
        let (pull, resolve) = self.capabilities().map_err(bad)?;
        Ok(Endpoint {
            base,
            origin,
            pull,
            resolve,
            tls,
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

/// A host may be written with or without its scheme. Without one it is https, except on this machine, where
/// plain http is what a registry on loopback speaks unless its port or its settings say TLS.
pub(super) fn parse_url(text: &str, tls: &Tls) -> Result<Url, String> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        let authority = text.split('/').next().unwrap_or(text);
        let host = match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or(v6),
            None => authority.split(':').next().unwrap_or(authority),
        };
        let plain = is_loopback(host) && !authority.ends_with(":443") && !tls.is_configured();
        format!("{}://{text}", if plain { "http" } else { "https" })
    };
    let url = Url::parse(&with_scheme).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("scheme {} is neither http nor https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong into a URL; use header".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment".into());
    }
    Ok(url)
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

    #[test]
    fn a_scheme_is_found_as_it_is_meant() {
        let scheme = |text: &str| parse_url(text, &Tls::default()).unwrap().scheme().to_owned();
        for plain in ["localhost:5000", "127.0.0.1:5000/x", "127.9.9.9", "[::1]:5000", "http://a.example"] {
            assert_eq!(scheme(plain), "http", "{plain}");
        }
        for secure in ["a.example", "localhost:443", "https://127.0.0.1:5000", "localhost.example:5000"] {
            assert_eq!(scheme(secure), "https", "{secure}");
        }
        let tls = Tls { skip_verify: true, ..Tls::default() };
        assert_eq!(parse_url("localhost:5000", &tls).unwrap().scheme(), "https");
        for bad in ["ftp://a.example", "https://", "https://u:p@a.example", "https://a.example/?x=1"] {
            assert!(parse_url(bad, &Tls::default()).is_err(), "{bad}");
        }
    }
}
