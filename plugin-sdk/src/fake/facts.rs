use crate::{IdRange, Kind, LayerId};

/// What the fake host says of a layer.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its number.
    pub id: LayerId,
    /// What it is.
    pub kind: Kind,
    /// Nearest first.
    pub parents: Vec<LayerId>,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Bytes that it may grow to.
    pub quota: Option<u64>,
    /// Mapped user ids.
    pub uid_map: Vec<IdRange>,
    /// Mapped group ids.
    pub gid_map: Vec<IdRange>,
}

// === impl Facts ===

impl Facts {
    /// A layer with these parents and nothing else.
    pub fn new(id: LayerId, kind: Kind, parents: &[LayerId]) -> Self {
        let parents = parents.to_vec();
        Self { id, kind, parents, labels: Vec::new(), quota: None, uid_map: Vec::new(), gid_map: Vec::new() }
    }

    pub(crate) fn id(&self) -> LayerId {
        self.id
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn parents(&self) -> Vec<LayerId> {
        self.parents.clone()
    }

    pub(crate) fn labels(&self) -> Vec<(String, String)> {
        self.labels.clone()
    }

    pub(crate) fn quota(&self) -> Option<u64> {
        self.quota
    }

    pub(crate) fn uid_map(&self) -> Vec<IdRange> {
        self.uid_map.clone()
    }

    pub(crate) fn gid_map(&self) -> Vec<IdRange> {
        self.gid_map.clone()
    }
}
