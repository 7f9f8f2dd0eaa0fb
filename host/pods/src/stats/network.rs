use std::{fs, path::PathBuf};

use wharf_error::Result;

use crate::streams::inside_network;

/// The counters of one interface.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InterfaceUsage {
    /// Its name in the pod.
    pub name: String,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Errors in receiving.
    pub rx_errors: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Errors in sending.
    pub tx_errors: u64,
}

/// Every interface of a network namespace but its loopback.
pub(super) async fn interfaces(netns: PathBuf) -> Result<Vec<InterfaceUsage>> {
    let text = inside_network(Some(netns), || fs::read_to_string("/proc/thread-self/net/dev")).await?;
    Ok(text.lines().filter_map(parse).filter(|interface| interface.name != "lo").collect())
}

/// `name: ` and sixteen numbers: bytes and errors are the first and third of each eight.
fn parse(line: &str) -> Option<InterfaceUsage> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Vec<u64> = numbers.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
    let [rx_bytes, _, rx_errors, _, _, _, _, _, tx_bytes, _, tx_errors, ..] = numbers[..] else { return None };
    Some(InterfaceUsage { name: name.trim().to_owned(), rx_bytes, rx_errors, tx_bytes, tx_errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let line = "  eth0: 100 2 3 0 0 0 0 0 500 6 7 0 0 0 0 0";
        let eth0 = InterfaceUsage { name: "eth0".into(), rx_bytes: 100, rx_errors: 3, tx_bytes: 500, tx_errors: 7 };
        assert_eq!(parse(line), Some(eth0));
        assert_eq!(parse("Inter-|   Receive  |  Transmit"), None);
        assert_eq!(parse(" face |bytes packets errs:"), None);
    }
}
