use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt as _};

use anyhow::{Context as _, Result, ensure};

/// What a disk writes whole or not at all.
pub const SECTOR: u64 = 512;
const LENGTH: usize = 512;

/// A disk, and what it was given and has not written.
#[derive(Debug)]
pub struct Cache {
    file: File,
    size: u64,
    /// The newest bytes of sectors, by number.
    unwritten: BTreeMap<u64, [u8; LENGTH]>,
    /// With so many sectors that are not flushed the power goes.
    limit: Option<usize>,
    gone: bool,
}

// === impl Cache ===

impl Cache {
    pub fn new(file: File) -> Result<Self> {
        let size = file.metadata().context("look at the disk")?.len();
        ensure!(size % SECTOR == 0, "the disk has {size} bytes, which is no number of sectors");
        Ok(Self { file, size, unwritten: BTreeMap::new(), limit: None, gone: false })
    }

    /// The power goes as soon as so many sectors are not flushed.
    pub fn cut_at(&mut self, unflushed: usize) {
        self.limit = Some(unflushed);
    }

    /// Whether it has gone: nothing is to be answered any more.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether these bytes are whole sectors of the disk.
    pub fn has(&self, offset: u64, length: u64) -> bool {
        offset.is_multiple_of(SECTOR)
            && length.is_multiple_of(SECTOR)
            && offset.checked_add(length).is_some_and(|end| end <= self.size)
    }

    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(bytes, offset).context("read the disk")?;
        let first = offset / SECTOR;
        let end = first + bytes.len() as u64 / SECTOR;
        for (sector, newest) in self.unwritten.range(first..end) {
            let at = usize::try_from((sector - first) * SECTOR)?;
            bytes[at..at + LENGTH].copy_from_slice(newest);
        }
        Ok(())
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (sector, bytes) in (offset / SECTOR..).zip(bytes.chunks_exact(LENGTH)) {
            let mut newest = [0; LENGTH];
            newest.copy_from_slice(bytes);
            self.unwritten.insert(sector, newest);
        }
        self.gone |= self.limit.is_some_and(|limit| self.unwritten.len() >= limit);
    }

    /// Writes through: these bytes alone.
    pub fn write_through(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        for (sector, _) in (offset / SECTOR..).zip(bytes.chunks_exact(LENGTH)) {
            self.unwritten.remove(&sector);
        }
        self.file.write_all_at(bytes, offset).context("write the disk")
    }

    pub fn flush(&mut self) -> Result<()> {
        let limit = self.limit;
        self.power_cut(|| true)?;
        self.limit = limit;
        Ok(())
    }

    pub fn power_cut(&mut self, mut keeps: impl FnMut() -> bool) -> Result<(usize, usize)> {
        let unwritten = std::mem::take(&mut self.unwritten);
        (self.limit, self.gone) = (None, false);
        let (all, mut lost) = (unwritten.len(), 0);
        for (sector, bytes) in unwritten {
            if keeps() {
                self.file.write_all_at(&bytes, sector * SECTOR).context("write the disk")?;
            } else {
                lost += 1;
            }
        }
        Ok((all, lost))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn cache(sectors: u64) -> Cache {
        let file = tempfile::tempfile().unwrap();
        file.set_len(sectors * SECTOR).unwrap();
        Cache::new(file).unwrap()
    }

    fn at(cache: &Cache, sector: u64) -> u8 {
        let mut bytes = [0; LENGTH];
        cache.read(sector * SECTOR, &mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a sector is whole");
        bytes[0]
    }

    #[test]
    fn what_was_flushed_stays_and_the_rest_is_lost_sector_by_sector() {
        let mut cache = cache(8);
        cache.write(0, &[1; 4 * LENGTH]);
        cache.flush().unwrap();
        cache.write(SECTOR, &[2; 2 * LENGTH]);
        cache.write(7 * SECTOR, &[2; LENGTH]);
        cache.write_through(3 * SECTOR, &[3; LENGTH]).unwrap();
        assert_eq!(
            (0..8).map(|n| at(&cache, n)).collect::<Vec<_>>(),
            [1, 2, 2, 3, 0, 0, 0, 2],
            "a machine reads its own"
        );
        let mut keep = false;
        let lost = cache.power_cut(|| {
            keep = !keep;
            keep
        });
        assert_eq!(lost.unwrap(), (3, 1));
        assert_eq!((0..8).map(|n| at(&cache, n)).collect::<Vec<_>>(), [1, 2, 1, 3, 0, 0, 0, 2]);
    }

    #[test]
    fn the_power_goes_while_so_much_is_not_flushed() {
        let mut cache = cache(8);
        cache.cut_at(3);
        cache.write(0, &[1; 2 * LENGTH]);
        cache.flush().unwrap();
        cache.write(2 * SECTOR, &[1; 2 * LENGTH]);
        assert!(!cache.is_gone(), "what was flushed is not counted");
        cache.write(4 * SECTOR, &[1; LENGTH]);
        assert!(cache.is_gone());
        assert_eq!(cache.power_cut(|| false).unwrap(), (3, 3));
        assert!(!cache.is_gone(), "the next machine is served");
    }

    #[test]
    fn what_was_written_through_is_not_undone_by_what_was_there_before() {
        let mut cache = cache(2);
        cache.write(0, &[1; LENGTH]);
        cache.write_through(0, &[2; LENGTH]).unwrap();
        cache.flush().unwrap();
        assert_eq!(at(&cache, 0), 2);
        assert!(cache.has(SECTOR, SECTOR) && !cache.has(SECTOR, 2 * SECTOR) && !cache.has(1, SECTOR));
        assert!(!cache.has(u64::MAX - SECTOR + 1, SECTOR), "no sum overflows");
    }
}
