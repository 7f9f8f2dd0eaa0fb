//! The metrics that cAdvisor has for a pod and its containers, under the same names.
//!
//! A family is one entry of a table: name, help, labels, and the function that reads its values. So what
//! `ListMetricDescriptors` promises is what `ListPodSandboxMetrics` gives. Values are whole numbers, as CRI has them:
//! of seconds the fraction is lost.

mod cpu;
mod disk;
mod family;
mod labels;
mod memory;
mod network;
mod process;
mod spec;

use self::family::{Family, Source, Value, counter, gauge};
pub(super) use self::{
    family::{all, descriptors},
    labels::Labels,
};
