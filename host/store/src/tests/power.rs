//! A power cut: what was not flushed may be there, or not, or half.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use redb::StorageBackend;
use wharf_error::Result;

use super::{Images, row};
use crate::{Store, disk::Disk, setup::Place};

/// A disk in memory that keeps apart what is flushed, and is cut off at a given operation.
#[derive(Clone, Debug)]
struct Volatile(Arc<Mutex<Bytes>>);

#[derive(Debug, Default)]
struct Bytes {
    live: Vec<u8>,
    flushed: Vec<u8>,
    /// Offset and bytes of writes since the last flush; growth needs no note.
    unflushed: Vec<(usize, Vec<u8>)>,
    operations: u64,
    cut_at: u64,
    seed: u64,
    /// What the test was told is written, and that at the time of the cut.
    answered: u64,
    cut: Option<(Vec<u8>, u64)>,
}

impl Volatile {
    fn new(content: Vec<u8>, cut_at: u64, seed: u64) -> Self {
        let bytes = Bytes { live: content.clone(), flushed: content, cut_at, seed: seed | 1, ..Bytes::default() };
        Self(Arc::new(Mutex::new(bytes)))
    }

    fn with<R>(&self, run: impl FnOnce(&mut Bytes) -> R) -> R {
        run(&mut self.0.lock().unwrap())
    }
}

impl Bytes {
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    /// At the chosen operation: keeps what a disk could hold if the power went now, sector by sector.
    fn step(&mut self) {
        self.operations += 1;
        if self.operations != self.cut_at {
            return;
        }
        let mut image = self.flushed.clone();
        image.resize(self.live.len(), 0);
        for (offset, data) in std::mem::take(&mut self.unflushed) {
            for (number, sector) in data.chunks(512).enumerate() {
                let start = offset + number * 512;
                if self.random().is_multiple_of(2) && start + sector.len() <= image.len() {
                    image[start..start + sector.len()].copy_from_slice(sector);
                }
            }
        }
        self.cut = Some((image, self.answered));
    }
}

impl Disk for Volatile {
    fn path(&self) -> &Path {
        Path::new("memory.redb")
    }

    fn backend(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(self.clone()))
    }

    fn clear(&self) -> Result<()> {
        self.with(|bytes| bytes.live.clear());
        Ok(())
    }
}

impl StorageBackend for Volatile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|bytes| bytes.live.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.with(|bytes| out.copy_from_slice(&bytes.live[start..start + out.len()]));
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|bytes| {
            bytes.step();
            bytes.live.resize(usize::try_from(len).unwrap(), 0);
        });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|bytes| {
            bytes.step();
            bytes.flushed.clone_from(&bytes.live);
            bytes.unflushed.clear();
        });
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.with(|bytes| {
            bytes.step();
            bytes.live[start..start + data.len()].copy_from_slice(data);
            bytes.unflushed.push((start, data.to_vec()));
        });
        Ok(())
    }
}

fn open(meta: &Volatile, boot: &str) -> Store {
    let state = Volatile::new(Vec::new(), 0, 1);
    Store::open_place(Place { meta: meta.clone(), state, boot: boot.into() }).unwrap()
}

#[test]
fn all_that_was_answered_is_there_after_a_power_cut_and_no_id_comes_twice() {
    const ROWS: u64 = 40;
    let fresh = Volatile::new(Vec::new(), 0, 1);
    drop(open(&fresh, "zero"));
    let content = fresh.with(|bytes| bytes.live.clone());
    let mut cuts = 0;
    for round in 1..130_u64 {
        let disk = Volatile::new(content.clone(), round * 3, round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let store = open(&disk, "one");
        for number in 0..ROWS {
            let change = move |w: &mut crate::Writer<'_>| {
                w.put::<Images>(&format!("a/{number:04}"), &row("image"))?;
                w.reserve_ids("layers", 1)
            };
            assert_eq!(store.write_durable(change).unwrap().start, number + 1);
            disk.with(|bytes| bytes.answered = number + 1);
        }
        drop(store);
        let Some((image, answered)) = disk.with(|bytes| bytes.cut.take()) else { continue };
        cuts += 1;
        let store = open(&Volatile::new(image, 0, 1), "two");
        let rows = store.read(|r| r.list::<Images>("")).unwrap();
        let there = rows.len() as u64;
        assert!((answered..=answered + 1).contains(&there), "round {round}: {answered} answered, {there} there");
        let next = store.write_durable(|w| w.reserve_ids("layers", 1)).unwrap().start;
        assert_eq!(next, there + 1, "round {round}: rows and ids are one transaction");
    }
    assert!(cuts > 50, "only {cuts} cuts hit the writes");
}
