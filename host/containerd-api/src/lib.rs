//! What we answer of containerd's API, generated from our own description of it: messages, clients and servers, by their
//! packages. `proto/` has containerd's names and numbers, and of its calls those that cAdvisor makes.
#![forbid(unsafe_code)]
#![allow(
    missing_docs,
    rust_2018_idioms,
    clippy::all,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_types,
    reason = "generated"
)]

/// `containerd.services`.
pub mod services {
    /// `containerd.services.version.v1`.
    pub mod version {
        pub mod v1 {
            tonic::include_proto!("containerd.services.version.v1");
        }
    }
    /// `containerd.services.containers.v1`.
    pub mod containers {
        pub mod v1 {
            tonic::include_proto!("containerd.services.containers.v1");
        }
    }
    /// `containerd.services.tasks.v1`.
    pub mod tasks {
        pub mod v1 {
            tonic::include_proto!("containerd.services.tasks.v1");
        }
    }
}

/// `containerd.v1`.
pub mod v1 {
    /// `containerd.v1.types`.
    pub mod types {
        tonic::include_proto!("containerd.v1.types");
    }
}
