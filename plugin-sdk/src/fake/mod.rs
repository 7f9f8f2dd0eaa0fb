//! A host in memory for the tests of a plugin's own logic, on the author's machine and in milliseconds.
//!
//! It obeys the contract where a plugin's logic can see it: which places a plan may name, what is success when it is
//! done already. What it cannot show is a disk: run the conformance tests for that.

mod facts;
pub mod layer_dir;
mod recorder;
mod tree;

use std::{cell::RefCell, marker::PhantomData, rc::Rc};

pub use self::{
    facts::Facts,
    recorder::{Recorder, Step},
    tree::Tree,
};
use crate::{Layer, Plan, Snapshotter, bindings::wharf::host::log::Level};

thread_local! {
    static CURRENT: RefCell<Option<Rc<RefCell<State>>>> = const { RefCell::new(None) };
}

/// The host of this thread, as long as it lives. A second one takes the first one's place.
#[derive(Debug)]
pub struct Host {
    state: Rc<RefCell<State>>,
    // The plugin's functions find it by thread.
    not_send: PhantomData<*const ()>,
}

#[derive(Debug, Default)]
struct State {
    tree: Tree,
    log: Vec<String>,
    refused: bool,
}

// === impl Host ===

impl Host {
    /// A host with an empty folder, which grants every power.
    #[allow(clippy::new_without_default, reason = "making one has an effect on the thread")]
    pub fn new() -> Self {
        let state = Rc::<RefCell<State>>::default();
        CURRENT.set(Some(state.clone()));
        Self { state, not_send: PhantomData }
    }

    /// From now on the power `layer-dir` answers `not-granted`.
    pub fn refuse_layer_dir(&self) {
        self.state.borrow_mut().refused = true;
    }

    /// Looks at the plugin's folder, and changes it.
    pub fn tree<R>(&self, look: impl FnOnce(&mut Tree) -> R) -> R {
        look(&mut self.state.borrow_mut().tree)
    }

    /// What the plugin logged: `level message key=value`.
    pub fn log(&self) -> Vec<String> {
        self.state.borrow().log.clone()
    }

    /// The plugin, as a call with this configuration (JSON) would meet it.
    ///
    /// # Panics
    /// When the configuration cannot be read or the plugin finds a problem in it: this is for tests.
    #[allow(clippy::panic)]
    pub fn plugin<T: Snapshotter>(&self, config: &str) -> T {
        let config: T::Config = serde_json::from_str(config).unwrap_or_else(|error| panic!("configuration: {error}"));
        let problems = T::check_config(&config);
        assert!(problems.is_empty(), "configuration: {problems:?}");
        T::new(config)
    }

    /// A layer to hand to the plugin, and the plan that goes with it.
    pub fn call(&self, facts: Facts) -> (Layer, Plan, Recorder) {
        let recorder = Recorder::new(&facts);
        (Layer::new(facts), Plan::new(recorder.clone()), recorder)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| {
            if current.as_ref().is_some_and(|state| Rc::ptr_eq(state, &self.state)) {
                *current = None;
            }
        });
    }
}

pub(crate) fn emit(level: Level, message: &str, fields: &[(String, String)]) {
    let fields: String = fields.iter().map(|(key, value)| format!(" {key}={value}")).collect();
    let line = format!("{level:?} {message}{fields}").replacen("Level::", "", 1).to_lowercase();
    with(|state| state.log.push(line));
}

/// # Panics
/// Outside a test that made a [`Host`].
#[allow(clippy::expect_used)]
fn with<R>(use_it: impl FnOnce(&mut State) -> R) -> R {
    let state = CURRENT.with_borrow(Clone::clone).expect("a power was used natively without a fake::Host");
    use_it(&mut state.borrow_mut())
}
