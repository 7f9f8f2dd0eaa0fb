use std::{collections::HashMap, sync::Arc};

use ttrpc::asynchronous::Service;

use crate::task::{Task, create_task};

/// The service Task for a server under the name by which containerd 1 calls it: nothing else of it is different.
pub fn create_task_v2(service: Arc<dyn Task + Send + Sync>) -> HashMap<String, Service> {
    create_task(service).into_values().map(|service| ("containerd.task.v2.Task".to_owned(), service)).collect()
}
