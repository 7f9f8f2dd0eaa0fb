//! The overlayfs plugin that ships, as a component, on a real disk.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::Path,
};

use common::{Node, active, layer};
use wharf_error::Kind;
use wharf_plugins::{
    Answer, Content, LayerKind, Lower, Origin, Place, PluginState, Plugins, Snapshotter, Step, Upper, Usage,
};

fn at(layer: u64, path: &str) -> Place {
    Place::new(layer, path).unwrap()
}

fn on(parents: &[u64]) -> Vec<Lower> {
    parents.iter().map(|&parent| Lower::Directory(at(parent, "fs"))).collect()
}

fn overlayfs(plugins: &Plugins) -> std::sync::Arc<Snapshotter> {
    plugins.snapshotter("overlayfs").unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn it_is_ready_and_says_what_it_can() {
    let node = Node::overlayfs();
    let plugins = node.open();
    let [info] = &plugins.list()[..] else { panic!("one plugin") };
    assert_eq!((info.name.as_str(), info.version.as_str()), ("overlayfs", "0.1.0-draft"));
    assert_eq!(info.origin, Origin::Bundled);
    let asks: Vec<_> = info.asks.iter().map(|ask| (ask.name.as_str(), ask.answer)).collect();
    assert_eq!(asks, [("wharf:snapshotter/layer-dir", Answer::Granted)]);
    let PluginState::Ready(features) = &info.state else { panic!("{:?}", info.state) };
    assert_eq!(features.content, Content::OverlayDiff("fs".into()));
    assert!(features.unordered() && !features.quota());
    assert_eq!(overlayfs(&plugins).root(), node.path("snapshots/overlayfs"));
}

#[test]
fn the_life_of_three_layers() {
    let node = Node::overlayfs();
    let plugins = node.open();
    let it = overlayfs(&plugins);
    let root = it.root();

    let plan = it.prepare(&active(1, &[])).unwrap();
    assert_eq!(plan.steps, [Step::Bind { at: at(1, "fs"), read_only: false }]);
    assert_eq!(mode(&root.join("1")), 0o700, "nobody else looks into a layer");
    assert_eq!(mode(&root.join("1/fs")), 0o755);
    fs::write(root.join("1/fs/file"), "x".repeat(10_000)).unwrap();
    let usage = it.commit(&active(1, &[])).unwrap();
    assert_eq!(usage.inodes, 2);
    assert!(usage.bytes >= 10_000, "{usage:?}");
    assert!(!root.join("1/work").exists());

    fs::set_permissions(root.join("1/fs"), fs::Permissions::from_mode(0o1751)).unwrap();
    chown(root.join("1/fs"), Some(123), Some(456)).unwrap();
    let plan = it.prepare(&active(2, &[1])).unwrap();
    let upper = Some(Upper { upper: at(2, "fs"), work: at(2, "work") });
    assert_eq!(plan.steps, [Step::Overlay { lowers: on(&[1]), upper }]);
    let made = fs::metadata(root.join("2/fs")).unwrap();
    assert_eq!((made.mode() & 0o7777, made.uid(), made.gid()), (0o1751, 123, 456), "the root looks like the parent's");
    it.commit(&active(2, &[1])).unwrap();

    let plan = it.prepare(&layer(3, LayerKind::View, &[2, 1])).unwrap();
    assert_eq!(plan.steps, [Step::Overlay { lowers: on(&[2, 1]), upper: None }]);
    let plan = it.prepare(&layer(4, LayerKind::View, &[1])).unwrap();
    assert_eq!(plan.steps, [Step::Bind { at: at(1, "fs"), read_only: true }]);

    assert_eq!(it.layers().unwrap(), [1, 2, 3, 4]);
    for id in [4, 3, 2, 1, 1, 9] {
        it.remove(id).unwrap();
    }
    assert_eq!(it.layers().unwrap(), Vec::<u64>::new());
}

#[test]
fn everything_may_be_repeated() {
    let node = Node::overlayfs();
    let plugins = node.open();
    let it = overlayfs(&plugins);
    let first = it.prepare(&active(1, &[])).unwrap();
    fs::write(it.root().join("1/fs/kept"), "").unwrap();
    assert_eq!(it.prepare(&active(1, &[])).unwrap(), first);
    assert_eq!(it.mounts(&active(1, &[])).unwrap(), first);
    assert!(it.root().join("1/fs/kept").exists());
    let usage = it.commit(&active(1, &[])).unwrap();
    assert_eq!(it.commit(&active(1, &[])).unwrap(), usage);
    assert_eq!(it.measure(&layer(1, LayerKind::Committed, &[])).unwrap(), usage);
}

#[test]
fn a_half_made_layer_is_listed_and_removed() {
    let node = Node::overlayfs();
    let plugins = node.open();
    let it = overlayfs(&plugins);
    fs::create_dir(it.root().join("7")).unwrap();
    fs::create_dir(it.root().join("lost+found")).unwrap();
    fs::write(it.root().join("8"), "no directory").unwrap();
    assert_eq!(it.layers().unwrap(), [7]);
    it.remove(7).unwrap();
    assert!(!it.root().join("7").exists());
}

#[test]
fn a_missing_parent_is_named() {
    let node = Node::overlayfs();
    let plugins = node.open();
    let error = overlayfs(&plugins).prepare(&active(5, &[4])).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    let text = error.to_string();
    assert!(text.starts_with("plugin overlayfs: prepare layer 5: parent's root: 4/fs: No such file"), "{text}");
}

#[test]
fn a_link_is_never_followed() {
    let node = Node::overlayfs();
    let plugins = node.open();
    let it = overlayfs(&plugins);
    let outside = node.path("outside");
    fs::create_dir_all(outside.join("fs")).unwrap();
    symlink(&outside, it.root().join("1")).unwrap();
    assert!(it.prepare(&active(2, &[1])).is_err(), "a layer that is a link");
    assert!(it.commit(&active(1, &[])).is_err());
    fs::create_dir(it.root().join("3")).unwrap();
    symlink(outside.join("fs"), it.root().join("3/fs")).unwrap();
    assert!(it.prepare(&active(4, &[3])).is_err(), "a root that is a link");
    assert!(it.prepare(&active(3, &[])).is_err(), "made over a link");
    it.remove(1).unwrap();
    it.remove(3).unwrap();
    assert!(outside.join("fs").exists(), "what a link names stays");
}

#[test]
fn what_was_removed_is_deleted_however_deep_also_after_a_restart() {
    let node = Node::overlayfs();
    let removed = node.path("snapshots/overlayfs/.removed");
    {
        let plugins = node.open();
        let it = overlayfs(&plugins);
        it.prepare(&active(1, &[])).unwrap();
        // Deeper than a path can be.
        let mut dir = cap(&it.root().join("1/fs"));
        for _ in 0..3000 {
            dir.create_dir("deeper").unwrap();
            dir = dir.open_dir("deeper").unwrap();
        }
        it.remove(1).unwrap();
        assert!(!it.root().join("1").exists(), "out of sight at once");
    }
    // Closing waits two seconds for the deletion; what a slow machine left is deleted after the next start.
    let empty = || fs::read_dir(&removed).unwrap().next().is_none();
    assert!(
        (0..30).any(|_| empty() || {
            drop(node.open());
            false
        }),
        "{} is never empty",
        removed.display()
    );
}

fn cap(path: &Path) -> cap_std::fs::Dir {
    cap_std::fs::Dir::open_ambient_dir(path, cap_std::ambient_authority()).unwrap()
}

#[test]
fn calls_are_counted_and_told() {
    let node = Node::overlayfs();
    let plugins = node.open();
    let it = overlayfs(&plugins);
    it.prepare(&active(1, &[])).unwrap();
    it.prepare(&active(2, &[99])).unwrap_err();
    let stats = plugins.call_stats();
    let prepare = stats.iter().find(|stat| stat.function == "prepare").unwrap();
    assert_eq!((prepare.plugin.as_str(), prepare.calls, prepare.errors), ("overlayfs", 2, 1));
    assert!(prepare.max >= prepare.last && prepare.total >= prepare.max);
    let told: Vec<_> = plugins.last_calls().into_iter().map(|call| (call.function, call.layer, call.ok)).collect();
    assert_eq!(
        told,
        [
            ("describe", None, true),
            ("check-config", None, true),
            ("probe", None, true),
            ("prepare", Some(1), true),
            ("prepare", Some(2), false)
        ]
    );
    assert_eq!(plugins.last_calls()[3].answer, "bind 1/fs");
}

#[test]
fn many_at_once() {
    let node = Node::overlayfs();
    let plugins = node.open();
    let it = overlayfs(&plugins);
    std::thread::scope(|scope| {
        for thread in 0..40 {
            let it = &it;
            scope.spawn(move || {
                for number in 0..10 {
                    let id = 1 + thread * 10 + number;
                    it.prepare(&active(id, &[])).unwrap();
                    assert_eq!(it.measure(&active(id, &[])).unwrap().inodes, Usage { bytes: 0, inodes: 1 }.inodes);
                    assert!(it.layers().unwrap().contains(&id));
                }
            });
        }
    });
    assert_eq!(it.layers().unwrap().len(), 400);
}

#[test]
fn a_wrong_configuration_is_refused_with_the_plugins_words() {
    let mut node = Node::overlayfs();
    node.config.plugins[0].config = "frob = 1".parse().unwrap();
    let plugins = node.open();
    let error = plugins.snapshotter("overlayfs").unwrap_err();
    assert_eq!(error.to_string(), "plugin overlayfs: configuration: unknown field `frob`, there are no fields");
}
