use tonic::service::Routes;
use wharf_containerd_api::services::{
    containers::v1::containers_server::ContainersServer, tasks::v1::tasks_server::TasksServer,
    version::v1::version_server::VersionServer,
};
use wharf_pods::Pods;

use crate::{containers::Containers, tasks::Tasks, version::Version};

/// The services over these pods, to be added to a server. `snapshotter` is what keeps their roots.
pub fn routes(pods: Pods, snapshotter: String) -> Routes {
    Routes::new(VersionServer::new(Version))
        .add_service(ContainersServer::new(Containers { pods: pods.clone(), snapshotter }))
        .add_service(TasksServer::new(Tasks { pods }))
}
