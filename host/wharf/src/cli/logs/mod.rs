//! `wharf logs`: a container's log, from the file that its supervisor writes.

mod follow;
mod line;
mod tail;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use wharf_api::cri::ContainerStatusRequest;

use super::{
    Endpoint, client,
    find::{self, Runtime},
    out,
};
use follow::Follower;
use line::Line;

#[derive(clap::Args)]
pub(super) struct Flags {
    /// The container: its id, the beginning of that, or its name
    container: String,
    /// Go on until the container ends
    #[arg(long, short)]
    follow: bool,
    /// Only so many lines from the end
    #[arg(long, short = 'n', value_name = "LINES")]
    tail: Option<usize>,
    /// Only what is newer: a time like 2026-01-02T03:04:05Z, or an age like 90s, 15m, 2h, 1d
    #[arg(long, value_parser = since)]
    since: Option<OffsetDateTime>,
    /// Print each line's time
    #[arg(long, short)]
    timestamps: bool,
    #[command(flatten)]
    pub(in crate::cli) endpoint: Endpoint,
}

pub(super) fn run(flags: Flags) -> Result<()> {
    client::block_on(show(flags))
}

async fn show(flags: Flags) -> Result<()> {
    let mut client = client::runtime(&flags.endpoint).await?;
    let found = find::container(&mut client, &flags.container).await.map_err(client::said)?;
    let status = found.status.context("the daemon's answer has no status")?;
    if status.log_path.is_empty() {
        bail!("container {} was made without a log", status.id);
    }
    let path = PathBuf::from(&status.log_path);
    let mut follower = Follower::open(&path, flags.tail)?;
    let printer = Printer { since: flags.since, timestamps: flags.timestamps };
    loop {
        // Asked before it is read: what was written until then is shown.
        let running = flags.follow && is_running(&mut client, &status.id).await?;
        while let Some(line) = follower.next()? {
            printer.print(&line)?;
        }
        if !running {
            return Ok(());
        }
        follower.wait().await;
    }
}

async fn is_running(client: &mut Runtime, id: &str) -> Result<bool> {
    use wharf_api::cri::ContainerState;
    let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
    match client.container_status(request).await {
        Ok(answer) => {
            let state = answer.into_inner().status.map(|status| status.state());
            Ok(matches!(state, Some(ContainerState::ContainerRunning | ContainerState::ContainerCreated)))
        }
        Err(status) if status.code() == tonic::Code::NotFound => Ok(false),
        // A daemon that restarts takes no log with it.
        Err(status) if status.code() == tonic::Code::Unavailable => Ok(true),
        Err(status) => Err(client::said(status)),
    }
}

struct Printer {
    since: Option<OffsetDateTime>,
    timestamps: bool,
}

// === impl Printer ===

impl Printer {
    /// Errors of the container go where errors go.
    fn print(&self, line: &Line<'_>) -> Result<()> {
        if self.since.is_some_and(|since| line.time().is_some_and(|time| time < since)) {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(line.timestamp.len() + line.text.len() + 2);
        if self.timestamps {
            bytes.extend_from_slice(line.timestamp.as_bytes());
            bytes.push(b' ');
        }
        bytes.extend_from_slice(line.text);
        // A part of a long line goes on in the next; with times each is shown for itself.
        if line.ends || self.timestamps {
            bytes.push(b'\n');
        }
        if line.stderr { out::stderr(&bytes) } else { out::stdout(&bytes) }
    }
}

fn since(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time);
    }
    let age = text.split_at_checked(text.len().saturating_sub(1)).and_then(|(number, unit)| {
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        Some(Duration::seconds(number.parse::<i64>().ok()?.checked_mul(seconds)?))
    });
    let age = age.ok_or("neither a time like 2026-01-02T03:04:05Z nor an age like 90s, 15m, 2h, 1d")?;
    OffsetDateTime::now_utc().checked_sub(age).ok_or_else(|| "too long ago".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_times_are_read() {
        assert_eq!(since("2026-01-02T03:04:05Z").unwrap().unix_timestamp(), 1_767_323_045);
        let then = since("1h").unwrap();
        let hour = OffsetDateTime::now_utc() - then;
        assert!((3600..3700).contains(&hour.whole_seconds()));
        for bad in ["", "h", "1w", "yesterday", "é"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
