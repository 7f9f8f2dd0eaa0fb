//! Which of many are listed: crictl's flags.

use std::{collections::BTreeMap, str::FromStr};

use anyhow::{Context as _, Result};
use regex::Regex;

/// Which pods or containers, beside what CRI's own filters can say.
#[derive(clap::Args, Clone)]
pub(super) struct Selection {
    /// Only those whose name matches this regular expression
    #[arg(long, value_name = "REGEX")]
    name: Option<Regex>,
    /// Only those of pods of this Kubernetes namespace
    #[arg(long)]
    namespace: Option<String>,
    /// Only those with this label; given several times, with all of them
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Only the newest so many, whatever their state
    #[arg(long, short = 'n', value_name = "COUNT")]
    last: Option<usize>,
    /// Only the newest, whatever its state
    #[arg(long, short, conflicts_with = "last")]
    latest: bool,
    /// Print whole ids
    #[arg(long)]
    pub(super) no_trunc: bool,
}

#[derive(Clone)]
struct Label {
    key: String,
    value: String,
}

// === impl Selection ===

impl Selection {
    /// As CRI's filters take them.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        self.label.iter().map(|label| (label.key.clone(), label.value.clone())).collect()
    }

    /// Whether those that do not run are meant, too.
    pub(super) fn whatever_state(&self) -> bool {
        self.latest || self.last.is_some()
    }

    pub(super) fn wants(&self, name: &str, namespace: &str) -> bool {
        self.name.as_ref().is_none_or(|wanted| wanted.is_match(name))
            && self.namespace.as_ref().is_none_or(|wanted| wanted == namespace)
    }

    /// Of a list with the newest first.
    pub(super) fn cut<T>(&self, list: &mut Vec<T>) {
        let most = if self.latest { Some(1) } else { self.last };
        list.truncate(most.unwrap_or(list.len()));
    }
}

impl FromStr for Label {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = text.split_once('=').context("not KEY=VALUE")?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        selection: Selection,
    }

    fn selection(flags: &[&str]) -> Selection {
        Line::try_parse_from([&["x"], flags].concat()).unwrap().selection
    }

    #[test]
    fn names_and_namespaces_are_told_apart() {
        let wanted = selection(&["--name", "^web-[0-9]+$", "--namespace", "default"]);
        assert!(wanted.wants("web-12", "default"));
        assert!(!wanted.wants("web-12", "default-2") && !wanted.wants("my-web-12", "default"));
        assert!(selection(&[]).wants("anything", "anywhere"));
        assert!(
            Line::try_parse_from(["x", "--name", "("]).is_err() && Line::try_parse_from(["x", "--label", "a"]).is_err()
        );
    }

    #[test]
    fn the_newest_are_the_first() {
        let cut = |flags: &[&str]| {
            let mut list = vec![3, 2, 1];
            selection(flags).cut(&mut list);
            list
        };
        assert_eq!((cut(&[]), cut(&["-n", "2"])), (vec![3, 2, 1], vec![3, 2]));
        assert_eq!((cut(&["--latest"]), cut(&["--last", "9"])), (vec![3], vec![3, 2, 1]));
    }
}
