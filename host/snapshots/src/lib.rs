//! Names, parents and life of snapshots, decided by a snapshotter plugin.
