use wharf_crash_points::point;
use wharf_error::Result;
use wharf_registry::Reference;
use wharf_store::{key, prefix, split_key};

use crate::{
    book::{Images as ImageRows, Names},
    core::Core,
};

// === impl Core ===

impl Core {
    /// Takes one name away from an image that has others, or the image with its last one.
    pub async fn untag(&self, namespace: &str, reference: &str) -> Result<()> {
        let Some(entry) = self.book(namespace).await?.find(reference)? else { return Ok(()) };
        let called = reference.parse::<Reference>().ok().filter(|name| {
            let full = full(name);
            entry.names.iter().any(|(known, _)| *known == full)
        });
        let Some(called) = called else { return self.remove(namespace, reference).await };
        let (id, rows, image) = (entry.id.clone(), prefix(namespace), key(namespace, &entry.id));
        let is_gone = self
            .store
            .durable(move |writer| {
                // Read here, not before: a name may have been given, or have moved on, meanwhile.
                let mut names = Vec::new();
                for (row, name) in writer.list::<Names>(&rows)? {
                    if let Some((_, text)) = split_key(&row).filter(|_| name.image == id) {
                        names.push((text.to_owned(), row.clone()));
                    }
                }
                let texts: Vec<String> = names.iter().map(|(text, _)| text.clone()).collect();
                let going = going(&texts, &called);
                for (_, row) in names.iter().filter(|(text, _)| going.contains(text)) {
                    writer.delete::<Names>(row)?;
                }
                let is_last = texts.iter().all(|text| going.contains(text));
                if is_last {
                    writer.delete::<ImageRows>(&image)?;
                }
                Ok(is_last)
            })
            .await?;
        point!("images.untag.rows");
        if is_gone {
            self.forget(&[entry.id]);
        }
        // Also where it is not: the index that the name led through may be nobody's now.
        self.collect(namespace).await
    }
}

/// The name itself; with the last tag of a repository, what names the image there by digest.
fn going(names: &[String], called: &Reference) -> Vec<String> {
    let own = full(called);
    let in_repository = |name: &String| name.parse::<Reference>().ok().filter(|other| other.name() == called.name());
    let is_tag = |name: &Reference| name.digest().is_none();
    let others = names.iter().filter(|name| **name != own).filter_map(in_repository);
    let last = is_tag(called) && !others.clone().any(|name| is_tag(&name));
    let mut going = vec![own.clone()];
    if last {
        going.extend(others.map(|name| full(&name)));
    }
    going
}

/// As it is recorded.
fn full(name: &Reference) -> String {
    match name.digest() {
        Some(digest) => name.at(digest).to_string(),
        None => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_last_tag_of_a_repository_takes_its_digests_along() {
        let digest = |name: &str| format!("{name}@sha256:{}", "a".repeat(64));
        let (a, b) = (digest("r.example/a"), digest("r.example/b"));
        let names = ["r.example/a:1", "r.example/a:2", "r.example/b:1", &a, &b].map(str::to_owned);
        let going = |called: &str, names: &[String]| super::going(names, &called.parse().unwrap());
        assert_eq!(going("r.example/a:1", &names), ["r.example/a:1"]);
        assert_eq!(going("r.example/b:1", &names), ["r.example/b:1", &b]);
        assert_eq!(going(&a, &names), [a.as_str()], "a digest goes alone");
    }
}
