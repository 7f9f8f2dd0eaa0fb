use std::collections::BTreeMap;

/// Whether an object has this id, or one that begins so; an empty filter says nothing.
pub(crate) fn id(filter: &str, id: &str) -> bool {
    id.starts_with(filter)
}

/// Whether an object has every label that is asked for.
pub(crate) fn labels(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_id_may_be_its_beginning() {
        assert!(id("", "abcd") && id("ab", "abcd") && id("abcd", "abcd"));
        assert!(!id("b", "abcd") && !id("abcde", "abcd"));
    }

    #[test]
    fn every_label_must_be_there_with_its_value() {
        let own = map(&[("app", "web"), ("tier", "front")]);
        assert!(labels(&map(&[]), &own) && labels(&map(&[("app", "web")]), &own) && labels(&own, &own));
        assert!(!labels(&map(&[("app", "db")]), &own) && !labels(&map(&[("app", "web"), ("x", "")]), &own));
    }
}
