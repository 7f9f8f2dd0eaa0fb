//! Generates the CRI types and services from `proto/`; protox reads it, so no protoc is needed.

use std::error::Error;

/// The messages that an inspection shows as JSON: both configurations, and what they are made of.
const SHOWN: &[&str] = &[
    "CDIDevice",
    "Capability",
    "ContainerConfig",
    "ContainerMetadata",
    "DNSConfig",
    "Device",
    "HugepageLimit",
    "IDMapping",
    "ImageSpec",
    "Int64Value",
    "KeyValue",
    "LinuxContainerConfig",
    "LinuxContainerResources",
    "LinuxContainerSecurityContext",
    "LinuxPodSandboxConfig",
    "LinuxSandboxSecurityContext",
    "Mount",
    "NamespaceOption",
    "PodSandboxConfig",
    "PodSandboxMetadata",
    "PortMapping",
    "SELinuxOption",
    "SecurityProfile",
    "UserNamespace",
    "WindowsContainerConfig",
    "WindowsContainerResources",
    "WindowsContainerSecurityContext",
    "WindowsCpuGroupAffinity",
    "WindowsNamespaceOption",
    "WindowsPodSandboxConfig",
    "WindowsSandboxSecurityContext",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["runtime/v1/api.proto"], ["proto"])?;
    let mut builder = tonic_prost_build::configure()
        // In order, so that equal messages are equal bytes: a retry is told from a different request by them.
        .btree_map(".")
        .skip_debug(["runtime.v1.AuthConfig"])
        .field_attribute("runtime.v1.KeyValue.value", "#[serde(serialize_with = \"crate::text::lossy\")]");
    for message in SHOWN {
        builder = builder.message_attribute(format!("runtime.v1.{message}"), "#[derive(serde::Serialize)]");
    }
    Ok(builder.compile_fds(descriptors)?)
}
