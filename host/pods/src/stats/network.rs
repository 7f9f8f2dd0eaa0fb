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
    /// Packets received.
    pub rx_packets: u64,
    /// Errors in receiving.
    pub rx_errors: u64,
    /// Packets that came and were dropped.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Errors in sending.
    pub tx_errors: u64,
    /// Packets that were to be sent and were dropped.
    pub tx_dropped: u64,
}

/// Every interface of a network namespace but its loopback.
pub(super) async fn interfaces(netns: PathBuf) -> Result<Vec<InterfaceUsage>> {
    let text = inside_network(Some(netns), || fs::read_to_string("/proc/thread-self/net/dev")).await?;
    Ok(text.lines().filter_map(parse).filter(|interface| interface.name != "lo").collect())
}

/// `name: ` and sixteen numbers, eight for what came and eight for what went: bytes, packets, errors, drops first.
fn parse(line: &str) -> Option<InterfaceUsage> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Vec<u64> = numbers.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
    let [rx_bytes, rx_packets, rx_errors, rx_dropped, _, _, _, _, tx_bytes, tx_packets, tx_errors, tx_dropped, ..] =
        numbers[..]
    else {
        return None;
    };
    let name = name.trim().to_owned();
    Some(InterfaceUsage {
        name,
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let line = "  eth0: 100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0";
        let eth0 = InterfaceUsage {
            name: "eth0".into(),
            rx_bytes: 100,
            rx_packets: 2,
            rx_errors: 3,
            rx_dropped: 4,
            tx_bytes: 500,
            tx_packets: 6,
            tx_errors: 7,
            tx_dropped: 8,
        };
        assert_eq!(parse(line), Some(eth0));
        assert_eq!(parse("Inter-|   Receive  |  Transmit"), None);
        assert_eq!(parse(" face |bytes packets errs:"), None);
    }
}
