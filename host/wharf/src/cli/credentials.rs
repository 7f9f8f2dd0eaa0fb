//! What a caller pulls with.

use std::io::Read as _;

use anyhow::{Context as _, Result, bail, ensure};
use wharf_api::cri::AuthConfig;
use wharf_registry::{DockerConfig, Reference};

use super::out::errln;

/// Credentials for the image's registry; without any of these, what Docker's config.json of the caller has for it
/// ($DOCKER_CONFIG, else ~/.docker), else what the node has.
#[derive(clap::Args)]
pub(super) struct Flags {
    /// user:password; others on this machine may see it: rather use --password-stdin
    #[arg(long, env = "WHARF_CREDS", hide_env_values = true, value_name = "USER:PASSWORD")]
    creds: Option<String>,
    /// The user whose password comes on standard input; without, Docker's config.json of the caller ($DOCKER_CONFIG, else
    /// ~/.docker) is asked, then what the node has
    #[arg(long, short, requires = "password_stdin", conflicts_with = "creds")]
    username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
}

// === impl Flags ===

impl Flags {
    /// None: it is left to the node.
    pub(super) async fn find(&self, image: &str) -> Result<Option<AuthConfig>> {
        if let Some(username) = &self.username {
            let password = tokio::task::spawn_blocking(password).await??;
            return Ok(Some(AuthConfig { username: username.clone(), password, ..AuthConfig::default() }));
        }
        match self.creds.as_deref().map(|creds| creds.split_once(':')) {
            Some(Some((username, password))) => {
                let (username, password) = (username.to_owned(), password.to_owned());
                Ok(Some(AuthConfig { username, password, ..AuthConfig::default() }))
            }
            Some(None) => bail!("--creds: not user:password"),
            None => Ok(of_docker(image).await),
        }
    }
}

/// As `docker login` takes it: a line break at its end is none of it.
fn password() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).context("--password-stdin: read the password")?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    ensure!(!text.is_empty(), "--password-stdin: standard input is empty");
    Ok(text.to_owned())
}

/// What Docker's configuration of the caller has. One that cannot be used is told, and the node's own may do.
async fn of_docker(image: &str) -> Option<AuthConfig> {
    // A name that cannot be one is for the daemon to refuse.
    let reference: Reference = image.parse().ok()?;
    let found = DockerConfig::of_environment()?.credentials(reference.registry(), reference.repository()).await;
    let auth = found.unwrap_or_else(|error| {
        errln!("wharf: credentials for {}: {error}; trying what the node has", reference.registry());
        None
    })?;
    Some(AuthConfig {
        username: auth.username,
        password: auth.password,
        auth: auth.auth,
        identity_token: auth.identity_token,
        registry_token: auth.registry_token,
        server_address: auth.server_address,
    })
}
