use std::path::{Path, PathBuf};

use containerd_shim_protos::shim::oci::Options;
use protobuf::{CodedOutputStream, Message, well_known_types::any::Any};
use serde::{Deserialize, Serialize};
use ttrpc::{asynchronous::Client, context::Context, proto::Request};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::to_proto;

/// How the programs of shims of runc's kind are called.
const OF_RUNC: &str = "containerd-shim-runc-";

/// Another shim of the protocol.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct OtherShim {
    /// The program.
    pub path: PathBuf,
    /// For one of runc's kind (`containerd-shim-runc-v2`): the OCI runtime that it runs, if not the one it finds.
    pub binary: Option<PathBuf>,
    /// For any other: the file that configures it.
    pub config: Option<PathBuf>,
    /// Where one of runc's kind has its OCI runtime keep its state.
    pub root: PathBuf,
}

/// How a shim that was started is spoken to: what its `start` prints.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bootstrap {
    /// The version of the service Task, 2 or 3.
    pub version: u32,
    /// `unix:///path`.
    pub address: String,
    /// `ttrpc`.
    pub protocol: String,
}

/// The service Task of another shim, by the name of its version: 2 and 3 differ in nothing else.
#[derive(Clone)]
pub struct OtherTasks {
    client: Client,
    service: &'static str,
}

// === impl OtherShim ===

impl OtherShim {
    /// The options that it is given at its start and with each container, if any.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a path that is no text.
    pub fn options(&self) -> Result<Option<Any>> {
        if self.is_of_runc() {
            let mut options = Options { root: text(&self.root)?, ..Options::default() };
            if let Some(binary) = &self.binary {
                options.binary_name = text(binary)?;
            }
            return to_proto("containerd.runc.v1", &options).map(Some);
        }
        let Some(config) = &self.config else { return Ok(None) };
        // runtimeoptions.v1.Options, whose second field is the path.
        let mut value = Vec::new();
        let mut encoder = CodedOutputStream::vec(&mut value);
        let encoded = encoder.write_string(2, &text(config)?).and_then(|()| encoder.flush());
        drop(encoder);
        encoded.step(|| "encode the options of a shim".into())?;
        Ok(Some(Any { type_url: "runtimeoptions.v1.Options".into(), value, ..Any::default() }))
    }

    /// The same as its program reads them on its input; empty where there are none.
    ///
    /// # Errors
    ///
    /// As [`OtherShim::options`].
    pub fn encoded_options(&self) -> Result<Vec<u8>> {
        let Some(options) = self.options()? else { return Ok(Vec::new()) };
        options.write_to_bytes().step(|| "encode the options of a shim".into())
    }

    /// Whether it takes the options of containerd's own shims of runc.
    pub fn is_of_runc(&self) -> bool {
        self.path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(OF_RUNC.as_bytes()))
    }
}

// === impl Bootstrap ===

impl Bootstrap {
    /// Reads what `start` prints: JSON, or an address alone, which means version 2.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a protocol or version that we do not speak.
    pub fn parse(printed: &str) -> Result<Self> {
        let printed = printed.trim();
        let parsed = if printed.starts_with('{') {
            serde_json::from_str(printed).step(|| format!("what a shim's start prints ({printed})"))?
        } else {
            Self { version: 2, address: printed.into(), protocol: "ttrpc".into() }
        };
        if parsed.protocol != "ttrpc" || !(2..=3).contains(&parsed.version) {
            let what = format!("a shim that speaks {} of version {}", parsed.protocol, parsed.version);
            return Err(Error::new(Kind::Unsupported, what).hint("ttrpc of version 2 or 3 is known"));
        }
        Ok(parsed)
    }
}

// === impl OtherTasks ===

impl OtherTasks {
    /// Over a connection to a shim that has said how it is spoken to.
    pub fn new(client: Client, bootstrap: &Bootstrap) -> Self {
        let service = if bootstrap.version == 2 { "containerd.task.v2.Task" } else { "containerd.task.v3.Task" };
        Self { client, service }
    }

    /// One call, by its method's name.
    ///
    /// # Errors
    ///
    /// As the shim says, or for the connection.
    pub async fn ask<Q: Message, A: Message>(&self, context: Context, method: &str, request: &Q) -> ttrpc::Result<A> {
        let other = |error: protobuf::Error| ttrpc::Error::Others(format!("{method}: {error}"));
        let asked = Request {
            service: self.service.to_owned(),
            method: method.to_owned(),
            timeout_nano: context.timeout_nano,
            metadata: ttrpc::context::to_pb(context.metadata),
            payload: request.write_to_bytes().map_err(other)?,
            ..Request::default()
        };
        let response = self.client.request(asked).await?;
        A::parse_from_bytes(&response.payload).map_err(other)
    }
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| Error::invalid(format!("path {path:?}: not text")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_answers_of_a_start_are_read() {
        let plain = Bootstrap::parse("unix:///run/s/x\n").unwrap();
        assert_eq!((plain.version, plain.address.as_str()), (2, "unix:///run/s/x"));
        let json = Bootstrap::parse(r#"{"version":3,"address":"unix:///run/s/y","protocol":"ttrpc"}"#).unwrap();
        assert_eq!((json.version, json.address.as_str()), (3, "unix:///run/s/y"));
        for bad in [
            r#"{"version":3,"address":"unix:///x","protocol":"grpc"}"#,
            r#"{"version":4,"address":"","protocol":"ttrpc"}"#,
        ] {
            assert_eq!(Bootstrap::parse(bad).unwrap_err().kind(), Kind::Unsupported, "{bad}");
        }
        assert!(Bootstrap::parse("{").is_err());
    }

    #[test]
    fn options_are_of_the_shims_kind() {
        let runc = OtherShim {
            path: "/usr/bin/containerd-shim-runc-v2".into(),
            binary: Some("/usr/sbin/runc".into()),
            root: "/r".into(),
            ..OtherShim::default()
        };
        let any = runc.options().unwrap().unwrap();
        assert_eq!(any.type_url, "containerd.runc.v1.Options");
        let options = Options::parse_from_bytes(&any.value).unwrap();
        assert_eq!((options.binary_name.as_str(), options.root.as_str()), ("/usr/sbin/runc", "/r"));
        let kata = OtherShim { path: "/usr/bin/containerd-shim-kata-v2".into(), ..OtherShim::default() };
        assert_eq!(kata.options().unwrap(), None);
        let any = OtherShim { config: Some("/c".into()), ..kata }.options().unwrap().unwrap();
        assert_eq!(
            (any.type_url.as_str(), any.value.as_slice()),
            ("runtimeoptions.v1.Options", b"\x12\x02/c".as_slice())
        );
    }
}
