use anyhow::Result;

use crate::{
    go_tools::{self, KUBELET_VERSION},
    suite::Suite,
};

/// Builds a kubelet with Go, Wharf and the program that runs one on the other, and runs it with these arguments.
pub fn run(arguments: &[String]) -> Result<()> {
    let name = format!("kubelet {KUBELET_VERSION}");
    let suite = Suite { name: &name, program: "wharf-kubelet", option: "--kubelet" };
    suite.run(go_tools::kubelet, |kubelet| suite.here(kubelet, arguments))
}
