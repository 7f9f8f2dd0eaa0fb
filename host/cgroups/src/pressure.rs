use std::io;

use wharf_error::{Error, Result};

use crate::{Cgroup, file};

/// How processes of a cgroup, and of those below, have waited for what they lacked (PSI). A hybrid's cgroup2 counts it,
/// too. `None`: the kernel does not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressures {
    /// For a processor.
    pub cpu: Option<Pressure>,
    /// For memory.
    pub memory: Option<Pressure>,
    /// For a block device.
    pub io: Option<Pressure>,
}

/// Waiting for one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// At least one process waited.
    pub some: Stall,
    /// All waited that were not idle.
    pub full: Stall,
}

/// Shares of time, percent, and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// Over the last 10 seconds.
    pub avg10: f64,
    /// Over the last minute.
    pub avg60: f64,
    /// Over the last five minutes.
    pub avg300: f64,
    /// Since the beginning, microseconds.
    pub total_us: u64,
}

// === impl Cgroup ===

impl Cgroup {
    /// Three small reads.
    pub fn pressures(&self) -> Result<Pressures> {
        Ok(Pressures {
            cpu: self.pressure("cpu.pressure")?,
            memory: self.pressure("memory.pressure")?,
            io: self.pressure("io.pressure")?,
        })
    }

    fn pressure(&self, name: &str) -> Result<Option<Pressure>> {
        let Some(dir) = self.unified() else { return Ok(None) };
        match file::try_read(&dir.join(name)) {
            Ok(text) => Ok(Some(parse(&text))),
            // Not compiled in, or switched off at boot.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Unsupported) => Ok(None),
            Err(error) => Err(Error::internal(format!("cgroup {}: read {name}: {error}", self.path()))),
        }
    }
}

fn parse(text: &str) -> Pressure {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let stall = match words.next() {
            Some("some") => &mut pressure.some,
            Some("full") => &mut pressure.full,
            _ => continue,
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            match key {
                "avg10" => stall.avg10 = value.parse().unwrap_or_default(),
                "avg60" => stall.avg60 = value.parse().unwrap_or_default(),
                "avg300" => stall.avg300 = value.parse().unwrap_or_default(),
                "total" => stall.total_us = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
    }
    pressure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Own;

    #[test]
    fn the_kernels_words_are_read() {
        let text =
            "some avg10=1.50 avg60=0.25 avg300=0.00 total=1234\nfull avg10=0.50 avg60=0.00 avg300=0.01 total=5\n";
        let pressure = parse(text);
        assert_eq!(pressure.some, Stall { avg10: 1.5, avg60: 0.25, avg300: 0.0, total_us: 1234 });
        assert_eq!((pressure.full.avg10, pressure.full.total_us), (0.5, 5));
    }

    #[test]
    fn a_cgroup_of_this_node_tells_or_says_that_it_cannot() {
        let own = Own::new("pressure");
        let pressures = own.cgroup.pressures().unwrap();
        let counted = own.cgroup.unified().is_some_and(|dir| file::try_read(&dir.join("cpu.pressure")).is_ok());
        assert_eq!(pressures.cpu.is_some(), counted);
    }

    #[test]
    fn processes_that_wait_for_a_processor_are_counted() {
        let own = Own::new("pressure-cpu");
        if own.cgroup.pressures().unwrap().cpu.is_none() {
            eprintln!("skipped: this kernel does not count pressure by cgroup");
            return;
        }
        // More of them than there are processors, so that some wait.
        let count = std::thread::available_parallelism().unwrap().get() + 1;
        let busy: Vec<_> = (0..count).map(|_| own.shell(&own.cgroup, "while :; do :; done")).collect();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let cpu = own.cgroup.pressures().unwrap().cpu.unwrap();
            // An average is made every two seconds.
            if cpu.some.total_us > 100_000 && cpu.some.avg10 > 0.0 {
                break;
            }
            assert!(std::time::Instant::now() < end, "{cpu:?}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        for mut child in busy {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
