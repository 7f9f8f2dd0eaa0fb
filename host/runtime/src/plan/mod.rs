//! From a specification to steps: each file turns one part of it into [`Op`](crate::child::Op)s, in the parent, where
//! strings can be made, files opened and mistakes explained.

mod cgroup_mounts;
mod copy_up;
mod credentials;
mod devices;
mod folders;
mod idmap;
mod image;
mod labels;
mod limits;
mod masks;
mod memory_policy;
mod mount_options;
mod mounts;
mod namespaces;
mod process;
mod refuse;
mod scheduling;
mod strings;
mod sysctls;

pub(crate) use self::{
    credentials::{known_capabilities, possible},
    devices::plan_devices,
    folders::plan_folders,
    image::{explain_exec, hook_image, program_candidates, program_name},
    labels::mount_label,
    masks::plan_masks,
    memory_policy::MemoryPolicy,
    mount_options::KNOWN as KNOWN_MOUNT_OPTIONS,
    mounts::{MountPlan, plan_mounts},
};
pub(crate) use self::{
    namespaces::{Namespaces, plan_names},
    process::{Prepared, ProcessPlan},
    refuse::{refuse_process, refuse_spec},
    scheduling::{Traits, exec_affinity},
    strings::c_string,
    sysctls::plan_sysctls,
};
