use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

/// The layers that pulls under way count on, so that no collection of garbage takes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    held: Arc<Mutex<HashMap<(String, String), usize>>>,
}

/// Holds some layers until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Leases,
    namespace: String,
    chain: Vec<String>,
}

// === impl Leases ===

impl Leases {
    pub fn hold(&self, namespace: &str, chain: Vec<String>) -> Lease {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for chain_id in &chain {
            *held.entry((namespace.to_owned(), chain_id.clone())).or_default() += 1;
        }
        drop(held);
        Lease { leases: self.clone(), namespace: namespace.to_owned(), chain }
    }

    pub fn of(&self, namespace: &str) -> HashSet<String> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.keys().filter(|(of, _)| of == namespace).map(|(_, chain_id)| chain_id.clone()).collect()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.leases.held.lock().unwrap_or_else(PoisonError::into_inner);
        for chain_id in self.chain.drain(..) {
            let key = (self.namespace.clone(), chain_id);
            match held.get_mut(&key) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(held.remove(&key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_held_until_the_last_one_lets_go() {
        let leases = Leases::default();
        let one = leases.hold("a", vec!["x".into(), "y".into()]);
        let two = leases.hold("a", vec!["x".into()]);
        assert_eq!(leases.of("a").len(), 2);
        assert!(leases.of("b").is_empty(), "another namespace is not concerned");
        drop(one);
        assert_eq!(leases.of("a"), ["x".to_owned()].into());
        drop(two);
        assert!(leases.held.lock().unwrap().is_empty(), "nothing is kept");
    }
}
