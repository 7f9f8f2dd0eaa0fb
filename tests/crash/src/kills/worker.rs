use std::{
    fs,
    sync::{Arc, atomic::Ordering},
};

use rand::rngs::StdRng;

use super::{life::Life, plan::Plan, shared::Shared};

/// Makes one pod after the other.
pub struct Worker {
    shared: Arc<Shared>,
    number: u32,
    random: StdRng,
}

// === impl Worker ===

impl Worker {
    pub fn new(shared: Arc<Shared>, number: u32, random: StdRng) -> Self {
        Self { shared, number, random }
    }

    /// Until the others have had enough.
    pub async fn run(mut self) {
        for n in 0_u32.. {
            if self.shared.is_over() {
                return;
            }
            let name = format!("pod-{}-{n}", self.number);
            let plan = Plan::choose(&mut self.random);
            let life = Life::new(&self.shared, &name, &plan);
            if let Err(error) = life.lead().await {
                return self.shared.fail(format!("{name}: {error:#}\n{plan:#?}"));
            }
            self.shared.pods.fetch_add(1, Ordering::SeqCst);
            if self.shared.is_hit(&name) {
                self.shared.lost.fetch_add(1, Ordering::SeqCst);
            }
            // Ours: no daemon removes logs.
            let _ = fs::remove_dir_all(self.shared.logs.join(&name));
        }
    }
}
