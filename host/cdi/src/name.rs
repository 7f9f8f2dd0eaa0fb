use std::{collections::BTreeMap, fmt, str::FromStr};

use wharf_error::{Error, Result};

/// The annotations that name devices, beside CRI's own field.
const ANNOTATIONS: &str = "cdi.k8s.io/";

/// `vendor.com/class=device`: what a container asks for.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Name {
    pub(crate) kind: DeviceKind,
    pub(crate) device: String,
}

/// `vendor.com/class`: what a file describes devices of.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct DeviceKind {
    vendor: String,
    pub(crate) class: String,
}

/// The devices that annotations name: those of `cdi.k8s.io/…`, each a list with commas.
pub fn names_of_annotations(annotations: &BTreeMap<String, String>) -> Vec<String> {
    let ours = annotations.iter().filter(|(key, _)| key.starts_with(ANNOTATIONS));
    ours.flat_map(|(_, list)| list.split(',').map(|name| name.trim().to_owned())).collect()
}

// === impl Name ===

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::invalid(format!("CDI device {text:?}: {why}")).hint("vendor.com/class=device");
        let (kind, device) = text.split_once('=').ok_or_else(|| bad("not a qualified name"))?;
        check_device(device).map_err(bad)?;
        Ok(Self { kind: kind.parse()?, device: device.to_owned() })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.device)
    }
}

/// Letters, digits and a few signs, with letters or digits at both ends.
pub(crate) fn check_device(device: &str) -> Result<(), &'static str> {
    check(device, |c| matches!(c, '_' | '-' | '.' | ':'), char::is_ascii_alphanumeric)
        .map_err(|()| "the device's name is not as it must be")
}

// === impl DeviceKind ===

impl FromStr for DeviceKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |what: &str| Error::invalid(format!("CDI kind {text:?}: {what} is not as it must be"));
        let (vendor, class) = text.split_once('/').ok_or_else(|| bad("a kind without vendor"))?;
        let sign = |c| matches!(c, '_' | '-' | '.');
        check(vendor, sign, char::is_ascii_alphabetic).map_err(|()| bad("the vendor"))?;
        check(class, sign, char::is_ascii_alphabetic).map_err(|()| bad("the class"))?;
        Ok(Self { vendor: vendor.to_owned(), class: class.to_owned() })
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.vendor, self.class)
    }
}

fn check(text: &str, sign: impl Fn(char) -> bool, first: impl Fn(&char) -> bool) -> Result<(), ()> {
    let inside = text.chars().all(|c| c.is_ascii_alphanumeric() || sign(c));
    let ends = text.chars().next().is_some_and(|c| first(&c)) && text.ends_with(|c: char| c.is_ascii_alphanumeric());
    if inside && ends { Ok(()) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_vendor_a_class_and_a_device() {
        for good in ["vendor.com/class=dev", "v/c=0", "nvidia.com/gpu=GPU-1:2.3", "a-b.c/d_e=x"] {
            assert_eq!(good.parse::<Name>().unwrap().to_string(), good);
        }
        for bad in [
            "", "gpu", "v/c", "v=d", "/c=d", "v/=d", "v/c=", "1v/c=d", "v/1c=d", "v-/c=d", "v/c=d-", "v/c=d/e",
            "v/c=a b",
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn annotations_list_names() {
        let annotations = BTreeMap::from([
            ("cdi.k8s.io/plugin".to_owned(), "v/c=a, v/c=b".to_owned()),
            ("other.io/x".to_owned(), "v/c=no".to_owned()),
        ]);
        assert_eq!(names_of_annotations(&annotations), ["v/c=a", "v/c=b"]);
    }
}
