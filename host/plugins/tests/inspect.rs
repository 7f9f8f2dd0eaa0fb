//! Looking at a component without a daemon.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use wharf_plugins::{Kind, check_config, inspect};

#[test]
fn what_overlayfs_is_and_asks_for() {
    let wasm = wharf_bundled::plugin("overlayfs").unwrap().wasm;
    let seen = inspect(&common::compiler(), wasm).unwrap();
    assert_eq!((seen.kind, seen.version.as_str()), (Kind::Snapshotter, "0.1.0-draft"));
    assert_eq!(seen.powers, ["wharf:snapshotter/layer-dir"], "what it uses of the SDK's world, and nothing else");
    assert!(seen.asks.is_empty() && seen.abilities.is_empty() && seen.config_schema.is_none());
    assert!(seen.wasi.iter().all(|name| name.starts_with("wasi:")), "{:?}", seen.wasi);
    assert!(!seen.wasi.iter().any(|name| name.contains("sockets") || name.contains("filesystem")), "{:?}", seen.wasi);
    assert_eq!(seen.size, wasm.len() as u64);
}

#[test]
fn what_a_plugin_says_is_shown_on_one_line() {
    let seen = inspect(&common::compiler(), wharf_test_guests::HOSTILE).unwrap();
    assert_eq!(seen.asks, ["read:env"]);
    assert_eq!(seen.extra, [("test.example/line".to_owned(), "a b".to_owned())]);
    assert_eq!(seen.config_schema.as_deref(), Some("{}"));
    assert!(seen.powers.contains(&"wharf-test:powers/thing".to_owned()), "{:?}", seen.powers);
}

#[test]
fn a_configuration_is_judged_without_a_daemon() {
    let judge = |text: &str| {
        let problems = check_config(&common::compiler(), wharf_test_guests::HOSTILE, &text.parse().unwrap()).unwrap();
        problems.into_iter().map(|problem| (problem.at, problem.message)).collect::<Vec<_>>()
    };
    assert_eq!(judge(""), []);
    assert_eq!(judge("does.check-config = \"refuse\""), [("/does".into(), "not on this node nor anywhere".into())]);
    let unknown = judge("frob = 1");
    assert!(unknown[0].1.contains("unknown field `frob`"), "{unknown:?}");
}

#[test]
fn what_is_no_plugin_is_an_error() {
    assert!(inspect(&common::compiler(), b"hello").is_err());
    assert!(inspect(&common::compiler(), b"\0asm\x0d\0\x01\0").unwrap_err().to_string().contains("no plugin"));
}
