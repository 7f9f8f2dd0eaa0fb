use std::{
    thread,
    time::{Duration, Instant},
};

/// Asks `done` every few milliseconds until it says yes or the time is over; the last answer.
/// For what another process does, where there is nothing to wait on.
pub fn wait_for(deadline: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
