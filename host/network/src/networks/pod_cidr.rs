use std::sync::PoisonError;

use wharf_error::{Error, Result};

use super::Networks;
use crate::attachment::PodCidrTable;

impl Networks {
    /// Keeps the node's range of pod addresses (one a family, joined with commas) for plugins that declare the capability
    /// `ipRanges`. Empty: nothing is changed. Pods that are attached already keep their addresses.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for what is no range; else the store's.
    pub async fn set_pod_cidr(&self, ranges: &str) -> Result<()> {
        let inner = &*self.inner;
        let ranges: Vec<_> = ranges.split(',').map(str::trim).filter(|range| !range.is_empty()).collect();
        if let Some(wrong) = ranges.iter().find(|range| !is_range(range)) {
            return Err(Error::invalid(format!("pod_cidr: {wrong:?} is no range of addresses")));
        }
        let text = ranges.join(",");
        if text.is_empty() || *inner.pod_cidr.read().unwrap_or_else(PoisonError::into_inner) == text {
            return Ok(());
        }
        let (key, row) = (wharf_store::prefix(&inner.config.namespace), text.clone());
        inner.store.durable(move |w| w.put::<PodCidrTable>(&key, &row)).await?;
        tracing::info!(pod_cidr = text, "the kubelet tells the pods' addresses");
        *inner.pod_cidr.write().unwrap_or_else(PoisonError::into_inner) = text;
        Ok(())
    }
}

fn is_range(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    match (address.parse::<std::net::IpAddr>(), bits.parse::<u8>()) {
        (Ok(address), Ok(bits)) => bits <= if address.is_ipv4() { 32 } else { 128 },
        _ => false,
    }
}
