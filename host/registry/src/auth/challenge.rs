use http::{HeaderMap, header::WWW_AUTHENTICATE};

/// What a host answers where it wants to be shown something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

// === impl Challenge ===

impl Challenge {
    /// The best challenge of an answer: Bearer before Basic; `None` where there is none that we know.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut basic = None;
        for value in headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()) {
            for (scheme, parameters) in split(value) {
                let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
                match scheme.to_ascii_lowercase().as_str() {
                    "bearer" => {
                        if let Some(realm) = get("realm") {
                            return Some(Self::Bearer { realm, service: get("service"), scope: get("scope") });
                        }
                    }
                    "basic" => basic = Some(Self::Basic),
                    _ => {}
                }
            }
        }
        basic
    }
}

type Parameters = Vec<(String, String)>;

/// Splits `Basic realm="a", Bearer realm="b",scope="c,d"` into its challenges. Never fails: what makes no sense is
/// left out.
fn split(value: &str) -> Vec<(String, Parameters)> {
    let mut challenges: Vec<(String, Parameters)> = Vec::new();
    let mut rest = value.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', ',', '=', '\t']).unwrap_or(rest.len());
        let word = &rest[..end];
        let after = rest[end..].trim_start_matches([' ', '\t']);
        match after.strip_prefix('=') {
            Some(text) if !word.is_empty() => {
                let (parsed, remaining) = parameter_value(text.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = challenges.last_mut() {
                    parameters.push((word.to_ascii_lowercase(), parsed));
                }
                rest = remaining;
            }
            // A stray sign: pass over it, so that each turn takes at least one character.
            Some(text) => rest = text,
            None => {
                challenges.push((word.to_owned(), Vec::new()));
                rest = after;
            }
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
    }
    challenges
}

/// A quoted or bare value, and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenge::of(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Some(Challenge::Bearer { realm: realm.into(), service: own(service), scope: own(scope) })
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        let hub =
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#;
        let expected = bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:a/b:pull"));
        assert_eq!(challenge(&[hub]), expected);
        assert_eq!(challenge(&[r#"Basic realm="Registry Realm""#]), Some(Challenge::Basic));
        let spaced = r#"bearer realm = "https://a/t" , scope="repository:a:pull,push""#;
        assert_eq!(challenge(&[spaced]), bearer("https://a/t", None, Some("repository:a:pull,push")));
    }

    #[test]
    fn bearer_wins_wherever_it_stands() {
        let expected = bearer("https://a/t", None, None);
        assert_eq!(challenge(&["Basic", r#"Bearer realm="https://a/t""#]), expected);
        assert_eq!(challenge(&[r#"Basic realm="x", Bearer realm="https://a/t""#]), expected);
        assert_eq!(challenge(&["Negotiate"]), None);
        assert_eq!(challenge(&["Bearer service=x"]), None, "without a realm there is nowhere to go");
    }

    #[test]
    fn nonsense_ends() {
        for text in ["=", "==,=\"", "\"", ",,,", "Bearer realm=\"", "a=\\", "Bearer =x", "Bearer realm=\"a\\"] {
            let _ = challenge(&[text]);
        }
    }
}
