use protobuf::{Message, MessageField, well_known_types::timestamp::Timestamp};
use wharf_error::{Error, Result, ResultExt as _};

use crate::{
    any::to_proto,
    protocol::events::{
        Envelope, ForwardRequest, TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskOOM,
        TaskPaused, TaskResumed, TaskStart, topics,
    },
};

/// Where the messages of all events live.
const PACKAGE: &str = "containerd.events";

/// What a shim tells about its tasks, in the order in which it happened.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "one variant a message of the protocol, named as there")]
pub enum TaskEvent {
    Create(TaskCreate),
    Start(TaskStart),
    Exit(TaskExit),
    Oom(TaskOOM),
    Delete(TaskDelete),
    ExecAdded(TaskExecAdded),
    ExecStarted(TaskExecStarted),
    Paused(TaskPaused),
    Resumed(TaskResumed),
}

/// Nanoseconds since the epoch as protobuf's type.
pub fn timestamp(nanos: i64) -> Timestamp {
    let below = i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default();
    Timestamp { seconds: nanos.div_euclid(1_000_000_000), nanos: below, ..Timestamp::default() }
}

/// Nanoseconds since the epoch; 0 for an absent time.
pub fn timestamp_nanos(time: &MessageField<Timestamp>) -> i64 {
    time.as_ref().map_or(0, |t| t.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(t.nanos)))
}

// === impl TaskEvent ===

impl TaskEvent {
    /// The container that it is about.
    pub fn container_id(&self) -> &str {
        match self {
            Self::Create(e) => &e.container_id,
            Self::Start(e) => &e.container_id,
            Self::Exit(e) => &e.container_id,
            Self::Oom(e) => &e.container_id,
            Self::Delete(e) => &e.container_id,
            Self::ExecAdded(e) => &e.container_id,
            Self::ExecStarted(e) => &e.container_id,
            Self::Paused(e) => &e.container_id,
            Self::Resumed(e) => &e.container_id,
        }
    }

    /// The request that forwards it to the daemon.
    pub fn forward(&self, namespace: &str, at_nanos: i64) -> Result<ForwardRequest> {
        let (topic, event) = match self {
            Self::Create(e) => (topics::TASK_CREATE_EVENT_TOPIC, to_proto(PACKAGE, e)),
            Self::Start(e) => (topics::TASK_START_EVENT_TOPIC, to_proto(PACKAGE, e)),
            Self::Exit(e) => (topics::TASK_EXIT_EVENT_TOPIC, to_proto(PACKAGE, e)),
            Self::Oom(e) => (topics::TASK_OOM_EVENT_TOPIC, to_proto(PACKAGE, e)),
            Self::Delete(e) => (topics::TASK_DELETE_EVENT_TOPIC, to_proto(PACKAGE, e)),
            Self::ExecAdded(e) => (topics::TASK_EXEC_ADDED_EVENT_TOPIC, to_proto(PACKAGE, e)),
            Self::ExecStarted(e) => (topics::TASK_EXEC_STARTED_EVENT_TOPIC, to_proto(PACKAGE, e)),
            Self::Paused(e) => (topics::TASK_PAUSED_EVENT_TOPIC, to_proto(PACKAGE, e)),
            Self::Resumed(e) => (topics::TASK_RESUMED_EVENT_TOPIC, to_proto(PACKAGE, e)),
        };
        let envelope = Envelope {
            timestamp: MessageField::some(timestamp(at_nanos)),
            namespace: namespace.to_owned(),
            topic: topic.to_owned(),
            event: MessageField::some(event?),
            ..Envelope::default()
        };
        Ok(ForwardRequest { envelope: MessageField::some(envelope), ..ForwardRequest::default() })
    }

    /// Reads a forwarded request; `None` for an event of a kind we do not act on.
    ///
    /// Errors are `InvalidArgument`: an envelope without an event, or bytes that do not parse.
    pub fn from_forward(request: &ForwardRequest) -> Result<Option<Self>> {
        let envelope = &request.envelope;
        let Some(any) = envelope.event.as_ref() else {
            return Err(Error::invalid(format!("event `{}`: the envelope is empty", envelope.topic)));
        };
        // Some senders prefix the name with a host, as `type.googleapis.com/` does.
        let name = any.type_url.rsplit('/').next().unwrap_or_default();
        let bytes = any.value.as_slice();
        Ok(Some(match name {
            "containerd.events.TaskCreate" => Self::Create(parse(bytes)?),
            "containerd.events.TaskStart" => Self::Start(parse(bytes)?),
            "containerd.events.TaskExit" => Self::Exit(parse(bytes)?),
            "containerd.events.TaskOOM" => Self::Oom(parse(bytes)?),
            "containerd.events.TaskDelete" => Self::Delete(parse(bytes)?),
            "containerd.events.TaskExecAdded" => Self::ExecAdded(parse(bytes)?),
            "containerd.events.TaskExecStarted" => Self::ExecStarted(parse(bytes)?),
            "containerd.events.TaskPaused" => Self::Paused(parse(bytes)?),
            "containerd.events.TaskResumed" => Self::Resumed(parse(bytes)?),
            _ => return Ok(None),
        }))
    }
}

fn parse<M: Message>(bytes: &[u8]) -> Result<M> {
    M::parse_from_bytes(bytes).step_as(wharf_error::Kind::InvalidArgument, || format!("decode {}", M::NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_go_round_with_topic_and_time() {
        let exit = TaskExit {
            container_id: "web".into(),
            id: "web".into(),
            pid: 7,
            exit_status: 137,
            exited_at: MessageField::some(timestamp(1_700_000_000_123_456_789)),
            ..TaskExit::default()
        };
        let request = TaskEvent::Exit(exit.clone()).forward("k8s.io", 42).unwrap();
        assert_eq!(request.envelope.topic, "/tasks/exit");
        assert_eq!(request.envelope.namespace, "k8s.io");
        assert_eq!(TaskEvent::from_forward(&request).unwrap(), Some(TaskEvent::Exit(exit.clone())));
        assert_eq!(timestamp_nanos(&exit.exited_at), 1_700_000_000_123_456_789);
    }

    #[test]
    fn foreign_events_are_skipped_and_broken_ones_refused() {
        let mut request = TaskEvent::Oom(TaskOOM::new()).forward("k8s.io", 0).unwrap();
        request.envelope.mut_or_insert_default().event.mut_or_insert_default().type_url = "a.b.Other".into();
        assert_eq!(TaskEvent::from_forward(&request).unwrap(), None);
        assert!(TaskEvent::from_forward(&ForwardRequest::new()).is_err());
        let any = request.envelope.mut_or_insert_default().event.mut_or_insert_default();
        any.type_url = "containerd.events.TaskOOM".into();
        any.value = vec![0xff];
        assert!(TaskEvent::from_forward(&request).is_err());
    }
}
