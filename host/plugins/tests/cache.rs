//! Compiled code is our own or it is made again.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
};

use common::Node;
use wharf_error::Kind;
use wharf_plugins::{Origin, Wasm};

/// Inode and time of writing of everything there: a file that was made again differs in one, for the inode of one that is
/// gone may be given to the next.
fn files(node: &Node) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let entries = fs::read_dir(node.path("compiled")).unwrap().map(Result::unwrap);
    let made = |meta: fs::Metadata| (meta.ino(), meta.mtime(), meta.mtime_nsec());
    entries.map(|entry| (entry.path(), made(entry.metadata().unwrap()))).collect()
}

fn one(node: &Node, extension: &str) -> PathBuf {
    files(node).into_keys().find(|path| path.extension().is_some_and(|e| e == extension)).unwrap()
}

#[test]
fn a_component_is_compiled_once() {
    let node = Node::overlayfs().cold();
    node.open().snapshotter("overlayfs").unwrap();
    let first = files(&node);
    assert_eq!(first.len(), 2, "{first:?}");
    for path in first.keys() {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o600);
    }
    assert_eq!(fs::metadata(node.path("compiled")).unwrap().mode() & 0o7777, 0o700);
    node.open().snapshotter("overlayfs").unwrap();
    assert_eq!(files(&node), first);
}

#[test]
fn what_was_tampered_with_is_never_loaded() {
    let node = Node::overlayfs().cold();
    node.open();
    let tampers: [(&str, &dyn Fn()); 5] = [
        ("a byte of the code", &|| {
            let path = one(&node, "cwasm");
            let mut code = fs::read(&path).unwrap();
            let middle = code.len() / 2;
            code[middle] ^= 1;
            fs::write(&path, code).unwrap();
        }),
        ("no record", &|| fs::remove_file(one(&node, "json")).unwrap()),
        ("no code", &|| fs::remove_file(one(&node, "cwasm")).unwrap()),
        ("a record that is none", &|| fs::write(one(&node, "json"), "{}").unwrap()),
        ("a file that others can write", &|| {
            fs::set_permissions(one(&node, "cwasm"), fs::Permissions::from_mode(0o666)).unwrap();
        }),
    ];
    for (what, tamper) in tampers {
        let before = files(&node)[&one(&node, "cwasm")];
        tamper();
        node.open().snapshotter("overlayfs").unwrap();
        assert_ne!(files(&node)[&one(&node, "cwasm")], before, "{what}: was not made again");
    }
}

#[test]
fn code_of_another_component_is_not_taken_for_this_one() {
    let mut node = Node::overlayfs().cold();
    node.config.plugins.push(common::hostile(""));
    node.open();
    let codes: Vec<_> =
        files(&node).into_keys().filter(|path| path.extension().is_some_and(|e| e == "cwasm")).collect();
    let [a, b] = &codes[..] else { panic!("{codes:?}") };
    fs::copy(a, b).unwrap();
    let before = files(&node)[b];
    let plugins = node.open();
    assert_ne!(files(&node)[b], before);
    plugins.snapshotter("hostile").unwrap();
    plugins.snapshotter("overlayfs").unwrap();
}

#[test]
fn what_no_plugin_uses_is_swept() {
    let mut node = Node::hostile("").cold();
    node.open();
    let old = files(&node);
    fs::write(node.path("compiled/stray.cwasm"), "x").unwrap();
    node.config.plugins = vec![common::overlayfs()];
    node.open();
    let now = files(&node);
    assert_eq!(now.len(), 2);
    assert!(now.keys().all(|path| !old.contains_key(path)));
}

#[test]
fn a_file_in_the_folder_takes_the_place_of_the_bundled_one() {
    let mut node = Node::overlayfs().cold();
    fs::create_dir(node.path("plugins")).unwrap();
    let file = node.path("plugins/overlayfs.wasm");
    fs::write(&file, wharf_test_guests::HOSTILE).unwrap();
    node.config.plugins[0].grants.refused.insert("thing".into());
    let plugins = node.open();
    assert_eq!(plugins.list()[0].origin, Origin::File(file));
    assert_eq!(plugins.snapshotter("overlayfs").unwrap().layers().unwrap(), [1, 3], "the hostile one's answer");
}

#[test]
fn what_is_no_plugin_says_why() {
    let mut node = Node::overlayfs().cold();
    let file = node.path("it.wasm");
    for (wasm, why) in [
        (&b"hello"[..], "not WebAssembly"),
        (b"\0asm\x01\0\0\0", "core module, not a component (build it for wasm32-wasip2)"),
        (b"\0asm\x0d\0\x01\0", "no plugin"),
        (b"\0asm\x0d\0\x01\0rubbish", "compile: "),
    ] {
        fs::write(&file, wasm).unwrap();
        node.config.plugins[0].wasm = Wasm::File(file.clone());
        let error = node.open().snapshotter("overlayfs").unwrap_err();
        assert_eq!(error.kind(), Kind::FailedPrecondition);
        assert!(error.to_string().contains(why), "{error}");
    }
    fs::remove_file(&file).unwrap();
    let error = node.open().snapshotter("overlayfs").unwrap_err().to_string();
    assert!(error.contains("it.wasm: No such file"), "{error}");
}

/// A component whose one module has three memories: more than a slot of the pool has.
const LARGE: &[u8] = b"\0asm\x0d\0\x01\0\x01\x11\0asm\x01\0\0\0\x05\x07\x03\0\x01\0\x01\0\x01\x02\x04\x01\0\0\0";

#[test]
fn what_is_too_large_for_the_pool_is_loaded_all_the_same() {
    let mut node = Node::overlayfs().cold();
    let file = node.path("large.wasm");
    fs::write(&file, LARGE).unwrap();
    node.config.plugins[0].wasm = Wasm::File(file);
    let error = node.open().snapshotter("overlayfs").unwrap_err().to_string();
    assert!(error.contains("it is a component, but no plugin"), "{error}");
}

#[test]
fn without_a_compiler_it_says_where_it_belongs() {
    let mut node = Node::overlayfs().cold();
    node.config.compiler = node.path("nowhere");
    let error = node.open().snapshotter("overlayfs").unwrap_err().to_string();
    assert!(error.contains("run the compiler") && error.contains("wharf-compile belongs beside wharf"), "{error}");
}

#[test]
fn names_are_names_and_each_is_there_once() {
    let mut node = Node::overlayfs().cold();
    for bad in ["", "Overlay", "9p", "a/b", "..", "a b"] {
        node.config.plugins[0].name = bad.into();
        assert!(wharf_plugins::Plugins::open(&node.config).is_err(), "{bad:?}");
    }
    node.config.plugins = vec![common::overlayfs(), common::overlayfs()];
    let error = wharf_plugins::Plugins::open(&node.config).unwrap_err();
    assert_eq!(error.to_string(), "plugin overlayfs is there twice");
}
