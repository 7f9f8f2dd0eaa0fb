use std::marker::PhantomData;

use crate::{
    Code, Error, Features, Layer, LayerId, Plan, Result, Snapshotter, Usage,
    bindings::{
        exports::wharf::{
            host::plugin::{self, Description, Problem},
            snapshotter::snapshotter,
        },
        wharf::{host::config, snapshotter::storage},
    },
};

/// Puts a [`Snapshotter`] behind the exports of the contract.
pub struct Adapter<T>(PhantomData<T>);

impl<T: Snapshotter> plugin::Guest for Adapter<T> {
    fn describe() -> Description {
        let ours = T::describe();
        Description { asks: ours.asks, config_schema: ours.config_schema, extra: ours.extra }
    }

    fn check_config(config: String) -> std::result::Result<(), Vec<Problem>> {
        let problems = match serde_json::from_str::<T::Config>(&config) {
            Ok(config) => T::check_config(&config),
            Err(error) => vec![crate::Problem { at: String::new(), message: plain(&error) }],
        };
        if problems.is_empty() {
            return Ok(());
        }
        Err(problems.into_iter().map(|problem| Problem { at: problem.at, message: problem.message }).collect())
    }
}

impl<T: Snapshotter> snapshotter::Guest for Adapter<T> {
    fn probe() -> Result<Features> {
        plugin::<T>()?.probe()
    }

    fn prepare(layer: storage::Layer, plan: storage::Plan) -> Result<()> {
        plugin::<T>()?.prepare(&Layer::new(layer), &Plan::new(plan))
    }

    fn mounts(layer: storage::Layer, plan: storage::Plan) -> Result<()> {
        plugin::<T>()?.mounts(&Layer::new(layer), &Plan::new(plan))
    }

    fn commit(layer: storage::Layer) -> Result<Usage> {
        plugin::<T>()?.commit(&Layer::new(layer))
    }

    fn remove(layer: LayerId) -> Result<()> {
        plugin::<T>()?.remove(layer)
    }

    fn measure(layer: storage::Layer) -> Result<Usage> {
        plugin::<T>()?.measure(&Layer::new(layer))
    }

    fn layers() -> Result<Vec<LayerId>> {
        plugin::<T>()?.layers()
    }
}

fn plugin<T: Snapshotter>() -> Result<T> {
    let config = serde_json::from_str(&config::get())
        .map_err(|error| Error::new(Code::InvalidArgument, format!("configuration: {}", plain(&error))))?;
    Ok(T::new(config))
}

/// The place in a JSON text that no person wrote is noise.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}
