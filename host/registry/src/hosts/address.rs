use url::Url;

use super::{Tls, is_loopback};

/// Where a host is.
pub(super) struct Address {
    pub url: Url,
    /// Where it is asked by plain http, should it turn out not to speak TLS.
    pub clear: Option<Url>,
    /// Whether any certificate will do.
    pub lenient: bool,
}

// === impl Address ===

impl Address {
    /// A host may be written with or without its scheme. Without one it is https. A registry of this machine may speak
    /// either: unless its port says which, it is asked by TLS first, with whatever certificate it has, and then in clear,
    /// as containerd and Docker do it. So is one that is said to be http and has TLS settings.
    pub fn parse(text: &str, tls: &Tls) -> Result<Self, String> {
        if text.contains("://") {
            let url = checked(text)?;
            let ambiguous = url.scheme() == "http" && url.port().is_some() && tls.is_configured();
            return match ambiguous {
                true => {
                    Ok(Self { url: checked(&text.replacen("http", "https", 1))?, clear: Some(url), lenient: false })
                }
                false => Ok(Self { url, clear: None, lenient: false }),
            };
        }
        let secure = checked(&format!("https://{text}"))?;
        if !is_loopback(secure.host_str().unwrap_or_default()) || tls.is_configured() {
            return Ok(Self { url: secure, clear: None, lenient: false });
        }
        let clear = checked(&format!("http://{text}"))?;
        let authority = text.split('/').next().unwrap_or(text);
        // A URL leaves out the port that goes without saying.
        Ok(match (clear.port(), authority.ends_with(":80")) {
            (_, true) => Self { url: clear, clear: None, lenient: false },
            (Some(443), _) => Self { url: secure, clear: None, lenient: true },
            _ => Self { url: secure, clear: Some(clear), lenient: true },
        })
    }
}

fn checked(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, tls: &Tls) -> (String, Option<String>, bool) {
        let Address { url, clear, lenient } = Address::parse(text, tls).unwrap();
        (url.into(), clear.map(Into::into), lenient)
    }

    #[test]
    fn a_scheme_is_found_as_it_is_meant() {
        let none = Tls::default();
        for (text, secure, clear) in [
            ("localhost:5000", "https://localhost:5000/", "http://localhost:5000/"),
            ("127.0.0.1:5000/x", "https://127.0.0.1:5000/x", "http://127.0.0.1:5000/x"),
            ("127.9.9.9", "https://127.9.9.9/", "http://127.9.9.9/"),
            ("[::1]:5000", "https://[::1]:5000/", "http://[::1]:5000/"),
        ] {
            assert_eq!(parsed(text, &none), (secure.into(), Some(clear.into()), true), "either");
        }
        assert_eq!(parsed("localhost:443", &none), ("https://localhost/".into(), None, true));
        for (text, url) in [
            ("localhost:80", "http://localhost/"),
            ("[::1]:80", "http://[::1]/"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000/"),
            ("http://a.example", "http://a.example/"),
            ("https://127.0.0.1:5000", "https://127.0.0.1:5000/"),
            ("a.example", "https://a.example/"),
            ("a.example:80", "https://a.example:80/"),
            ("localhost.example:5000", "https://localhost.example:5000/"),
        ] {
            assert_eq!(parsed(text, &none), (url.into(), None, false));
        }
    }

    #[test]
    fn settings_of_tls_ask_for_it() {
        let tls = Tls { skip_verify: true, ..Tls::default() };
        assert_eq!(parsed("localhost:5000", &tls), ("https://localhost:5000/".into(), None, false));
        let either = ("https://a.example:5000/".into(), Some("http://a.example:5000/".into()), false);
        assert_eq!(parsed("http://a.example:5000", &tls), either);
        assert_eq!(parsed("http://a.example", &tls), ("http://a.example/".into(), None, false), "its port says which");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in ["ftp://a.example", "https://", "https://u:p@a.example", "https://a.example/?x=1", "localhost:x"] {
            assert!(Address::parse(bad, &Tls::default()).is_err(), "{bad}");
        }
    }
}
