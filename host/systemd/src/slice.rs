use std::fmt;

use serde::{Deserialize, Serialize};
use wharf_error::{Error, Result};

/// Of any unit's name, bytes.
const LONGEST: usize = 255;
const SUFFIX: &str = ".slice";

/// A slice unit, by its name: `kubepods-burstable.slice`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Slice(String);

impl Slice {
    /// Of a unit's name, or of the path of its control group, `/kubepods.slice/kubepods-burstable.slice`, which says the same.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for what is no slice, for the root, and for a path at which systemd has no slice.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| Err(Error::invalid(format!("{text:?} is no slice of systemd's: {why}")));
        let path = text.trim_end_matches('/');
        let name = path.rsplit('/').next().unwrap_or_default();
        let Some(words) = name.strip_suffix(SUFFIX) else {
            return bad("it does not end with .slice");
        };
        if name.len() > LONGEST {
            return bad("it is longer than a unit's name may be");
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\".contains(c);
        if let Some(other) = words.chars().find(|c| !allowed(*c)) {
            return bad(&format!("a unit's name has no {other:?}"));
        }
        if words.split('-').any(str::is_empty) {
            return bad("between its dashes there are names, and the root is not ours");
        }
        let slice = Self(name.to_owned());
        if path != name && path.trim_start_matches('/') != slice.path().trim_start_matches('/') {
            return bad(&format!("systemd has {name} at {}", slice.path()));
        }
        Ok(slice)
    }

    /// The unit's name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Its control group, absolute in the hierarchy: those of the slices above it are part of the path.
    pub fn path(&self) -> String {
        let mut above = self.upwards();
        above.reverse();
        above.into_iter().flat_map(|name| ["/".to_owned(), name]).collect()
    }

    /// Its name and those of the slices above it, itself first, without the root.
    pub(crate) fn upwards(&self) -> Vec<String> {
        let mut words = self.0.strip_suffix(SUFFIX).unwrap_or(&self.0);
        let mut names = vec![self.0.clone()];
        while let Some((above, _)) = words.rsplit_once('-') {
            names.push(format!("{above}{SUFFIX}"));
            words = above;
        }
        names
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use wharf_error::Kind;

    use super::*;

    #[test]
    fn a_name_is_its_path() {
        let slice = Slice::parse("kubepods-burstable-pod1_2.slice").unwrap();
        let path = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice";
        assert_eq!(slice.path(), path);
        assert_eq!(Slice::parse(path).unwrap(), slice, "as a kubelet gives it");
        assert_eq!(Slice::parse(&path[1..]).unwrap(), slice);
        assert_eq!(slice.upwards().last().unwrap(), "kubepods.slice");
        assert_eq!(Slice::parse("system.slice").unwrap().path(), "/system.slice");
    }

    #[test]
    fn what_is_no_slice_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "does not end"),
            ("/kubepods/burstable/podx", "does not end"),
            ("-.slice", "root"),
            (".slice", "dashes"),
            ("a--b.slice", "dashes"),
            ("a-.slice", "dashes"),
            ("a b.slice", "' '"),
            ("../a.slice", "at /a.slice"),
            ("/b.slice/a.slice", "at /a.slice"),
            ("/a.slice/a-b-c.slice", "at /a.slice/a-b.slice/a-b-c.slice"),
        ] {
            let error = Slice::parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument, "{text}");
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
        assert!(Slice::parse(&format!("{}.slice", "a".repeat(250))).is_err());
    }
}
