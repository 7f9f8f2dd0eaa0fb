//! A component that does its worst, and what the host makes of it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{Node, active, layer};
use wharf_error::Kind;
use wharf_plugins::{Answer, LayerKind, PluginState, Plugins, Snapshotter};

fn snapshotter(node: &Node) -> (Plugins, Arc<Snapshotter>) {
    let plugins = node.open();
    let it = plugins.snapshotter("hostile").unwrap();
    (plugins, it)
}

/// The error of a prepare that does this, with `deadline` for it.
fn prepare(does: &str, deadline: Duration) -> (Kind, String) {
    let mut node = Node::hostile(&format!("prepare = \"{does}\""));
    node.config.plugins[0].limits.deadlines.insert("prepare".into(), deadline);
    let (_plugins, it) = snapshotter(&node);
    let error = it.prepare(&active(1, &[])).unwrap_err();
    assert!(it.commit(&active(1, &[])).is_ok(), "the next call is unharmed");
    (error.kind(), error.to_string())
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn it_loads_and_works_when_told_nothing() {
    let node = Node::hostile("");
    let (plugins, it) = snapshotter(&node);
    assert_eq!(it.prepare(&active(1, &[])).unwrap().steps.len(), 1);
    assert_eq!(it.layers().unwrap(), [1, 3], "sorted, once each");
    let asks: Vec<_> = plugins.list()[0].asks.iter().map(|ask| (ask.name.clone(), ask.answer)).collect();
    assert!(asks.contains(&("wharf-test:powers/thing".into(), Answer::Refused)), "{asks:?}");
    assert!(asks.contains(&("read:env".into(), Answer::Unmentioned)), "{asks:?}");
}

#[test]
fn it_spins_and_is_stopped_at_its_deadline() {
    let began = Instant::now();
    let (kind, text) = prepare("spin", Duration::from_millis(100));
    assert_eq!(kind, Kind::DeadlineExceeded);
    assert_eq!(text, "plugin hostile: prepare layer 1: not done within its 100 ms");
    assert!(began.elapsed() < LONG, "long before the default");
}

#[test]
fn it_sleeps_and_is_woken_by_its_deadline() {
    let (kind, text) = prepare("sleep", Duration::from_millis(100));
    assert_eq!(
        (kind, text.as_str()),
        (Kind::DeadlineExceeded, "plugin hostile: prepare layer 1: not done within its 100 ms")
    );
}

#[test]
fn it_eats_memory_up_to_its_limit() {
    let (kind, text) = prepare("eat", LONG);
    assert_eq!(kind, Kind::Exhausted);
    assert!(text.contains("ran out of its 64 MiB of memory"), "{text}");
}

#[test]
fn it_panics_and_its_last_words_are_told() {
    let (kind, text) = prepare("trap", LONG);
    assert_eq!(kind, Kind::Internal);
    assert!(text.contains("trapped") && text.contains("there is nothing to be done"), "{text}");
}

#[test]
fn it_recurses_without_end() {
    let (kind, text) = prepare("overflow", LONG);
    assert_eq!(kind, Kind::Internal);
    assert!(text.contains("trapped"), "its stack is in its own memory: {text}");
}

#[test]
fn it_exits() {
    let (kind, text) = prepare("exit", LONG);
    assert_eq!(kind, Kind::Internal);
    assert!(text.contains("exit"), "{text}");
}

#[test]
fn it_passes_more_than_a_call_may() {
    let (kind, text) = prepare("flood", LONG);
    assert_eq!(kind, Kind::Internal);
    assert!(text.contains("fuel"), "{text}");
}

#[test]
fn it_shouts_and_most_of_it_is_dropped() {
    let node = Node::hostile("prepare = \"shout\"");
    let (_plugins, it) = snapshotter(&node);
    it.prepare(&active(1, &[])).unwrap();
}

#[test]
fn it_refuses_in_its_own_words_on_one_line() {
    let (kind, text) = prepare("refuse", LONG);
    assert_eq!(kind, Kind::Unsupported);
    assert_eq!(text, "plugin hostile: prepare layer 1: not on this node nor anywhere (try another)");
}

#[test]
fn it_looks_around_and_sees_nothing() {
    let (_, text) = prepare("look", LONG);
    assert!(text.ends_with("reached [false, false, false, false] env 0 args 0"), "{text}");
}

#[test]
fn it_cannot_name_anything_outside_its_folder() {
    let (_, text) = prepare("escape", LONG);
    let said = text.rsplit(": ").next().unwrap();
    assert_eq!(said, "invalid-argument invalid-argument invalid-argument made", "{text}");
}

#[test]
fn its_plans_are_checked_as_it_makes_them() {
    for (plan, kind, word) in [
        ("foreign", Kind::PermissionDenied, "neither layer 2 nor one of its parents"),
        ("parent", Kind::PermissionDenied, "only the active layer"),
        ("upper", Kind::PermissionDenied, "only the active layer"),
        ("above", Kind::InvalidArgument, "`..`"),
        ("absolute", Kind::InvalidArgument, "/etc"),
        ("million", Kind::Exhausted, "at most 64 steps"),
        ("million-regardless", Kind::Exhausted, "at most 64 steps"),
        ("none", Kind::DataLoss, "without a plan"),
    ] {
        let node = Node::hostile(&format!("plan = \"{plan}\""));
        let (_plugins, it) = snapshotter(&node);
        let error = it.prepare(&active(2, &[1])).unwrap_err();
        assert_eq!(error.kind(), kind, "{plan}");
        assert!(error.to_string().contains(word), "{plan}: {error}");
    }
    let node = Node::hostile("");
    let (_plugins, it) = snapshotter(&node);
    assert!(it.prepare(&layer(2, LayerKind::View, &[1])).is_ok());
}

#[test]
fn garbage_is_shown_as_a_line_that_a_person_can_read() {
    let (kind, text) = prepare("garbage", LONG);
    assert_eq!(kind, Kind::Unknown);
    assert!(text.starts_with("plugin hostile: prepare layer 1: "), "{text}");
    assert!(text.chars().count() < 2200 && !text.chars().any(char::is_control), "{} characters", text.chars().count());
}

#[test]
fn a_host_call_without_end_ends_with_its_call() {
    let node = Node::hostile("prepare = \"copy\"");
    let mut dir = node.config.snapshots_dir.join("hostile/9/many");
    std::fs::create_dir_all(&dir).unwrap();
    for n in 0..40 {
        dir = dir.join("d");
        std::fs::create_dir(&dir).unwrap();
        (0..500).for_each(|file| std::fs::write(dir.join(format!("{n}-{file}")), "x").unwrap());
    }
    let mut node = node;
    node.config.plugins[0].limits.deadlines.insert("prepare".into(), Duration::from_millis(5));
    let (_plugins, it) = snapshotter(&node);
    let error = it.prepare(&active(1, &[])).unwrap_err();
    assert_eq!(error.kind(), Kind::DeadlineExceeded, "{error}");
    assert!(error.to_string().starts_with("plugin hostile: prepare layer 1: "), "{error}");
    assert!(it.commit(&active(1, &[])).is_ok(), "the next call is unharmed");
}

#[test]
fn what_is_built_against_another_contract_or_is_too_large_is_refused_at_load() {
    let refused = |wasm: &dyn Fn(&std::path::Path)| {
        let mut node = Node::hostile("");
        let file = node.path("other.wasm");
        wasm(&file);
        node.config.plugins[0].wasm = wharf_plugins::Wasm::File(file);
        let plugins = node.open();
        let PluginState::Failed(why) = &plugins.list()[0].state else { panic!("it is loaded") };
        assert!(why.starts_with("plugin hostile: load: "), "{why}");
        assert_eq!(plugins.snapshotter("hostile").unwrap_err().kind(), Kind::FailedPrecondition);
        why.clone()
    };
    let patched = |from: &[u8], to: &[u8]| {
        let mut wasm = wharf_test_guests::HOSTILE.to_vec();
        let places: Vec<_> = (0..=wasm.len() - from.len()).filter(|at| wasm[*at..].starts_with(from)).collect();
        assert!(!places.is_empty());
        places.into_iter().for_each(|at| wasm[at..at + to.len()].copy_from_slice(to));
        wasm
    };
    let version = patched(b"@0.1.0-draft", b"@0.9.0-draft");
    let why = refused(&|file| std::fs::write(file, &version).unwrap());
    assert!(why.contains("0.9.0-draft") && why.contains("0.1.0-draft"), "{why}");
    let kind = patched(b"wharf:snapshotter/snapshotter@", b"wharf:snapshotter/snapshottex@");
    let why = refused(&|file| std::fs::write(file, &kind).unwrap());
    assert!(why.contains("exports none of the interfaces of a kind"), "{why}");
    let why = refused(&|file| std::fs::File::create(file).unwrap().set_len(1 << 40).unwrap());
    assert!(why.contains("MiB") || why.contains("large"), "{why}");
    let why = refused(&|file| std::fs::write(file, &wharf_test_guests::HOSTILE[..10_000]).unwrap());
    assert!(!why.contains('\n'), "{why}");
}

#[test]
fn a_power_is_granted_refused_or_an_error_that_says_what_to_write() {
    let mut node = Node::hostile("prepare = \"thing\"\nmounts = \"thing-plain\"\ncommit = \"thing-handle\"");
    {
        let (_plugins, it) = snapshotter(&node);
        let error = it.prepare(&active(1, &[])).unwrap_err();
        assert_eq!(error.kind(), Kind::PermissionDenied);
        assert!(error.to_string().contains("wharf-test:powers/thing: refused by the configuration"), "{error}");
        assert_eq!(it.commit(&active(1, &[])).unwrap_err().kind(), Kind::PermissionDenied, "a resource's function too");
        let error = it.mounts(&active(1, &[])).unwrap_err();
        assert!(error.to_string().contains("is not granted"), "what cannot say so traps: {error}");
    }
    node.config.plugins[0].grants.refused.clear();
    let error = node.open().snapshotter("hostile").unwrap_err().to_string();
    assert_eq!(
        error,
        "plugin hostile: load: it asks for the power wharf-test:powers/thing, and the configuration neither grants nor \
         refuses it (write `grant = [\"thing\"]` or `refuse = [\"thing\"]` into its table)"
    );
    node.config.plugins[0].grants.granted.insert("thing".into());
    let error = node.open().snapshotter("hostile").unwrap_err().to_string();
    assert!(error.contains("which this wharf does not have"), "{error}");
}

#[test]
fn refused_its_folder_it_hears_not_granted() {
    let mut node = Node::hostile("");
    let grants = &mut node.config.plugins[0].grants;
    grants.granted.clear();
    grants.refused.insert("layer-dir".into());
    let (_plugins, it) = snapshotter(&node);
    let error = it.measure(&active(1, &[])).unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
}

#[test]
fn what_fails_at_load_keeps_it_from_being_used() {
    for (does, state) in [
        ("probe = \"trap\"", "probe: trapped"),
        ("probe = \"spin\"", "probe: not done within its 100 ms"),
        ("check-config = \"trap\"", "check-config: trapped"),
        ("check-config = \"refuse\"", "configuration: /does: not on this node"),
        ("check-config = \"thing\"", "configuration: /does: wharf-test:powers/thing"),
        ("lie = \"yes\"", "probe: it answered: place"),
    ] {
        let mut node = Node::hostile(does);
        node.config.plugins[0].limits.deadlines.insert("probe".into(), Duration::from_millis(100));
        let plugins = node.open();
        let PluginState::Failed(why) = &plugins.list()[0].state else { panic!("{does}: loaded") };
        assert!(why.contains(state), "{does}: {why}");
        assert_eq!(plugins.snapshotter("hostile").unwrap_err().kind(), Kind::FailedPrecondition);
    }
}

#[test]
fn what_does_not_fit_this_node_says_so() {
    let node = Node::hostile("probe = \"refuse\"");
    let plugins = node.open();
    assert!(matches!(&plugins.list()[0].state, PluginState::Unsupported(why) if why.contains("not on this node")));
    assert_eq!(plugins.snapshotter("hostile").unwrap_err().kind(), Kind::Unsupported);
}

#[test]
fn stopping_ends_what_runs_and_refuses_what_comes() {
    let node = Node::hostile("prepare = \"spin\"");
    let (plugins, it) = snapshotter(&node);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| it.prepare(&active(1, &[])));
        plugins.stop();
        assert_eq!(running.join().unwrap().unwrap_err().kind(), Kind::Cancelled);
    });
    assert_eq!(it.layers().unwrap_err().kind(), Kind::Cancelled);
}

#[test]
fn a_second_call_about_a_layer_waits_its_turn_and_not_for_ever() {
    let mut node = Node::hostile("prepare = \"spin\"");
    node.config.plugins[0].limits.deadline = Duration::from_millis(50);
    node.config.plugins[0].limits.deadlines.insert("prepare".into(), Duration::from_secs(20));
    let (plugins, it) = snapshotter(&node);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| it.prepare(&active(1, &[])));
        // The spinning call has the layer as soon as a removal cannot get it.
        let error = std::iter::repeat_with(|| it.remove(1)).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        it.remove(2).unwrap();
        plugins.stop();
        running.join().unwrap().unwrap_err();
    });
}
