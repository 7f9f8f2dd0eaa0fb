use wharf_api::cri::{ListMetricDescriptorsRequest, ListMetricDescriptorsResponse};
use wharf_error::Result;

use super::metrics;

/// The same for the whole life of the daemon: the kubelet asks once.
pub(super) async fn list_metric_descriptors(_: ListMetricDescriptorsRequest) -> Result<ListMetricDescriptorsResponse> {
    Ok(ListMetricDescriptorsResponse { descriptors: metrics::descriptors() })
}
