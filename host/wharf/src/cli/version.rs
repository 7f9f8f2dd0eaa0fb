use anyhow::Result;

use super::{Endpoint, client};

pub(super) fn run(endpoint: &Endpoint) -> Result<()> {
    println!("wharf    {}", env!("CARGO_PKG_VERSION"));
    let answer = client::block_on(client::daemon_version(&endpoint.socket));
    match answer {
        Ok(version) => println!("daemon   {version}"),
        Err(error) => println!("daemon   {error:#}"),
    }
    Ok(())
}
