use std::time::Duration;

use anyhow::Result;

use crate::{
    go_tools::{self, KUBELET_VERSION},
    progress::step,
    suite::Suite,
};

/// Four minutes on a machine.
const LIMIT: Duration = Duration::from_secs(50 * 60);

/// Builds a kubelet with Go, Wharf and the program that runs one on the other, and runs it with these arguments: here, or in a
/// guest whose control groups systemd makes, the kubelet's and ours.
pub fn run(arguments: &[String]) -> Result<()> {
    let name = format!("kubelet {KUBELET_VERSION}");
    let suite = Suite { name: &name, program: "wharf-kubelet", option: "--kubelet" };
    match arguments.iter().position(|word| word == "--guest") {
        None => suite.run(go_tools::kubelet, |kubelet| suite.here(kubelet, arguments)),
        Some(at) => {
            let others = [&arguments[..at], &["--systemd".to_owned()], &arguments[at + 1..]].concat();
            suite.run(go_tools::kubelet, |kubelet| {
                // The guest has no network.
                step("what the node is made of", || suite.here(kubelet, &["--prepare".into()]))?;
                suite.in_guest(kubelet, &others, true, LIMIT)
            })
        }
    }
}
