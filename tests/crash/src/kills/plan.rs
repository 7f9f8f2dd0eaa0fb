use std::time::Duration;

use rand::{RngExt as _, rngs::StdRng};

use crate::samples::{Samples, WHOLE};

/// What a pod is to go through, chosen before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    pub image: String,
    pub host_network: bool,
    pub containers: Vec<ContainerPlan>,
    /// Each container by itself before the pod, or the pod with all that is in it.
    pub one_by_one: bool,
    /// StopPodSandbox before RemovePodSandbox, as the kubelet does.
    pub stop_first: bool,
}

/// What one of its containers does.
#[derive(Clone, Debug)]
pub struct ContainerPlan {
    /// How many lines it writes, in bursts.
    pub lines: u32,
    pub burst: u32,
    /// Between two bursts, in hundredths of a second.
    pub pause: u32,
    pub code: i32,
    pub end: End,
    /// Not that, but [`WHOLE`].
    look: bool,
}

/// How it comes to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// By itself.
    Itself,
    /// It is stopped, so long after it was started.
    Stopped(Duration),
    /// With its pod.
    Pod,
    /// It is never started.
    Never,
}

// === impl Plan ===

impl Plan {
    pub fn choose(random: &mut StdRng) -> Self {
        let count = random.random_range(1..=2);
        Self {
            image: Samples::base(),
            host_network: random.random_bool(0.3),
            containers: (0..count).map(|_| ContainerPlan::choose(random)).collect(),
            one_by_one: random.random_bool(0.5),
            stop_first: random.random_bool(0.8),
        }
    }

    /// One container, which compares every file of an image of [`Samples`] with what was put into it.
    pub fn look(image: &str) -> Self {
        let look = ContainerPlan { lines: 1, burst: 1, pause: 0, code: 0, end: End::Itself, look: true };
        Self {
            image: image.to_owned(),
            host_network: true,
            containers: vec![look],
            one_by_one: false,
            stop_first: true,
        }
    }
}

impl ContainerPlan {
    fn choose(random: &mut StdRng) -> Self {
        let after = Duration::from_millis(random.random_range(0..400));
        let end = match random.random_range(0..100) {
            0..65 => End::Itself,
            65..82 => End::Stopped(after),
            82..94 => End::Pod,
            _ => End::Never,
        };
        Self {
            lines: random.random_range(0..400),
            burst: random.random_range(20..120),
            pause: random.random_range(0..25),
            code: random.random_range(0..120),
            end,
            look: false,
        }
    }

    /// Its program, for the shell.
    pub fn script(&self) -> String {
        if self.look {
            return WHOLE.to_owned();
        }
        let Self { lines, burst, pause, code, .. } = self;
        format!(
            "i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo line $i; \
             [ $((i % {burst})) -ne 0 ] || sleep 0.{pause:02}; done; exit {code}"
        )
    }
}
