use std::collections::BTreeMap;

use wharf_error::{Error, Result};
use wharf_registry::{ALGORITHMS, Reference};
use wharf_store::{Reader, prefix, split_key};

use super::{ImageRow, Images, NameRow, Names};

/// The images of a namespace as they are recorded, read at one moment.
pub(crate) struct Book {
    images: BTreeMap<String, ImageRow>,
    names: BTreeMap<String, NameRow>,
}

/// One image and its names.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub id: String,
    pub row: ImageRow,
    pub names: Vec<(String, NameRow)>,
}

// === impl Book ===

impl Book {
    pub fn read(reader: &Reader<'_>, namespace: &str) -> Result<Self> {
        let prefix = prefix(namespace);
        Ok(Self { images: by_name(reader.list::<Images>(&prefix)?), names: by_name(reader.list::<Names>(&prefix)?) })
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.images.keys().filter_map(|id| self.entry(id)).collect()
    }

    /// The image that a name, a digest, an id or the beginning of an id means.
    ///
    /// # Errors
    /// `InvalidArgument` for the beginning of more than one id, and for what can be none of these.
    pub fn find(&self, text: &str) -> Result<Option<Entry>> {
        if text.is_empty() {
            return Err(Error::invalid("image: neither a name nor an id is given"));
        }
        let (ids, digits) = ids_of(text);
        if let Some(entry) = ids.iter().find_map(|id| self.entry(id)) {
            return Ok(Some(entry));
        }
        let reference = text.parse::<Reference>();
        if let Ok(reference) = &reference {
            let name = match reference.digest() {
                Some(digest) => reference.at(digest).to_string(),
                None => reference.to_string(),
            };
            if let Some(row) = self.names.get(&name) {
                return Ok(self.entry(&row.image));
            }
        }
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return reference.map(|_| None);
        }
        let by_target = self.names.values().find(|row| ids.iter().any(|id| row.target.digest().as_ref() == id));
        if let Some(row) = by_target {
            return Ok(self.entry(&row.image));
        }
        let begin_so = |begin: &String| {
            let begin = begin.clone();
            self.images.range(begin.clone()..).map(|(id, _)| id).take_while(move |id| id.starts_with(&begin))
        };
        let found: Vec<&String> = ids.iter().flat_map(begin_so).take(2).collect();
        match found.as_slice() {
            [] => Ok(None),
            [id] => Ok(self.entry(id)),
            _ => Err(Error::invalid(format!("image id {text} is ambiguous: more than one image begins so"))),
        }
    }

    fn entry(&self, id: &str) -> Option<Entry> {
        let row = self.images.get(id)?.clone();
        let names = self.names.iter().filter(|(_, name)| name.image == id);
        Some(Entry { id: id.to_owned(), row, names: names.map(|(name, row)| (name.clone(), row.clone())).collect() })
    }
}

/// The ids that this may be, or begin, with and without the name of their algorithm; and its digits.
fn ids_of(text: &str) -> (Vec<String>, &str) {
    match text.split_once(':') {
        Some((algorithm, digits)) if ALGORITHMS.contains(&algorithm) => (vec![text.to_owned()], digits),
        _ => (ALGORITHMS.map(|algorithm| format!("{algorithm}:{text}")).to_vec(), text),
    }
}

fn by_name<R>(rows: Vec<(String, R)>) -> BTreeMap<String, R> {
    rows.into_iter().filter_map(|(key, row)| split_key(&key).map(|(_, name)| (name.to_owned(), row))).collect()
}

#[cfg(test)]
mod tests {
    use oci_spec::image::Descriptor;

    use super::*;

    fn descriptor(byte: char) -> Descriptor {
        let digest = format!("sha256:{}", byte.to_string().repeat(64));
        serde_json::from_value(serde_json::json!({ "mediaType": "m", "digest": digest, "size": 1 })).unwrap()
    }

    fn book() -> Book {
        let row = |byte| ImageRow {
            target: descriptor('7'),
            manifest: descriptor('8'),
            config: descriptor(byte),
            chain: Vec::new(),
            size: 0,
            created: 0,
        };
        let name = |image: &str| NameRow { target: descriptor('7'), image: image.into(), updated: 0 };
        let (one, two) = (format!("sha256:abc{}", "1".repeat(61)), format!("sha256:abd{}", "1".repeat(61)));
        let seven = format!("docker.io/library/busybox@sha256:{}", "7".repeat(64));
        Book {
            names: [
                ("docker.io/library/busybox:latest".to_owned(), name(&one)),
                (seven, name(&one)),
                ("docker.io/library/abd:latest".to_owned(), name(&one)),
            ]
            .into(),
            images: [(one, row('1')), (two, row('2'))].into(),
        }
    }

    #[test]
    fn an_image_is_found_by_all_it_may_be_called() {
        let book = book();
        let found = |text: &str| book.find(text).unwrap().map(|entry| entry.id[7..10].to_owned());
        let (id, hex7) = (format!("abc{}", "1".repeat(61)), "7".repeat(64));
        for text in [
            "busybox",
            "docker.io/library/busybox:latest",
            &format!("busybox@sha256:{hex7}"),
            &format!("busybox:other@sha256:{hex7}"),
            &id,
            &format!("sha256:{id}"),
            "abc",
            "sha256:abc1",
            &format!("sha256:{hex7}"),
        ] {
            assert_eq!(found(text).as_deref(), Some("abc"), "{text}");
        }
        assert_eq!(found("abd").as_deref(), Some("abc"), "a name comes before the beginning of an id");
        assert_eq!(found("abd1").as_deref(), Some("abd"));
        for absent in ["alpine", "busybox:1", "abe", "sha256:0", &format!("sha256:{}", "0".repeat(64))] {
            assert_eq!(found(absent), None, "{absent}");
        }
        assert!(book.find("ab").unwrap_err().to_string().contains("ambiguous"));
        for bad in ["", "Bad Name", "a//b"] {
            assert!(book.find(bad).is_err(), "{bad}");
        }
        assert_eq!(book.find("busybox").unwrap().unwrap().names.len(), 3);
        // By the other algorithm, with and without its name.
        let mut book = book;
        let five = format!("sha512:fed{}", "1".repeat(125));
        let row = book.images.values().next().unwrap().clone();
        book.images.insert(five.clone(), row);
        for text in ["fed", "sha512:fed1", &five, five.trim_start_matches("sha512:")] {
            assert_eq!(book.find(text).unwrap().unwrap().id, five, "{text}");
        }
        assert!(book.find("sha256:fed").unwrap().is_none());
    }
}
