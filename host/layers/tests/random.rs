//! Random archives, mostly links, against a file system in memory that resolves paths in the plainest way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::Tar;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tempfile::TempDir;
use wharf_layers::{Failure, UnpackOptions, unpack};

const RUNS: u64 = 100;
const ENTRIES: usize = 40;

#[derive(Clone, Debug)]
enum Node {
    Dir(BTreeMap<String, Node>),
    File(String),
    Link(String),
}

type Names = Vec<String>;

#[test]
fn trees_of_links_come_out_as_in_the_model() {
    let mut refused = 0;
    for seed in 0..RUNS {
        let mut random = StdRng::seed_from_u64(seed);
        let holder = TempDir::new().unwrap();
        let target = holder.path().join("layer");
        fs::create_dir(&target).unwrap();
        fs::write(holder.path().join("beside"), "untouched").unwrap();
        let mut model = Node::Dir(BTreeMap::new());
        let mut tar = Tar::new();
        let mut log = Vec::new();
        for n in 0..ENTRIES {
            let path = path(&mut random);
            let before = tar.clone();
            let clean: Names = path.split('/').map(Into::into).collect();
            let node = match random.random_range(0..8) {
                0..3 => {
                    let up = "../".repeat(random.random_range(0..4));
                    let slash = if random.random_bool(0.3) { "/" } else { "" };
                    Node::Link(format!("{slash}{up}{}", self::path(&mut random)))
                }
                3..6 => Node::File(n.to_string()),
                _ => Node::Dir(BTreeMap::new()),
            };
            tar = match &node {
                Node::Link(to) => tar.symlink(&path, to),
                Node::File(text) => tar.file(&path, text),
                Node::Dir(_) => tar.dir(&path),
            };
            log.push(format!("{path}: {node:?}"));
            let mut next = model.clone();
            if put(&mut next, &clean, node).is_some() {
                model = next;
                continue;
            }
            // Where the model gives up the layer must be refused; it goes on without that entry.
            refused += 1;
            log.pop();
            let whole = std::mem::replace(&mut tar, before);
            if refused % 8 != 0 {
                continue;
            }
            let dir = TempDir::new().unwrap();
            let failure = unpack(&whole.end()[..], dir.path(), &UnpackOptions::default());
            assert!(matches!(failure, Err(Failure::Other(_))), "seed {seed}: {failure:?} {log:#?}");
        }
        unpack(&tar.end()[..], &target, &UnpackOptions::default())
            .unwrap_or_else(|e| panic!("seed {seed}: {e} {log:#?}"));
        assert_eq!(format!("{:#?}", read(&target)), format!("{model:#?}"), "seed {seed}: {log:#?}");
        let beside: Vec<_> = fs::read_dir(holder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(beside.len(), 2, "seed {seed}");
        assert_eq!(fs::read(holder.path().join("beside")).unwrap(), b"untouched");
    }
    assert!(refused > RUNS, "only {refused} entries were refused: the test says little");
}

fn path(random: &mut StdRng) -> String {
    let names = ["a", "b", "c", "d", "e"];
    let parts: Vec<&str> = (0..random.random_range(1..4)).map(|_| names[random.random_range(0..5)]).collect();
    parts.join("/")
}

/// What containerd does: links among the directories are followed within the root, and made where they lead
/// nowhere; the last name is replaced, unless both are directories. None where that cannot be done.
fn put(root: &mut Node, path: &[String], node: Node) -> Option<()> {
    let (name, above) = path.split_last()?;
    let above = resolve(root, above)?;
    let Node::Dir(names) = get(root, &above)? else { return None };
    match (names.get(name), &node) {
        (Some(Node::Dir(_)), Node::Dir(_)) => {}
        _ => drop(names.insert(name.clone(), node)),
    }
    Some(())
}

/// The real path of a directory, made on the way.
fn resolve(root: &mut Node, path: &[String]) -> Option<Names> {
    let mut at = Names::new();
    let mut todo: Names = path.iter().rev().cloned().collect();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let Node::Dir(names) = get(root, &at)? else { return None };
        match names.entry(name.clone()).or_insert_with(|| Node::Dir(BTreeMap::new())) {
            Node::Dir(_) => at.push(name),
            Node::File(_) => return None,
            Node::Link(to) => {
                links += 1;
                if links > 40 {
                    return None;
                }
                if to.starts_with('/') {
                    at.clear();
                }
                todo.extend(to.split('/').rev().filter(|part| !part.is_empty() && *part != ".").map(Into::into));
            }
        }
    }
    Some(at)
}

fn get<'a>(root: &'a mut Node, path: &[String]) -> Option<&'a mut Node> {
    path.iter().try_fold(root, |node, name| match node {
        Node::Dir(names) => names.get_mut(name),
        _ => None,
    })
}

fn read(at: &Path) -> Node {
    let kind = fs::symlink_metadata(at).unwrap().file_type();
    if kind.is_symlink() {
        Node::Link(fs::read_link(at).unwrap().to_str().unwrap().into())
    } else if kind.is_file() {
        Node::File(fs::read_to_string(at).unwrap())
    } else {
        let entry = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), read(&entry.path()));
        Node::Dir(fs::read_dir(at).unwrap().map(|found| entry(found.unwrap())).collect())
    }
}
