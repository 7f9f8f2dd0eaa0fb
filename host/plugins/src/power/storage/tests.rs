use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use super::*;
use crate::{state::Until, voice::Voice};

/// A call about layer 3 on 2 and 1.
fn state(kind: LayerKind) -> State {
    let until = Until { deadline: Instant::now(), stopping: Arc::new(AtomicBool::new(false)) };
    let mut state = State::new(Voice::new("test".into(), "prepare", Some(3), 0), until, "{}".into(), 0);
    state.layer = Some(LayerFacts { id: 3, kind, parents: vec![2, 1], ..LayerFacts::default() });
    state
}

fn plan() -> Resource<PlanHandle> {
    Resource::new_own(0)
}

fn at(layer: u64, path: &str) -> storage::Place {
    storage::Place { layer, path: path.into() }
}

fn upper(layer: u64) -> Option<storage::Upper> {
    Some(storage::Upper { upper: at(layer, "fs"), work: at(layer, "work") })
}

#[test]
fn a_plan_names_only_its_layer_and_parents() {
    let mut state = state(LayerKind::Active);
    assert_eq!(state.bind(plan(), at(3, "fs"), false).unwrap(), 0);
    assert_eq!(state.bind(plan(), at(1, "fs"), true).unwrap(), 1);
    assert_eq!(state.bind(plan(), at(4, "fs"), true).unwrap_err().code, Code::NotGranted);
    assert_eq!(state.erofs(plan(), at(0, "image")).unwrap_err().code, Code::NotGranted);
    assert_eq!(state.bind(plan(), at(3, "../1"), true).unwrap_err().code, Code::InvalidArgument);
    assert_eq!(state.plan.steps.len(), 2, "what was refused is not in the plan");
}

#[test]
fn only_the_active_layer_is_written() {
    let mut active = state(LayerKind::Active);
    let parents = || vec![storage::Lower::Directory(at(2, "fs"))];
    assert_eq!(active.bind(plan(), at(2, "fs"), false).unwrap_err().code, Code::NotGranted);
    assert_eq!(active.overlay(plan(), parents(), upper(2)).unwrap_err().code, Code::NotGranted);
    assert!(active.overlay(plan(), parents(), upper(3)).is_ok());
    for kind in [LayerKind::View, LayerKind::Committed] {
        let mut state = state(kind);
        assert_eq!(state.bind(plan(), at(3, "fs"), false).unwrap_err().code, Code::NotGranted, "{kind:?}");
        assert_eq!(state.overlay(plan(), parents(), upper(3)).unwrap_err().code, Code::NotGranted, "{kind:?}");
        assert!(state.overlay(plan(), parents(), None).is_ok(), "{kind:?}");
    }
}

#[test]
fn an_overlay_stands_on_something_that_is_there() {
    let mut state = state(LayerKind::Active);
    assert_eq!(state.overlay(plan(), vec![], None).unwrap_err().code, Code::InvalidArgument);
    assert_eq!(
        state.overlay(plan(), vec![storage::Lower::Mounted(0)], None).unwrap_err().code,
        Code::InvalidArgument,
        "a step cannot stand on itself"
    );
    state.erofs(plan(), at(2, "image")).unwrap();
    assert_eq!(state.overlay(plan(), vec![storage::Lower::Mounted(0)], None).unwrap(), 1);
    assert_eq!(
        state.overlay(plan(), vec![storage::Lower::Mounted(u32::MAX)], None).unwrap_err().code,
        Code::InvalidArgument
    );
}

#[test]
fn a_plan_has_an_end() {
    let mut state = state(LayerKind::Active);
    let many = |count| (0..count).map(|_| storage::Lower::Directory(at(1, "fs"))).collect::<Vec<_>>();
    assert_eq!(state.overlay(plan(), many(LOWERS + 1), None).unwrap_err().code, Code::Exhausted);
    assert!(state.overlay(plan(), many(LOWERS), None).is_ok());
    for _ in 1..STEPS {
        state.bind(plan(), at(3, "fs"), true).unwrap();
    }
    assert_eq!(state.bind(plan(), at(3, "fs"), true).unwrap_err().code, Code::Exhausted);
}
