use oci_spec::image::{Arch, Descriptor, Os, Platform};
use wharf_error::{Error, Kind, Result};

/// What of an index runs here, best first.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    os: Os,
    architecture: Arch,
    /// Variants of the architecture that this processor runs, best first.
    variants: Vec<&'static str>,
}

// === impl Host ===

impl Host {
    /// This machine.
    pub fn here() -> Self {
        Self { os: Os::Linux, architecture: Arch::default(), variants: variants() }
    }

    /// The entry that fits best; the first of those that fit alike.
    ///
    /// # Errors
    /// `NotFound` listing the platforms that there are.
    pub fn choose<'a>(&self, entries: &'a [Descriptor]) -> Result<&'a Descriptor> {
        let best = entries.iter().filter_map(|entry| Some((self.rank(entry.platform().as_ref()?)?, entry)));
        if let Some((_, entry)) = best.min_by_key(|(rank, _)| *rank) {
            return Ok(entry);
        }
        let unnamed: Vec<&Descriptor> = entries.iter().filter(|entry| entry.platform().is_none()).collect();
        if let [only] = unnamed.as_slice() {
            // Some tools leave the platform of a single manifest to its configuration, which is checked too.
            return Ok(only);
        }
        let mut there: Vec<String> = entries
            .iter()
            .filter_map(|entry| entry.platform().as_ref())
            .filter(|p| !is_attestation(p))
            .map(name)
            .collect();
        there.dedup();
        let there = if there.is_empty() { "no platform at all".to_owned() } else { there.join(", ") };
        Err(Error::new(Kind::NotFound, format!("the image is not made for {self}; it is for {there}")))
    }

    /// Refuses a configuration of another platform.
    ///
    /// # Errors
    /// `NotFound` naming both.
    pub fn check(&self, os: &Os, architecture: &Arch) -> Result<()> {
        let unset = |text: String| text.is_empty();
        let fits = (unset(os.to_string()) || *os == self.os)
            && (unset(architecture.to_string()) || *architecture == self.architecture);
        if fits {
            return Ok(());
        }
        Err(Error::new(Kind::NotFound, format!("the image is for {os}/{architecture}; this node is {self}")))
    }

    fn rank(&self, platform: &Platform) -> Option<usize> {
        if *platform.os() != self.os || *platform.architecture() != self.architecture {
            return None;
        }
        let variant = platform.variant().as_deref().unwrap_or_default();
        self.variants.iter().position(|known| *known == variant)
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

fn name(platform: &Platform) -> String {
    match platform.variant() {
        Some(variant) => format!("{}/{}/{variant}", platform.os(), platform.architecture()),
        None => format!("{}/{}", platform.os(), platform.architecture()),
    }
}

/// Build tools put provenance into the index as manifests for `unknown/unknown`.
fn is_attestation(platform: &Platform) -> bool {
    platform.os().to_string() == "unknown"
}

#[cfg(target_arch = "x86_64")]
fn variants() -> Vec<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    let v2 = has!("sse3") && has!("ssse3") && has!("sse4.1") && has!("sse4.2") && has!("popcnt") && has!("cmpxchg16b");
    let v3 = v2
        && has!("avx")
        && has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("f16c")
        && has!("fma")
        && has!("lzcnt")
        && has!("movbe");
    let mut variants = Vec::new();
    variants.extend(v3.then_some("v3"));
    variants.extend(v2.then_some("v2"));
    variants.extend(["", "v1"]);
    variants
}

#[cfg(not(target_arch = "x86_64"))]
fn variants() -> Vec<&'static str> {
    vec!["v8", "", "v8.0"]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(os: &str, architecture: &str, variant: Option<&str>) -> Descriptor {
        let platform = serde_json::json!({ "os": os, "architecture": architecture, "variant": variant });
        let digest = format!("sha256:{}", "a".repeat(64));
        let value = serde_json::json!({ "mediaType": "m", "digest": digest, "size": 1, "platform": platform });
        serde_json::from_value(value).unwrap()
    }

    fn host(variants: &[&'static str]) -> Host {
        Host { os: Os::Linux, architecture: Arch::Amd64, variants: variants.to_vec() }
    }

    #[test]
    fn the_best_variant_that_the_processor_runs_is_chosen() {
        let entries = [
            entry("linux", "arm64", Some("v8")),
            entry("windows", "amd64", None),
            entry("linux", "amd64", None),
            entry("linux", "amd64", Some("v2")),
            entry("linux", "amd64", Some("v3")),
        ];
        let chosen = |variants: &[&'static str]| {
            let host = host(variants);
            entries.iter().position(|entry| entry == host.choose(&entries).unwrap())
        };
        assert_eq!(chosen(&["", "v1"]), Some(2));
        assert_eq!(chosen(&["v2", "", "v1"]), Some(3));
        assert_eq!(chosen(&["v3", "v2", "", "v1"]), Some(4));
    }

    #[test]
    fn what_is_missing_is_told_with_what_there_is() {
        let entries =
            [entry("linux", "s390x", None), entry("linux", "arm", Some("v7")), entry("unknown", "unknown", None)];
        let error = host(&["", "v1"]).choose(&entries).unwrap_err();
        let expected = "the image is not made for linux/amd64; it is for linux/s390x, linux/arm/v7";
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(host(&[""]).choose(&[]).is_err());
    }

    #[test]
    fn a_single_manifest_may_leave_its_platform_out() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let bare: Descriptor =
            serde_json::from_value(serde_json::json!({ "mediaType": "m", "digest": digest, "size": 1 })).unwrap();
        let attestation = entry("unknown", "unknown", None);
        assert_eq!(host(&[""]).choose(&[attestation, bare.clone()]).unwrap(), &bare);
        host(&[""]).check(&Os::Linux, &Arch::Amd64).unwrap();
        assert!(host(&[""]).check(&Os::Linux, &Arch::ARM64).is_err());
    }

    #[test]
    fn this_machine_runs_its_own_images() {
        let here = Host::here();
        let own = entry("linux", &Arch::default().to_string(), None);
        assert_eq!(here.choose(std::slice::from_ref(&own)).unwrap(), &own);
    }
}
