use wharf_plugin_sdk::{
    Place,
    fake::{Facts, Host, Step},
};

use super::*;

fn overlayfs(host: &Host) -> Overlayfs {
    host.plugin("{}")
}

fn prepared(host: &Host, facts: Facts) -> Result<Vec<Step>> {
    let (layer, plan, recorder) = host.call(facts);
    overlayfs(host).prepare(&layer, &plan).map(|()| recorder.steps())
}

fn lowers(of: &[LayerId]) -> Vec<Lower> {
    of.iter().map(|&id| Lower::Directory(fs(id))).collect()
}

#[test]
fn a_layer_without_parents_is_its_own_directory() {
    let host = Host::new();
    let steps = prepared(&host, Facts::new(1, Kind::Active, &[])).unwrap();
    assert_eq!(steps, [Step::Bind(fs(1), false)]);
    assert_eq!(host.tree(|tree| tree.access(&fs(1))), Some(NEW_ROOT));
}

#[test]
fn a_layer_with_parents_is_an_overlay_nearest_first() {
    let host = Host::new();
    for id in [1, 2] {
        prepared(&host, Facts::new(id, Kind::Active, &[])).unwrap();
    }
    let steps = prepared(&host, Facts::new(3, Kind::Active, &[2, 1])).unwrap();
    assert_eq!(steps, [Step::Overlay(lowers(&[2, 1]), Some((fs(3), work(3))))]);
}

#[test]
fn the_new_root_looks_like_the_nearest_parents() {
    let host = Host::new();
    let odd = Access { mode: 0o1777, uid: 7, gid: 9 };
    host.tree(|tree| tree.put(&fs(2), odd));
    host.tree(|tree| tree.put(&fs(1), NEW_ROOT));
    prepared(&host, Facts::new(3, Kind::Active, &[2, 1])).unwrap();
    assert_eq!(host.tree(|tree| tree.access(&fs(3))), Some(odd));
}

#[test]
fn a_parent_that_is_gone_fails_and_makes_nothing() {
    let host = Host::new();
    let error = prepared(&host, Facts::new(3, Kind::Active, &[2])).unwrap_err();
    assert_eq!(error.code, Code::NotFound);
    assert_eq!(error.message, "parent's root: 2/fs");
    assert_eq!(host.tree(|tree| tree.places()), []);
}

#[test]
fn views_cannot_be_written() {
    let host = Host::new();
    let view = |id, parents: &[LayerId]| prepared(&host, Facts::new(id, Kind::View, parents)).unwrap();
    assert_eq!(view(3, &[]), [Step::Bind(fs(3), true)]);
    assert_eq!(view(4, &[2]), [Step::Bind(fs(2), true)]);
    assert_eq!(view(5, &[2, 1]), [Step::Overlay(lowers(&[2, 1]), None)]);
}

#[test]
fn again_after_a_crash_gives_the_same_plan() {
    let host = Host::new();
    let facts = Facts::new(1, Kind::Active, &[]);
    // Cut between the two directories.
    host.tree(|tree| tree.put(&work(1), SCRATCH));
    let first = prepared(&host, facts.clone()).unwrap();
    assert_eq!(prepared(&host, facts).unwrap(), first);
}

#[test]
fn commit_drops_the_scratch_directory_and_may_be_repeated() {
    let host = Host::new();
    prepared(&host, Facts::new(1, Kind::Active, &[])).unwrap();
    let (layer, ..) = host.call(Facts::new(1, Kind::Active, &[]));
    let usage = overlayfs(&host).commit(&layer).unwrap();
    assert_eq!(usage.inodes, 1);
    assert_eq!(host.tree(|tree| tree.places()), [whole(1), fs(1)]);
    assert_eq!(overlayfs(&host).commit(&layer).unwrap(), usage);
}

#[test]
fn a_committed_layers_own_mounts_are_read_only() {
    let host = Host::new();
    let (layer, plan, recorder) = host.call(Facts::new(3, Kind::Committed, &[2]));
    overlayfs(&host).mounts(&layer, &plan).unwrap();
    assert_eq!(recorder.steps(), [Step::Overlay(lowers(&[3, 2]), None)]);
}

#[test]
fn remove_takes_the_whole_layer_and_absent_is_success() {
    let host = Host::new();
    prepared(&host, Facts::new(1, Kind::Active, &[])).unwrap();
    host.tree(|tree| tree.put(&Place::new(2, "half"), NEW_ROOT));
    assert_eq!(overlayfs(&host).layers().unwrap(), [1, 2], "half-made ones too");
    for id in [1, 2, 2, 77] {
        overlayfs(&host).remove(id).unwrap();
    }
    assert!(overlayfs(&host).layers().unwrap().is_empty());
}

#[test]
fn without_its_power_it_says_so() {
    let host = Host::new();
    host.refuse_layer_dir();
    let error = overlayfs(&host).probe().unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::NotGranted, "look into the folder: layer-dir is refused"));
}
