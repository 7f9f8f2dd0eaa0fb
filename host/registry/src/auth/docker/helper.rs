use std::{process::Stdio, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::Auth;

/// Helpers of clouds ask a server of theirs.
const DEADLINE: Duration = Duration::from_secs(30);
const MAX_ANSWER: u64 = 1 << 20;
const MAX_SAID: usize = 300;
/// The user name that stands for "the secret is an identity token".
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks `docker-credential-NAME get` for a server: its name on standard input, a JSON document on standard output.
/// None where it says that it has none.
pub(super) async fn get(name: &str, server: &str) -> Result<Option<Auth>> {
    if name.contains(['/', '\0']) {
        return Err(Error::new(Kind::FailedPrecondition, format!("credential helper {name:?}: no name of a program")));
    }
    let program = format!("docker-credential-{name}");
    let what = || format!("{program}: ask for credentials of {server}");
    let asked = tokio::time::timeout(DEADLINE, ask(&program, server)).await;
    let (succeeded, answer) = asked
        .map_err(|_| Error::new(Kind::DeadlineExceeded, format!("no answer within {DEADLINE:?}")))
        .and_then(|asked| asked)
        .step(what)?;
    if succeeded {
        // The text of a parse error could quote the secret.
        let answer: Answer = serde_json::from_slice(&answer)
            .map_err(|_| Error::new(Kind::FailedPrecondition, "its answer is no JSON of ServerURL, Username, Secret"))
            .step(what)?;
        return Ok(auth(answer));
    }
    let said = String::from_utf8_lossy(&answer);
    let said: String = said.trim().chars().filter(|c| !c.is_control()).take(MAX_SAID).collect();
    if said.contains("credentials not found") {
        return Ok(None);
    }
    let said = if said.is_empty() { "it fails without a word".to_owned() } else { format!("it says: {said}") };
    Err(Error::new(Kind::FailedPrecondition, said)).step(what)
}

async fn ask(program: &str, server: &str) -> Result<(bool, Vec<u8>)> {
    let failed = |step: &'static str| move || step.to_owned();
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .step_as(Kind::FailedPrecondition, failed("start it"))?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not listen answers all the same.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(MAX_ANSWER).read_to_end(&mut answer).await.step(failed("read its answer"))?;
    }
    let status = child.wait().await.step(failed("wait for its end"))?;
    Ok((status.success(), answer))
}

fn auth(answer: Answer) -> Option<Auth> {
    match answer {
        Answer { secret, .. } if secret.is_empty() => None,
        Answer { username, secret } if username == TOKEN_USER => {
            Some(Auth { identity_token: secret, ..Auth::default() })
        }
        Answer { username, secret } => Some(Auth { username, password: secret, ..Auth::default() }),
    }
}
