//! Clients at the streams of containers: what CRI's streaming calls are served by.

mod attach;
mod connect;
mod copy;
mod reopen_log;

use async_trait::async_trait;
use tokio::net::TcpStream;
use wharf_error::Result;
use wharf_streaming::{AttachRequest, ExecRequest, Handler, Streams};

pub(crate) use self::{
    connect::inside_network,
    copy::{Ends, Outputs, feed, resize},
};
use crate::{Pods, new_request_id, with_request_id};

#[async_trait]
impl Handler for Pods {
    async fn exec(&self, request: ExecRequest, streams: Streams) -> Result<i32> {
        with_request_id(new_request_id(), self.exec_streaming(request, streams)).await
    }

    async fn attach(&self, request: AttachRequest, streams: Streams) -> Result<()> {
        with_request_id(new_request_id(), self.attach_streaming(request, streams)).await
    }

    async fn connect(&self, pod: &str, port: u16) -> Result<TcpStream> {
        self.connect_to(pod, port).await
    }
}
