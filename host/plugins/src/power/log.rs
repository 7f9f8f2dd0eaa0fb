use tracing::Level;

use crate::{
    bindings::wharf::host::{log, types},
    state::State,
};

impl types::Host for State {}

impl log::Host for State {
    fn emit(&mut self, level: log::Level, message: String, fields: Vec<types::Label>) {
        let level = match level {
            log::Level::Trace => Level::TRACE,
            log::Level::Debug => Level::DEBUG,
            log::Level::Info => Level::INFO,
            log::Level::Warn => Level::WARN,
            log::Level::Error => Level::ERROR,
        };
        self.voice.say(level, &message, &fields);
    }
}
