use anyhow::{Context as _, Result};
use glob::Pattern;
use wharf_cri::PassedAnnotations;

use super::Handler;

// === impl Handler ===

impl Handler {
    /// Which annotations of pods and containers it is told of.
    pub(crate) fn passed_annotations(&self) -> Result<PassedAnnotations> {
        let (pod, container) = match self {
            Self::Native {} => return Ok(PassedAnnotations::default()),
            Self::Oci { pod_annotations, container_annotations, .. }
            | Self::Shim { pod_annotations, container_annotations, .. } => (pod_annotations, container_annotations),
        };
        Ok(PassedAnnotations {
            pod: patterns("pod_annotations", pod)?,
            container: patterns("container_annotations", container)?,
        })
    }
}

fn patterns(key: &str, all: &[String]) -> Result<Vec<Pattern>> {
    let pattern = |text: &String| Pattern::new(text).with_context(|| format!("{key}: {text:?}"));
    all.iter().map(pattern).collect()
}
