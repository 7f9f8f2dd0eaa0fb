use std::collections::HashMap;

use glob::MatchOptions;

use super::Input;

/// As Go's `path.Match`, by which containerd matches: a `*` ends at a slash.
const AS_PATHS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// What OCI runtimes and tools read to tell whose container it is, by containerd's names, and before that what the
/// handler is configured to be told of.
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
    let facts = facts.into_iter().map(|(key, value)| (format!("io.kubernetes.cri.{key}"), value));
    let passed = [
        (&input.passed_annotations.pod, &input.pod_config.annotations),
        (&input.passed_annotations.container, &input.config.annotations),
    ];
    let passed = passed.into_iter().flat_map(|(patterns, annotations)| {
        let wanted = |key: &str| patterns.iter().any(|pattern| pattern.matches_with(key, AS_PATHS));
        annotations.iter().filter(move |(key, _)| wanted(key)).map(|(key, value)| (key.clone(), value.clone()))
    });
    passed.chain(facts).collect()
}
