use wharf_error::{Result, ResultExt as _};

use crate::{
    make::{Options, make},
    report::Report,
    store::Store,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(flags: Flags, store: &Store, report: &Report) -> Result<u8> {
    let Flags { options } = flags;
    make(&options, true, store, report).step(|| "create failed".into())?;
    Ok(0)
}
