//! `wharf.shim.v1.Streams`: what a shim does with a container's streams that containerd's protocol has no word for.
//!
//! A service of our own beside Task, on the same socket. Its messages are JSON: a shim is too small for a second set
//! of generated ones.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use ttrpc::{
    Code, Request, Response,
    asynchronous::{Client, MethodHandler, Service, TtrpcContext},
    context::Context,
    error::{get_rpc_status, get_status},
};

use crate::ImageMount;

const SERVICE: &str = "wharf.shim.v1.Streams";

/// A client that wants to read and write along with a running container.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct AttachRequest {
    /// The container.
    pub container: String,
    /// A FIFO that the caller made: what is written to it becomes the container's input. The shim removes the file
    /// of each of the three once it has opened it, so that none is left by a caller that is killed.
    pub stdin: Option<PathBuf>,
    /// A FIFO that gets a copy of what the container prints from now on.
    pub stdout: Option<PathBuf>,
    /// The same for its errors; of a container with a terminal there is nothing to copy.
    pub stderr: Option<PathBuf>,
}

/// Why an attachment has come to its end.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttachEnd {
    /// The container, or its output, has ended, and all of it was copied.
    Ended,
    /// The caller has closed its ends.
    Detached,
    /// The caller read so slowly that the container would have had to wait for it.
    TooSlow,
}

/// The end of an attachment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AttachResponse {
    /// Why it ended.
    pub end: AttachEnd,
}

/// A container whose log file was moved away.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ReopenLogRequest {
    /// The container.
    pub container: String,
}

/// Images that a container is going to mount.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct CheckMountsRequest {
    /// The snapshotter's root folder.
    pub root: PathBuf,
    /// The images.
    pub image_mounts: Vec<ImageMount>,
}

/// Nothing more to say.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Done {}

/// The service.
#[async_trait]
pub trait Streams: Send + Sync {
    /// Copies between FIFOs and a container's streams, and answers at the end of that.
    async fn attach(&self, context: &TtrpcContext, request: AttachRequest) -> ttrpc::Result<AttachResponse>;

    /// Goes on in a new log file under the old one's name. On an error the old file is written on, and no new one is
    /// there.
    async fn reopen_log(&self, context: &TtrpcContext, request: ReopenLogRequest) -> ttrpc::Result<Done>;

    /// Mounts images where nobody sees it, and takes them away again: an error says which cannot be mounted, and why.
    async fn check_mounts(&self, context: &TtrpcContext, request: CheckMountsRequest) -> ttrpc::Result<Done>;
}

/// The service for a server.
pub fn create_streams(service: Arc<dyn Streams>) -> HashMap<String, Service> {
    let methods: HashMap<String, Box<dyn MethodHandler + Send + Sync>> = HashMap::from([
        ("Attach".to_owned(), Box::new(Attach(service.clone())) as _),
        ("CheckMounts".to_owned(), Box::new(CheckMounts(service.clone())) as _),
        ("ReopenLog".to_owned(), Box::new(ReopenLog(service)) as _),
    ]);
    HashMap::from([(SERVICE.to_owned(), Service { methods, streams: HashMap::new() })])
}

/// The service's client.
#[derive(Clone)]
pub struct StreamsClient(Client);

struct Attach(Arc<dyn Streams>);

struct ReopenLog(Arc<dyn Streams>);

struct CheckMounts(Arc<dyn Streams>);

// === impl StreamsClient ===

impl StreamsClient {
    /// Over a connection to a shim.
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// See [`Streams::attach`]. The shim ends the attachment when the caller closes its ends of the FIFOs; dropping
    /// this call alone does not.
    pub async fn attach(&self, context: Context, request: &AttachRequest) -> ttrpc::Result<AttachResponse> {
        self.ask(context, "Attach", request).await
    }

    /// See [`Streams::reopen_log`].
    pub async fn reopen_log(&self, context: Context, request: &ReopenLogRequest) -> ttrpc::Result<()> {
        self.ask::<_, Done>(context, "ReopenLog", request).await.map(drop)
    }

    /// See [`Streams::check_mounts`].
    pub async fn check_mounts(&self, context: Context, request: &CheckMountsRequest) -> ttrpc::Result<()> {
        self.ask::<_, Done>(context, "CheckMounts", request).await.map(drop)
    }

    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        context: Context,
        method: &str,
        request: &Q,
    ) -> ttrpc::Result<A> {
        let payload = serde_json::to_vec(request).map_err(|error| ttrpc::Error::Others(error.to_string()))?;
        let request = Request {
            service: SERVICE.to_owned(),
            method: method.to_owned(),
            timeout_nano: context.timeout_nano,
            metadata: ttrpc::context::to_pb(context.metadata),
            payload,
            ..Request::default()
        };
        let response = self.0.request(request).await?;
        serde_json::from_slice(&response.payload).map_err(|error| ttrpc::Error::Others(error.to_string()))
    }
}

// === impl MethodHandler ===

#[async_trait]
impl MethodHandler for Attach {
    async fn handler(&self, context: TtrpcContext, request: Request) -> ttrpc::Result<Response> {
        let asked = decode(&request)?;
        Ok(answer(self.0.attach(&context, asked).await))
    }
}

#[async_trait]
impl MethodHandler for ReopenLog {
    async fn handler(&self, context: TtrpcContext, request: Request) -> ttrpc::Result<Response> {
        let asked = decode(&request)?;
        Ok(answer(self.0.reopen_log(&context, asked).await))
    }
}

#[async_trait]
impl MethodHandler for CheckMounts {
    async fn handler(&self, context: TtrpcContext, request: Request) -> ttrpc::Result<Response> {
        let asked = decode(&request)?;
        Ok(answer(self.0.check_mounts(&context, asked).await))
    }
}

fn decode<Q: DeserializeOwned>(request: &Request) -> ttrpc::Result<Q> {
    let broken = |error| get_rpc_status(Code::INVALID_ARGUMENT, format!("{}: {error}", request.method));
    serde_json::from_slice(&request.payload).map_err(broken)
}

fn answer<A: Serialize>(result: ttrpc::Result<A>) -> Response {
    let encoded = result.and_then(|answer| {
        serde_json::to_vec(&answer).map_err(|error| get_rpc_status(Code::INTERNAL, format!("encode: {error}")))
    });
    let mut response = Response::default();
    match encoded {
        Ok(payload) => {
            response.set_status(get_status(Code::OK, ""));
            response.payload = payload;
        }
        Err(ttrpc::Error::RpcStatus(status)) => response.set_status(status),
        Err(error) => response.set_status(get_status(Code::UNKNOWN, error.to_string())),
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{call, connect, from_status};
    use std::time::Duration;
    use ttrpc::asynchronous::Server;
    use wharf_error::Kind;

    struct Fake;

    #[async_trait]
    impl Streams for Fake {
        async fn attach(&self, _: &TtrpcContext, request: AttachRequest) -> ttrpc::Result<AttachResponse> {
            assert_eq!(request.stdout.as_deref(), Some(std::path::Path::new("/out")));
            assert_eq!(request.stdin, None);
            Ok(AttachResponse { end: AttachEnd::TooSlow })
        }

        async fn reopen_log(&self, _: &TtrpcContext, request: ReopenLogRequest) -> ttrpc::Result<Done> {
            Err(crate::to_status(&wharf_error::Error::not_found("container", request.container)))
        }

        async fn check_mounts(&self, _: &TtrpcContext, request: CheckMountsRequest) -> ttrpc::Result<Done> {
            assert_eq!(request.image_mounts[0].sub_path, std::path::Path::new("a/b"));
            Ok(Done {})
        }
    }

    #[tokio::test]
    async fn answers_and_errors_cross_the_wire() {
        let dir = tempfile::tempdir().unwrap();
        let address = format!("unix://{}", dir.path().join("s").display());
        let mut server = Server::new().bind(&address).unwrap().register_service(create_streams(Arc::new(Fake)));
        server.start().await.unwrap();
        let client = StreamsClient::new(connect(&address).await.unwrap());
        let context = || call(Duration::from_secs(5), "r");
        let request = AttachRequest { container: "web".into(), stdout: Some("/out".into()), ..Default::default() };
        assert_eq!(client.attach(context(), &request).await.unwrap().end, AttachEnd::TooSlow);
        let request = ReopenLogRequest { container: "gone".into() };
        let error = client.reopen_log(context(), &request).await.unwrap_err();
        assert_eq!(from_status("reopen", error).kind(), Kind::NotFound);
        let mount = ImageMount { sub_path: "a/b".into(), ..Default::default() };
        let request = CheckMountsRequest { root: "/layers".into(), image_mounts: vec![mount] };
        client.check_mounts(context(), &request).await.unwrap();
        server.shutdown().await.unwrap();
    }
}
