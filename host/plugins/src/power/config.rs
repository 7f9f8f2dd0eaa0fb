use crate::{bindings::wharf::host::config, state::State};

impl config::Host for State {
    fn get(&mut self) -> String {
        self.config.to_string()
    }
}
