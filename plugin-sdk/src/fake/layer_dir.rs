//! The fake's side of `layer-dir`; a plugin calls [`crate::layer_dir`].

use super::{
    State,
    tree::{Node, key},
    with,
};
use crate::{Code, Error, LayerId, Place, Result, Usage, layer_dir::Access};

pub(crate) fn make(at: &Place, access: Access) -> Result<()> {
    granted(|state| {
        state.tree.put(at, access);
        Ok(())
    })
}

pub(crate) fn get_access(at: &Place) -> Result<Access> {
    granted(|state| Ok(node(state, at)?.access))
}

pub(crate) fn set_access(at: &Place, access: Access) -> Result<()> {
    granted(|state| {
        node(state, at)?.access = access;
        Ok(())
    })
}

pub(crate) fn get_xattr(at: &Place, name: &str) -> Result<Option<Vec<u8>>> {
    granted(|state| Ok(node(state, at)?.xattrs.get(name).cloned()))
}

pub(crate) fn set_xattr(at: &Place, name: &str, value: &[u8]) -> Result<()> {
    granted(|state| {
        if !name.starts_with("trusted.") && !name.starts_with("user.") {
            return Err(Error::new(Code::NotGranted, format!("xattr {name}: the kernel's own")));
        }
        node(state, at)?.xattrs.insert(name.to_owned(), value.to_owned());
        Ok(())
    })
}

pub(crate) fn rename(source: &Place, target: &Place) -> Result<()> {
    granted(|state| {
        node(state, source)?;
        absent(state, target)?;
        for from in state.tree.below(source) {
            if let Some(node) = state.tree.nodes.remove(&from) {
                state.tree.nodes.insert(moved(&from, source, target), node);
            }
        }
        Ok(())
    })
}

pub(crate) fn copy_tree(source: &Place, target: &Place) -> Result<Usage> {
    granted(|state| {
        node(state, source)?;
        absent(state, target)?;
        let below = state.tree.below(source);
        for from in &below {
            if let Some(node) = state.tree.nodes.get(from).cloned() {
                state.tree.nodes.insert(moved(from, source, target), node);
            }
        }
        Ok(usage(below.len()))
    })
}

pub(crate) fn remove(at: &Place) -> Result<()> {
    granted(|state| {
        for gone in state.tree.below(at) {
            state.tree.nodes.remove(&gone);
        }
        Ok(())
    })
}

pub(crate) fn measure(at: &Place) -> Result<Usage> {
    granted(|state| {
        node(state, at)?;
        Ok(usage(state.tree.below(at).len()))
    })
}

pub(crate) fn layers() -> Result<Vec<LayerId>> {
    granted(|state| {
        let mut layers: Vec<_> = state.tree.nodes.keys().map(|(layer, _)| *layer).collect();
        layers.dedup();
        Ok(layers)
    })
}

fn granted<R>(work: impl FnOnce(&mut State) -> Result<R>) -> Result<R> {
    with(|state| {
        if state.refused {
            return Err(Error::new(Code::NotGranted, "layer-dir is refused"));
        }
        work(state)
    })
}

fn node<'a>(state: &'a mut State, at: &Place) -> Result<&'a mut Node> {
    let missing = || Error::new(Code::NotFound, format!("{}/{}", at.layer, at.path));
    state.tree.nodes.get_mut(&key(at)).ok_or_else(missing)
}

fn absent(state: &State, at: &Place) -> Result<()> {
    match state.tree.access(at) {
        Some(_) => Err(Error::new(Code::AlreadyExists, format!("{}/{}", at.layer, at.path))),
        None => Ok(()),
    }
}

fn moved(from: &(LayerId, String), source: &Place, target: &Place) -> (LayerId, String) {
    let rest = from.1[source.path.len()..].trim_start_matches('/');
    let path = [target.path.as_str(), rest].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    (target.layer, path)
}

/// A directory of the fake takes a block.
fn usage(nodes: usize) -> Usage {
    let inodes = nodes as u64;
    Usage { bytes: inodes * 4096, inodes }
}
