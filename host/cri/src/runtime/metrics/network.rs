use wharf_pods::InterfaceUsage;

use super::{Family, Source, Value, counter};

const INTERFACE: &[&str] = &["interface"];

pub(super) const FAMILIES: &[Family] = &[
    counter("container_network_receive_bytes_total", "Cumulative count of bytes received.", INTERFACE, |source| {
        each(source, |usage| usage.rx_bytes)
    }),
    counter("container_network_receive_packets_total", "Cumulative count of packets received.", INTERFACE, |source| {
        each(source, |usage| usage.rx_packets)
    }),
    counter(
        "container_network_receive_packets_dropped_total",
        "Cumulative count of packets dropped while receiving.",
        INTERFACE,
        |source| each(source, |usage| usage.rx_dropped),
    ),
    counter(
        "container_network_receive_errors_total",
        "Cumulative count of errors encountered while receiving.",
        INTERFACE,
        |source| each(source, |usage| usage.rx_errors),
    ),
    counter("container_network_transmit_bytes_total", "Cumulative count of bytes transmitted.", INTERFACE, |source| {
        each(source, |usage| usage.tx_bytes)
    }),
    counter(
        "container_network_transmit_packets_total",
        "Cumulative count of packets transmitted.",
        INTERFACE,
        |source| each(source, |usage| usage.tx_packets),
    ),
    counter(
        "container_network_transmit_packets_dropped_total",
        "Cumulative count of packets dropped while transmitting.",
        INTERFACE,
        |source| each(source, |usage| usage.tx_dropped),
    ),
    counter(
        "container_network_transmit_errors_total",
        "Cumulative count of errors encountered while transmitting.",
        INTERFACE,
        |source| each(source, |usage| usage.tx_errors),
    ),
];

fn each(source: &Source<'_>, value: fn(&InterfaceUsage) -> u64) -> Vec<Value> {
    source.interfaces.iter().map(|usage| Value::labelled([&usage.name], value(usage))).collect()
}
