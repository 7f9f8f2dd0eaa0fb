use std::borrow::Cow;

/// The key of `name` in `namespace`: `<namespace>/<name>`. The name may contain `/`. A `/` in the namespace (no
/// containerd namespace has one) is escaped, so that two different pairs never share a key.
pub fn key(namespace: &str, name: &str) -> String {
    format!("{}/{name}", escape(namespace))
}

/// What all keys of `namespace`, and no others, start with: for `list`.
pub fn prefix(namespace: &str) -> String {
    format!("{}/", escape(namespace))
}

/// The namespace and name of a key made by [`key`]; `None` if it was made otherwise.
pub fn split_key(key: &str) -> Option<(Cow<'_, str>, &str)> {
    let (namespace, name) = key.split_once('/')?;
    let namespace = match namespace.contains('%') {
        true => Cow::Owned(namespace.replace("%2F", "/").replace("%25", "%")),
        false => Cow::Borrowed(namespace),
    };
    Some((namespace, name))
}

fn escape(namespace: &str) -> Cow<'_, str> {
    match namespace.contains(['/', '%']) {
        true => Cow::Owned(namespace.replace('%', "%25").replace('/', "%2F")),
        false => Cow::Borrowed(namespace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_slashes_come_back() {
        for (namespace, name) in [("k8s.io", "a/b/c"), ("default", ""), ("a/b", "c"), ("a%2Fb", "c/"), ("", "/")] {
            let key = key(namespace, name);
            assert!(key.starts_with(&prefix(namespace)));
            let (split_namespace, split_name) = split_key(&key).unwrap();
            assert_eq!((split_namespace.as_ref(), split_name), (namespace, name));
        }
    }

    #[test]
    fn two_pairs_never_share_a_key() {
        assert_ne!(key("a/b", "c"), key("a", "b/c"));
        assert!(!key("a/b", "c").starts_with(&prefix("a")));
        assert!(split_key("no-namespace").is_none());
    }
}
