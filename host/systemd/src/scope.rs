use crate::{
    Slice,
    bus::{Properties, Value},
};

/// A transient scope unit that is to be made.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The unit's name, with `.scope`.
    pub unit: String,
    /// The slice that it is in. One that is not there is made by systemd, and those above it.
    pub slice: Slice,
    /// What `systemctl` shows of it, one line.
    pub description: String,
    /// The process around which it is made. systemd moves it there, and ends the scope once it and all that came to it are
    /// gone.
    pub pid: u32,
}

/// Microseconds.
const STOP: u64 = 10_000_000;

impl Scope {
    pub(crate) fn properties(&self) -> Properties {
        vec![
            ("Description", self.description.as_str().into()),
            ("Slice", self.slice.name().into()),
            ("PIDs", Value::U32s(vec![self.pid])),
            // With every controller; what is below is ours, and no reload of systemd touches it.
            ("Delegate", true.into()),
            // Or a shutdown would end it together with the node's services, before a kubelet has ended its pods; as far as its
            // slice goes by the same rule, as a kubelet's does, and one that systemd makes by itself does not.
            ("DefaultDependencies", false.into()),
            // From SIGTERM to SIGKILL when somebody stops it by hand: its process obeys the first unless it is the first of a
            // namespace, and it is for us to end the rest.
            ("TimeoutStopUSec", STOP.into()),
            // One that failed is forgotten like one that did not.
            ("CollectMode", "inactive-or-failed".into()),
            // systemd's default for a unit is a share of the node's processes, and nobody has asked for one.
            ("TasksMax", u64::MAX.into()),
        ]
    }
}
