use std::path::PathBuf;

use wharf_error::{Error, Result};
use wharf_shim_api::{OciRuntime, OtherShim};

use crate::{Pods, inner::Inner, pod::Pod};

/// What runs the containers of pods that ask for it by name (`runtime_handler`).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Handler {
    /// The runtime in the pods' own shim.
    #[default]
    Native,
    /// A program with runc's command line, driven by the pods' own shim: pods, streams and logs are the same, containers
    /// are that program's.
    Oci {
        /// The program.
        path: PathBuf,
        /// Options before the verb.
        options: Vec<String>,
    },
    /// Another shim of the protocol, driven by the pods' own: pods, streams and logs are the same, containers are that
    /// shim's.
    Shim {
        /// The program.
        path: PathBuf,
        /// For one of runc's kind: the OCI runtime that it runs, if not the one it finds.
        binary: Option<PathBuf>,
        /// For any other: the file that configures it.
        config: Option<PathBuf>,
    },
}

/// Who makes the containers of a pod.
pub(crate) enum Maker {
    /// The pod's own shim.
    Shim,
    /// A command line, which it runs.
    Oci(OciRuntime),
    /// Another shim, which it runs.
    Other(OtherShim),
}

// === impl Pods ===

impl Pods {
    /// Whether a pod or an image may name this handler; the empty name is the default one's.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, with the names that there are.
    pub fn check_handler(&self, name: &str) -> Result<()> {
        self.inner.handler(name).map(drop)
    }
}

// === impl Inner ===

impl Inner {
    /// The handler of this name; the empty name is the default one's.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, with the names that there are.
    pub(crate) fn handler(&self, name: &str) -> Result<&Handler> {
        let name = if name.is_empty() { self.config.default_handler.as_str() } else { name };
        self.config.handlers.get(name).ok_or_else(|| {
            let known: Vec<_> = self.config.handlers.keys().map(|name| format!("{name:?}")).collect();
            Error::invalid(format!("no runtime for {name:?} is configured"))
                .hint(format!("this node has the runtime handlers {}", known.join(", ")))
        })
    }

    /// Who makes a pod's containers. Its state is the pod's, and goes with it.
    pub(crate) fn maker(&self, pod: &Pod) -> Result<Maker> {
        let root = self.pod_dir(&pod.id).join("oci");
        Ok(match self.handler(&pod.runtime_handler)? {
            Handler::Native => Maker::Shim,
            Handler::Oci { path, options } => {
                Maker::Oci(OciRuntime { path: path.clone(), options: options.clone(), root })
            }
            Handler::Shim { path, binary, config } => {
                let (binary, config) = (binary.clone(), config.clone());
                Maker::Other(OtherShim { path: path.clone(), binary, config, root })
            }
        })
    }
}
