use std::collections::BTreeMap;

use crate::{LayerId, Place, layer_dir::Access};

/// The plugin's folder: directories by layer and path.
#[derive(Debug, Default)]
pub struct Tree {
    pub(super) nodes: BTreeMap<(LayerId, String), Node>,
}

/// A directory with what can be set on it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) access: Access,
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
}

// === impl Tree ===

impl Tree {
    /// Puts a directory there, and those above it.
    pub fn put(&mut self, at: &Place, access: Access) {
        for (end, _) in at.path.match_indices('/') {
            let above = (at.layer, at.path[..end].to_owned());
            self.nodes.entry(above).or_insert_with(Node::for_root);
        }
        if !at.path.is_empty() {
            self.nodes.entry((at.layer, String::new())).or_insert_with(Node::for_root);
        }
        self.nodes.entry(key(at)).or_insert_with(Node::for_root).access = access;
    }

    /// Owner and mode of what is there.
    pub fn access(&self, at: &Place) -> Option<Access> {
        self.nodes.get(&key(at)).map(|node| node.access)
    }

    /// Every place, in order.
    pub fn places(&self) -> Vec<Place> {
        self.nodes.keys().map(|(layer, path)| Place::new(*layer, path.clone())).collect()
    }

    /// What is at a place and below it.
    pub(super) fn below(&self, at: &Place) -> Vec<(LayerId, String)> {
        let prefix = format!("{}/", at.path);
        let inside = |path: &str| at.path.is_empty() || path == at.path || path.starts_with(&prefix);
        self.nodes.keys().filter(|(layer, path)| *layer == at.layer && inside(path)).cloned().collect()
    }
}

// === impl Node ===

impl Node {
    fn for_root() -> Self {
        Self { access: Access { mode: 0o700, uid: 0, gid: 0 }, xattrs: BTreeMap::new() }
    }
}

pub(super) fn key(at: &Place) -> (LayerId, String) {
    (at.layer, at.path.clone())
}
