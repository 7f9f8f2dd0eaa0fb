use reqwest::{ClientBuilder, NoProxy, Proxy};
use url::Url;
use wharf_error::{Error, Kind, Result, ResultExt as _};

/// Whom no proxy is asked for, whatever is said: this machine.
const ALWAYS_DIRECT: &str = "localhost,127.0.0.0/8,::1";

/// The proxies through which registries are asked.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Proxies {
    /// For plain http: a variable, and the URL in it.
    http: Option<(String, String)>,
    /// For https.
    https: Option<(String, String)>,
    /// Who is asked directly.
    direct: String,
}

// === impl Proxies ===

impl Proxies {
    /// Those of this process's environment: `HTTPS_PROXY` and `HTTP_PROXY` by what the registry speaks, `ALL_PROXY` where
    /// one is not set, `NO_PROXY` for who is asked directly, each also in lower case. This machine always is.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// As [`from_env`](Self::from_env), from variables that are looked up by their names.
    pub fn from_variables(value: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&str; 4]| {
            let set = names.into_iter().filter_map(|name| Some((name.to_owned(), value(name)?)));
            set.map(|(name, text)| (name, text.trim().to_owned())).find(|(_, text)| !text.is_empty())
        };
        Self {
            http: first(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]),
            https: first(["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
            direct: first(["NO_PROXY", "no_proxy", "NO_PROXY", "no_proxy"]).map(|(_, list)| list).unwrap_or_default(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// # Errors
    /// `FailedPrecondition` naming the variable that holds no URL of an HTTP proxy.
    pub(crate) fn apply(&self, builder: ClientBuilder) -> Result<ClientBuilder> {
        let direct = NoProxy::from_string(&format!("{},{ALWAYS_DIRECT}", self.direct));
        // Without this the library would look into the environment by itself.
        let mut builder = builder.no_proxy();
        if let Some(set) = &self.http {
            builder = builder.proxy(by(set, Proxy::http)?.no_proxy(direct.clone()));
        }
        if let Some(set) = &self.https {
            builder = builder.proxy(by(set, Proxy::https)?.no_proxy(direct));
        }
        Ok(builder)
    }
}

impl std::fmt::Debug for Proxies {
    /// Without the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host =
            |set: &Option<(String, String)>| set.as_ref().map(|set| parsed(set).map_or("?".into(), |url| host(&url)));
        f.debug_struct("Proxies")
            .field("http", &host(&self.http))
            .field("https", &host(&self.https))
            .field("direct", &self.direct)
            .finish()
    }
}

fn by(set: &(String, String), make: impl Fn(Url) -> reqwest::Result<Proxy>) -> Result<Proxy> {
    let step = || format!("use the proxy in {}", set.0);
    // The errors of the libraries could quote a password.
    let url = parsed(set).ok_or_else(|| Error::new(Kind::FailedPrecondition, "it is no URL")).step(step)?;
    if !matches!(url.scheme(), "http" | "https") {
        let text = format!("one by {} is not supported", url.scheme());
        return Err(Error::new(Kind::FailedPrecondition, text).hint("http:// and https:// are")).step(step);
    }
    make(url).map_err(|_| Error::new(Kind::FailedPrecondition, "it is not taken")).step(step)
}

/// `host:port` alone is http, as everywhere.
fn parsed((_, text): &(String, String)) -> Option<Url> {
    let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
    url.ok().filter(Url::has_host)
}

fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(set: &[(&str, &str)]) -> Proxies {
        Proxies::from_variables(|name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn variables_come_before_one_another_as_everywhere() {
        let proxies = from(&[
            ("HTTPS_PROXY", "http://upper:1"),
            ("https_proxy", "http://lower:1"),
            ("HTTP_PROXY", " "),
            ("ALL_PROXY", "all:2"),
            ("no_proxy", ".cluster.local"),
        ]);
        let shown = format!("{proxies:?}");
        assert!(shown.contains("http://upper:1") && shown.contains("http://all:2"), "{shown}");
        assert!(shown.contains(".cluster.local") && !proxies.is_empty(), "{shown}");
        assert!(from(&[("NO_PROXY", "*"), ("HTTP_PROXY", "")]).is_empty());
    }

    /// Clients of ours bring their own; these are only built.
    fn builder() -> ClientBuilder {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
    }

    #[test]
    fn what_is_no_proxy_is_told_by_its_variable_and_without_its_password() {
        for (value, why) in [
            ("socks5://u:secret@p:1080", "one by socks5 is not supported"),
            ("http://u:secret@p:port", "it is no URL"),
            ("http://", "it is no URL"),
        ] {
            let proxies = from(&[("HTTPS_PROXY", value)]);
            let error = proxies.apply(builder()).unwrap_err();
            assert_eq!(error.kind(), Kind::FailedPrecondition);
            let text = error.to_string();
            assert!(text.contains("HTTPS_PROXY") && text.contains(why), "{text}");
            assert!(!text.contains("secret") && !format!("{proxies:?}").contains("secret"), "{text}");
        }
        for good in ["http://u:p@proxy:3128", "https://proxy", "proxy:3128", "10.0.0.1"] {
            from(&[("ALL_PROXY", good)]).apply(builder()).unwrap().build().unwrap();
        }
    }
}
