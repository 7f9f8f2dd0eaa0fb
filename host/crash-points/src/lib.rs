//! Moments at which a test may kill a process, between any two steps that leave something behind.
//!
//! [`point!`] marks one and is nothing in a usual build: the binaries have no trace of it. An armed build, made with the
//! feature `armed` under another name (`wharf-armed`, `containerd-shim-wharf-v1-armed`), looks for a folder that the
//! environment names ([`FOLDER`]), counts there how often each point was reached by any of its processes, and when a
//! point was reached as often as the file `armed` in it says, that process aborts on the spot. `wharf-crash points` sweeps
//! them all.
#![forbid(unsafe_code)]

#[cfg(feature = "armed")]
mod armed;

/// The environment's variable with the folder of an armed build; daemons pass it on to their shims.
pub const FOLDER: &str = "WHARF_CRASH_POINTS";

/// Whether this is an armed build.
pub const ARMED: bool = cfg!(feature = "armed");

/// Marks a moment by its name, as in `point!("pods.run.folder")`: crate, verb, and what has just been done.
#[macro_export]
macro_rules! point {
    ($name:expr) => {
        if $crate::ARMED {
            $crate::reached($name);
        }
    };
}

/// What [`point!`] calls in an armed build. It returns, or the process has ended.
pub fn reached(name: &str) {
    #[cfg(feature = "armed")]
    armed::reached(name);
    #[cfg(not(feature = "armed"))]
    let _ = name;
}

/// The variable to set for a process whose environment was cleared: none but in an armed build that was given a folder.
pub fn environment() -> Option<(&'static str, std::ffi::OsString)> {
    if ARMED { std::env::var_os(FOLDER).map(|folder| (FOLDER, folder)) } else { None }
}
