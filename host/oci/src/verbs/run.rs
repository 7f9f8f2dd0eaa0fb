use wharf_error::{Result, ResultExt as _};

use super::{delete, start};
use crate::{
    foreground::{Signals, wait},
    make::{Made, Options, end, make},
    report::Report,
    status::look,
    store::Store,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    #[command(flatten)]
    options: Options,
    /// Return when it is started
    #[arg(short, long)]
    detach: bool,
    /// Keep the container when it has ended
    #[arg(long)]
    keep: bool,
    /// Taken for others' sake: orphans of the container are its PID namespace's
    #[arg(long)]
    no_subreaper: bool,
}

pub(crate) fn run(flags: Flags, store: &Store, report: &Report) -> Result<u8> {
    let Flags { options, detach, keep, no_subreaper: _ } = flags;
    let signals = if detach { None } else { Some(Signals::take()?) };
    let made = make(&options, detach, store, report).step(|| "run failed".into())?;
    let Made { folder, record, container, terminal } = made;
    if let Err(error) = look(&folder, &record).and_then(|found| start::start(&folder, &record, found)) {
        end(&container);
        let removed = look(&folder, &record).and_then(|found| delete::delete(folder, &record, &found, report));
        if let Err(left) = removed {
            report.warning(&format!("something of it is left: {left}"));
        }
        return Err(error).step(|| "run failed".into());
    }
    let Some(signals) = signals else { return Ok(0) };
    // Others may look at it, signal it and pause it meanwhile.
    drop(folder);
    let code = wait(container.pidfd(), |signal| container.kill(signal), terminal, &signals)?;
    if !keep {
        match store.locked(&record.id) {
            Ok((folder, record)) => {
                let found = look(&folder, &record)?;
                delete::delete(folder, &record, &found, report)?;
            }
            // Somebody else did.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(code)
}
