use super::{Event, EventKind, Events};
use crate::{Container, Pod, Pods, container, inner::Inner, pod, time};

// === impl Pods ===

impl Pods {
    /// What happens from now on. The first who asks after the daemon's start also hears of the ends that it found then.
    ///
    /// Every listener has a buffer of its own ([`PodsConfig::event_buffer`](crate::PodsConfig::event_buffer)); nothing
    /// waits for one that does not read.
    pub fn events(&self) -> Events {
        self.inner.events.listen()
    }

    /// Ends every stream of events: the daemon stops.
    pub fn end_events(&self) {
        self.inner.events.close();
    }
}

// === impl Inner ===

impl Inner {
    /// Tells what the step of a pod's row from one stage to another means.
    pub(crate) fn tell_pod(&self, before: pod::Stage, pod: &Pod) {
        use pod::Stage::{Made, Making, Stopped};
        match (before, pod.stage) {
            (Making, Made) => {
                self.tell(EventKind::Created, &pod.id, pod);
                self.tell(EventKind::Started, &pod.id, pod);
            }
            (Made, Stopped) => self.tell(EventKind::Stopped, &pod.id, pod),
            _ => {}
        }
    }

    /// As [`Inner::tell_pod`], for a container.
    pub(crate) fn tell_container(&self, before: container::Stage, container: &Container) {
        use container::Stage::{Created, Exited, Making, Running, Starting};
        let kind = match (before, container.stage) {
            (Making, Created) => EventKind::Created,
            (Starting, Running) => EventKind::Started,
            (Making | Created | Starting | Running, Exited) => EventKind::Stopped,
            _ => return,
        };
        self.tell_of(kind, &container.id, &container.pod_id);
    }

    /// A container is gone. One that was never made is nobody's news.
    pub(crate) fn tell_deleted(&self, container: &Container) {
        if container.stage != container::Stage::Making {
            self.tell_of(EventKind::Deleted, &container.id, &container.pod_id);
        }
    }

    /// As [`Inner::tell_deleted`], for a pod as it was last.
    pub(crate) fn tell_pod_deleted(&self, pod: &Pod) {
        if pod.stage != pod::Stage::Making {
            let mut last = pod.clone();
            last.stage = pod::Stage::Removing;
            last.pid = None;
            self.tell(EventKind::Deleted, &pod.id, &last);
        }
    }

    fn tell_of(&self, kind: EventKind, id: &str, pod: &str) {
        self.events.tell(kind, || Some(self.event(kind, id, self.pod_entry(pod).ok()?.row())));
    }

    fn tell(&self, kind: EventKind, id: &str, pod: &Pod) {
        self.events.tell(kind, || Some(self.event(kind, id, pod.clone())));
    }

    fn event(&self, kind: EventKind, id: &str, pod: Pod) -> Event {
        let containers = self.containers_of(&pod.id).into_iter().map(|entry| entry.row());
        let containers = containers.filter(|container| container.stage != container::Stage::Making).collect();
        Event { kind, id: id.to_owned(), at: time::now(), pod, containers }
    }
}
