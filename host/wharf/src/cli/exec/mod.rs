//! `wharf exec`: a command in a running container, its streams ours.

mod session;
mod terminal;
mod tls;

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result, ensure};
use wharf_admin::proto::StreamCertificateRequest;
use wharf_api::cri::ExecRequest;

use super::{
    Endpoint, client,
    exit::{self, Command},
    find,
    out::{self, errln},
};
use terminal::RawMode;

/// What `docker exec` can and CRI cannot.
const HELP: &str = "\
The command runs as the container's own user, with its environment and in its working folder, and ends when wharf does:
CRI's Exec knows nothing else. In the container, `env NAME=VALUE COMMAND` and `sh -c 'cd FOLDER && COMMAND'` do it.";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Flags {
    /// Hand standard input on
    #[arg(long, short)]
    interactive: bool,
    /// Give the command a terminal
    #[arg(long, short)]
    tty: bool,
    /// The container: its id, the beginning of that, or its name
    container: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
    #[command(flatten)]
    tls: tls::Flags,
    #[command(flatten)]
    pub(in crate::cli) endpoint: Endpoint,
}

/// Ends with the command's own exit code, or with one that says why it could not be run.
pub(super) fn run(flags: Flags) -> Result<()> {
    let program = flags.command.first().cloned().unwrap_or_default();
    let code = client::block_on(exec(flags));
    match code {
        Ok(0) => Ok(()),
        Ok(code) => Err(Command(code).into()),
        // Its command was cut off: that is no success.
        Err(error) if out::is_closed(&error) => Err(Command(exit::BROKEN_PIPE).into()),
        Err(error) => {
            // Who has no daemon, or no container, hears that.
            if exit::code(&error) == exit::FAILED {
                let said = format!("{error:#}");
                errln!("wharf: {said}");
                return Err(Command(exit::of_exec(&said, &program).into()).into());
            }
            Err(error)
        }
    }
}

async fn exec(flags: Flags) -> Result<i32> {
    if flags.tty {
        ensure!(!flags.interactive || std::io::stdin().is_terminal(), "--tty: standard input is no terminal");
    }
    let mut client = client::runtime(&flags.endpoint).await?;
    let found = find::container(&mut client, &flags.container).await.map_err(client::said)?;
    let request = ExecRequest {
        container_id: found.status.context("the daemon's answer has no status")?.id,
        cmd: flags.command,
        tty: flags.tty,
        stdin: flags.interactive,
        stdout: true,
        stderr: !flags.tty,
    };
    let url = client.exec(request).await.map_err(client::said)?.into_inner().url;
    let ran = async {
        let target = session::Target::of(&url)?;
        let certificate = match target.tls && flags.tls.trusts_the_daemon() {
            true => certificate(&flags.endpoint).await?,
            false => Vec::new(),
        };
        let socket = session::connect(&target, &flags.tls, certificate).await?;
        // Given back however this ends.
        let _raw = (flags.tty && flags.interactive).then(RawMode::enter).transpose()?;
        session::run(socket, flags.interactive, flags.tty).await
    };
    ran.await.with_context(|| format!("exec in {}", flags.container))
}

/// What the daemon says that its streams are served with.
async fn certificate(endpoint: &Endpoint) -> Result<Vec<u8>> {
    let mut admin = client::admin(endpoint).await?;
    let reply = admin.stream_certificate(StreamCertificateRequest {}).await.map_err(client::said)?;
    Ok(reply.into_inner().certificate)
}
