use std::{sync::Arc, time::Duration};

use wharf_shim_api::{
    call,
    task::{WaitRequest, WaitResponse},
};

use super::server::Server;

/// What a process counts as whose shim has died.
const KILLED: i32 = 137;

/// How the end of one of its processes is heard of.
#[derive(Clone)]
pub struct Told {
    server: Arc<Server>,
    request: WaitRequest,
}

// === impl Told ===

impl Told {
    pub fn new(server: &Arc<Server>, id: &str, exec_id: &str) -> Self {
        let request = WaitRequest { id: id.to_owned(), exec_id: exec_id.to_owned(), ..WaitRequest::default() };
        Self { server: server.clone(), request }
    }

    /// Waits for the end, as long as it takes; the exit code, also when the shim dies meanwhile.
    pub async fn wait(&self) -> i32 {
        let answer = self.server.tasks.ask::<_, WaitResponse>(call(Duration::ZERO, ""), "Wait", &self.request).await;
        match answer {
            Ok(answer) => i32::try_from(answer.exit_status).unwrap_or(255),
            Err(error) => {
                tracing::error!(container = self.request.id, %error, "its end was not heard of");
                KILLED
            }
        }
    }
}
