use wharf_pods::{Container, Pod};

/// What every metric is told apart by, as CRI-O names it.
pub(super) const KEYS: &[&str] = &["id", "image", "namespace", "pod", "container"];

/// The values of [`KEYS`] for one pod or container.
pub(crate) struct Labels {
    id: String,
    image: String,
    namespace: String,
    pod: String,
    container: String,
}

// === impl Labels ===

impl Labels {
    /// A pod's own: no container, as cAdvisor has it for a pod's control group.
    pub(crate) fn of_pod(pod: &Pod) -> Self {
        Self {
            id: pod.id.clone(),
            image: String::new(),
            namespace: pod.metadata.namespace.clone(),
            pod: pod.metadata.name.clone(),
            container: String::new(),
        }
    }

    pub(crate) fn of_container(pod: &Pod, container: &Container) -> Self {
        Self {
            id: container.id.clone(),
            image: container.image_ref.clone(),
            container: container.metadata.name.clone(),
            ..Self::of_pod(pod)
        }
    }

    pub(super) fn values(&self) -> [String; 5] {
        [&self.id, &self.image, &self.namespace, &self.pod, &self.container].map(Clone::clone)
    }
}
