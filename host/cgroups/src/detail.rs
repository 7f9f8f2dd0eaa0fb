use wharf_error::Result;

use crate::{Cgroup, Controller, cgroup::Slot, file};

/// What only a monitor asks of a cgroup, beyond [`Stats`](crate::Stats). What the node cannot tell is 0 or absent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Detail {
    /// What memory is used for.
    pub memory: MemoryDetail,
    /// What was read and written, by device.
    pub devices: Vec<DeviceIo>,
    /// Huge pages, by their size.
    pub hugepages: Vec<HugepageUsage>,
    /// How often the kernel has killed a process for want of memory.
    pub oom_kills: u64,
    /// How many processes there are; threads are not counted.
    pub processes: u64,
}

/// What memory is used for, bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MemoryDetail {
    /// How often usage has met the limit.
    pub limit_hits: u64,
    /// The kernel's own.
    pub kernel: u64,
    /// Files mapped into memory.
    pub mapped_file: u64,
    /// Page cache that was used lately.
    pub active_file: u64,
    /// Page cache that was not.
    pub inactive_file: u64,
    /// Anonymous memory that was used lately.
    pub active_anon: u64,
    /// Anonymous memory that was not.
    pub inactive_anon: u64,
    /// Page faults of processes in this very cgroup.
    pub own_page_faults: u64,
    /// Of those, the ones that waited for a disk.
    pub own_major_page_faults: u64,
}

/// One block device.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DeviceIo {
    /// Its major number.
    pub major: u32,
    /// Its minor number.
    pub minor: u32,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// Huge pages of one size.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HugepageUsage {
    /// The kernel's name of the size: `2MB`.
    pub size: String,
    /// Bytes in use.
    pub usage: u64,
    /// The most that it ever was; v2 does not tell.
    pub max_usage: Option<u64>,
}

// === impl Cgroup ===

impl Cgroup {
    /// Some dozen small reads, and a few for each cgroup below.
    pub fn detail(&self) -> Result<Detail> {
        let memory = match self.slot(Controller::Memory) {
            Some(slot) if slot.v2 => memory_v2(&slot)?,
            Some(slot) => memory_v1(&slot)?,
            None => MemoryDetail::default(),
        };
        let devices = match self.slot(Controller::Io) {
            Some(slot) if slot.v2 => devices_v2(&slot.read("io.stat")?),
            Some(slot) => devices_v1(&slot)?,
            None => Vec::new(),
        };
        let hugepages = match self.slot(Controller::Hugetlb) {
            Some(slot) => hugepages(&slot)?,
            None => Vec::new(),
        };
        let processes = u64::try_from(self.pids()?.len()).unwrap_or(u64::MAX);
        Ok(Detail { memory, devices, hugepages, oom_kills: self.oom_kills()?, processes })
    }
}

fn memory_v1(slot: &Slot) -> Result<MemoryDetail> {
    let stat = slot.read("memory.stat")?;
    let of = |key: &str| file::keyed(&stat, key).unwrap_or(0);
    let kernel = "memory.kmem.usage_in_bytes";
    // Where both limits are the same, the one of memory with swap is met first.
    let with_swap = "memory.memsw.failcnt";
    let swap_hits = if slot.has(with_swap) { slot.number(with_swap)? } else { 0 };
    Ok(MemoryDetail {
        limit_hits: slot.number("memory.failcnt")?.saturating_add(swap_hits),
        kernel: if slot.has(kernel) { slot.number(kernel)? } else { 0 },
        mapped_file: of("total_mapped_file"),
        active_file: of("total_active_file"),
        inactive_file: of("total_inactive_file"),
        active_anon: of("total_active_anon"),
        inactive_anon: of("total_inactive_anon"),
        own_page_faults: of("pgfault"),
        own_major_page_faults: of("pgmajfault"),
    })
}

fn memory_v2(slot: &Slot) -> Result<MemoryDetail> {
    let stat = slot.read("memory.stat")?;
    let known = |key: &str| file::keyed(&stat, key);
    let of = |key: &str| known(key).unwrap_or(0);
    // Before Linux 5.18 only the parts are told.
    let parts = || ["kernel_stack", "pagetables", "percpu", "sock", "slab"].map(of).iter().sum();
    Ok(MemoryDetail {
        limit_hits: slot.keyed("memory.events", "max")?,
        kernel: known("kernel").unwrap_or_else(parts),
        mapped_file: of("file_mapped"),
        active_file: of("active_file"),
        inactive_file: of("inactive_file"),
        active_anon: of("active_anon"),
        inactive_anon: of("inactive_anon"),
        own_page_faults: of("pgfault"),
        own_major_page_faults: of("pgmajfault"),
    })
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`, a line a device.
fn devices_v2(text: &str) -> Vec<DeviceIo> {
    let mut devices = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(numbers) else { continue };
        let io = device(&mut devices, major, minor);
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse().unwrap_or(0);
            match key {
                "rbytes" => io.read_bytes = value,
                "wbytes" => io.write_bytes = value,
                "rios" => io.reads = value,
                "wios" => io.writes = value,
                _ => {}
            }
        }
    }
    devices
}

/// `8:0 Read 1`, a line a device and kind, in a file each for bytes and for operations.
fn devices_v1(slot: &Slot) -> Result<Vec<DeviceIo>> {
    let mut devices = Vec::new();
    for (name, bytes) in
        [("blkio.throttle.io_service_bytes_recursive", true), ("blkio.throttle.io_serviced_recursive", false)]
    {
        if slot.has(name) {
            add_v1(&slot.read(name)?, bytes, &mut devices);
        }
    }
    Ok(devices)
}

fn add_v1(text: &str, bytes: bool, devices: &mut Vec<DeviceIo>) {
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [device_number, kind, value] = words[..] else { continue };
        let (Some((major, minor)), Ok(value)) = (numbers(device_number), value.parse()) else { continue };
        let io = device(devices, major, minor);
        match (kind, bytes) {
            ("Read", true) => io.read_bytes = value,
            ("Write", true) => io.write_bytes = value,
            ("Read", false) => io.reads = value,
            ("Write", false) => io.writes = value,
            _ => {}
        }
    }
}

fn numbers(device: &str) -> Option<(u32, u32)> {
    let (major, minor) = device.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn device(devices: &mut Vec<DeviceIo>, major: u32, minor: u32) -> &mut DeviceIo {
    let known = devices.iter().position(|io| (io.major, io.minor) == (major, minor));
    let at = known.unwrap_or_else(|| {
        devices.push(DeviceIo { major, minor, ..DeviceIo::default() });
        devices.len() - 1
    });
    &mut devices[at]
}

fn hugepages(slot: &Slot) -> Result<Vec<HugepageUsage>> {
    let end = if slot.v2 { ".current" } else { ".usage_in_bytes" };
    let mut sizes = Vec::new();
    for name in file::names(&slot.dir)? {
        let size = name.strip_prefix("hugetlb.").and_then(|rest| rest.strip_suffix(end));
        // Reservations are counted beside under `<size>.rsvd`.
        if let Some(size) = size.filter(|size| !size.contains('.')) {
            let max = format!("hugetlb.{size}.max_usage_in_bytes");
            sizes.push(HugepageUsage {
                size: size.to_owned(),
                usage: slot.number(&name)?,
                max_usage: if slot.v2 { None } else { Some(slot.number(&max)?) },
            });
        }
    }
    sizes.sort_by(|one, other| one.size.cmp(&other.size));
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Own, fake_v2};

    #[test]
    fn both_versions_of_a_devices_lines_are_read() {
        let v2 = devices_v2("254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=5\n");
        assert_eq!(v2[0], DeviceIo { major: 254, minor: 0, read_bytes: 10, write_bytes: 20, reads: 1, writes: 2 });
        assert_eq!((v2[1].minor, v2[1].read_bytes), (16, 5));
        let mut v1 = Vec::new();
        add_v1("254:0 Read 10\n254:0 Write 20\n254:0 Sync 30\n254:0 Total 30\nTotal 30\n", true, &mut v1);
        add_v1("254:0 Read 1\n254:0 Write 2\nTotal 3\n", false, &mut v1);
        assert_eq!(v1, v2[..1]);
    }

    #[test]
    fn v2_tells_what_memory_is_for() {
        let (own, cgroup) = fake_v2(&[]);
        let put = |name: &str, text: &str| std::fs::write(own.path().join("c").join(name), text).unwrap();
        put("memory.stat", "file_mapped 7\nkernel_stack 1\nslab 2\npgfault 9\nactive_anon 3\n");
        put("memory.events", "low 0\nhigh 0\nmax 5\noom 0\noom_kill 0\n");
        let slot = cgroup.slot(Controller::Memory).unwrap();
        let memory = memory_v2(&slot).unwrap();
        assert_eq!((memory.limit_hits, memory.kernel, memory.mapped_file), (5, 3, 7));
        assert_eq!((memory.own_page_faults, memory.active_anon), (9, 3));
    }

    #[test]
    fn a_cgroup_of_this_node_is_read() {
        let own = Own::new("detail");
        let mut sleeper = own.shell(&own.cgroup, "sleep 600 & exec sleep 600");
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while own.cgroup.detail().unwrap().processes < 2 {
            assert!(std::time::Instant::now() < end, "{:?}", own.cgroup.detail());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        own.cgroup.kill(9).unwrap();
        sleeper.wait().unwrap();
    }
}
