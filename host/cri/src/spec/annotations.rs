use std::collections::HashMap;

use super::Input;

/// What OCI runtimes and tools read to tell whose container it is. The names are containerd's.
pub(super) fn build(input: &Input<'_>) -> HashMap<String, String> {
    let pod = input.pod_config.metadata.clone().unwrap_or_default();
    let name = input.config.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default();
    let facts = [
        ("container-type", "container".to_owned()),
        ("container-name", name),
        ("image-name", input.image_name.to_owned()),
        ("sandbox-id", input.pod_id.to_owned()),
        ("sandbox-name", pod.name),
        ("sandbox-namespace", pod.namespace),
        ("sandbox-uid", pod.uid),
    ];
    facts.into_iter().map(|(key, value)| (format!("io.kubernetes.cri.{key}"), value)).collect()
}
