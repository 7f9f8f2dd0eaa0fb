use std::collections::BTreeMap;

use wharf_error::{Error, Kind, Result};
use wharf_plugins::{Features, IdRange};

/// Labels with it are told to the plugin and pass from an active snapshot to the committed one.
const INHERITED: &str = "containerd.io/snapshot/";
/// The name that a layer will be committed as: told to the plugin too.
const REFERENCE: &str = "containerd.io/snapshot.ref";
const QUOTA: &str = "containerd.io/snapshot/max-size";
const UID_MAP: &str = "containerd.io/snapshot/uidmapping";
const GID_MAP: &str = "containerd.io/snapshot/gidmapping";

/// What labels ask of a layer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Wishes {
    pub(crate) quota: Option<u64>,
    pub(crate) uid_map: Vec<IdRange>,
    pub(crate) gid_map: Vec<IdRange>,
}

/// What a committed snapshot keeps of the active one's labels.
pub(crate) fn inherited(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let kept = labels.iter().filter(|(name, _)| name.starts_with(INHERITED));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What a plugin is told of the labels.
pub(crate) fn told(labels: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let told = labels.iter().filter(|(name, _)| name.starts_with(INHERITED) || *name == REFERENCE);
    told.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Reads quota and maps.
///
/// # Errors
/// `InvalidArgument` for a value that is none.
pub(crate) fn wishes(labels: &BTreeMap<String, String>) -> Result<Wishes> {
    let quota = labels.get(QUOTA).map(|text| text.parse::<u64>().map_err(|_| bad(QUOTA, text))).transpose()?;
    let map = |name: &str| labels.get(name).map_or(Ok(Vec::new()), |text| id_map(name, text));
    Ok(Wishes { quota, uid_map: map(UID_MAP)?, gid_map: map(GID_MAP)? })
}

/// Refuses what the plugin would not do.
///
/// # Errors
/// `Unsupported` naming the label.
pub(crate) fn check(plugin: &str, wishes: &Wishes, features: &Features) -> Result<()> {
    let missing = match wishes {
        Wishes { quota: Some(_), .. } if !features.quota() => QUOTA,
        Wishes { uid_map, .. } if !uid_map.is_empty() && !features.idmap() => UID_MAP,
        Wishes { gid_map, .. } if !gid_map.is_empty() && !features.idmap() => GID_MAP,
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Unsupported, format!("plugin {plugin}: does not support label {missing}")))
}

/// `container:host:length`, several by commas.
fn id_map(name: &str, text: &str) -> Result<Vec<IdRange>> {
    let range = |range: &str| -> Option<IdRange> {
        let mut numbers = range.split(':').map(|number| number.parse::<u32>().ok());
        let (container, host, length) = (numbers.next()??, numbers.next()??, numbers.next()??);
        (numbers.next().is_none() && length > 0).then_some(IdRange { container, host, length })
    };
    text.split(',').map(range).collect::<Option<Vec<_>>>().ok_or_else(|| bad(name, text))
}

fn bad(name: &str, value: &str) -> Error {
    Error::invalid(format!("label {name}: {value:?} is not what it should be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn only_containerds_prefix_is_inherited_or_told() {
        let all = labels(&[
            ("containerd.io/gc.root", "x"),
            ("containerd.io/snapshot/a", "1"),
            (REFERENCE, "chain"),
            ("team", "blue"),
        ]);
        assert_eq!(inherited(&all), labels(&[("containerd.io/snapshot/a", "1")]));
        let told: Vec<String> = told(&all).into_iter().map(|(name, _)| name).collect();
        assert_eq!(told, [REFERENCE, "containerd.io/snapshot/a"]);
    }

    #[test]
    fn quota_and_maps_are_read_or_refused() {
        let all = labels(&[(QUOTA, "1048576"), (UID_MAP, "0:1000:1,1:100000:65535")]);
        let read = wishes(&all).unwrap();
        assert_eq!((read.quota, read.uid_map.len(), read.gid_map.len()), (Some(1 << 20), 2, 0));
        assert_eq!(read.uid_map[1], IdRange { container: 1, host: 100_000, length: 65_535 });
        for (name, value) in [(QUOTA, "1G"), (UID_MAP, ""), (UID_MAP, "0:1"), (GID_MAP, "0:1:0"), (GID_MAP, "0:1:2:3")]
        {
            let error = wishes(&labels(&[(name, value)])).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument, "{name}={value}");
        }
        let none = Features { content: wharf_plugins::Content::FullTree, extra: vec!["quota".into()] };
        let error = check("test", &read, &none).unwrap_err();
        assert!(error.to_string().contains("does not support label containerd.io/snapshot/uidmapping"), "{error}");
    }
}
