use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use comfy_table::Table;
use regex::Regex;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use wharf_admin::proto::{Image, ListImagesRequest};

use super::{
    Endpoint, Namespace, client,
    out::outln,
    table::{ago, id, size, table},
};

#[derive(clap::Args)]
pub(super) struct Flags {
    /// Only this image
    image: Option<String>,
    /// Only those that fit: dangling=true or false (whether no tag is left), reference=REGEX (a name or digest), label=KEY or
    /// label=KEY=VALUE; given several times, all of it
    #[arg(long, short, value_name = "FILTER")]
    filter: Vec<Filter>,
    #[command(flatten)]
    namespace: Namespace,
    /// Also print digests
    #[arg(long)]
    digests: bool,
    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Print ids alone
    #[arg(long, short)]
    quiet: bool,
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) endpoint: Endpoint,
}

#[derive(Clone)]
enum Filter {
    Dangling(bool),
    Reference(Regex),
    Label(String, Option<String>),
}

/// One name of an image, as it is listed.
#[derive(Debug, Eq, PartialEq)]
struct Name {
    repository: String,
    tag: String,
    digest: String,
}

pub(super) fn run(flags: Flags) -> Result<()> {
    client::block_on(list(flags))
}

async fn list(flags: Flags) -> Result<()> {
    let request = ListImagesRequest { namespace: flags.namespace.namespace, image: flags.image.unwrap_or_default() };
    let mut admin = client::admin(&flags.endpoint).await?;
    let mut images = admin.list_images(request).await.map_err(client::said)?.into_inner().images;
    images.retain(|image| flags.filter.iter().all(|filter| filter.fits(image)));
    images.sort_by(|a, b| a.tags.cmp(&b.tags).then_with(|| a.id.cmp(&b.id)));
    if flags.json {
        outln!("{:#}", Value::Array(images.iter().map(to_json).collect()))
    } else if flags.quiet {
        images.iter().try_for_each(|image| outln!("{}", image.id))
    } else {
        outln!("{}", shown(&images, flags.digests, flags.no_trunc))
    }
}

pub(super) fn to_json(image: &Image) -> Value {
    json!({
        "id": image.id, "tags": image.tags, "digests": image.digests, "size": image.size,
        "createdAt": created(image).map(|at| at.to_string()), "labels": image.labels, "pinned": image.pinned,
        "used": image.used,
    })
}

fn shown(images: &[Image], digests: bool, whole: bool) -> Table {
    let mut rows = match digests {
        true => table(["IMAGE", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"]),
        false => table(["IMAGE", "TAG", "IMAGE ID", "CREATED", "SIZE"]),
    };
    for image in images {
        for Name { repository, tag, digest } in names(image) {
            let mut row = vec![repository, tag];
            row.extend(digests.then_some(digest));
            let made = created(image).map_or_else(none, ago);
            row.extend([id(&image.id, whole), made, size(image.size)]);
            rows.add_row(row);
        }
    }
    rows
}

/// Each tag, with the digest of its repository; of an image without one, where it is from.
fn names(image: &Image) -> Vec<Name> {
    let digests: Vec<_> = image.digests.iter().filter_map(|digest| digest.split_once('@')).collect();
    if image.tags.is_empty() {
        let from = digests.first().map(|(from, digest)| ((*from).to_owned(), (*digest).to_owned()));
        let (repository, digest) = from.unwrap_or_else(|| (none(), none()));
        return vec![Name { repository, tag: none(), digest }];
    }
    let tags = image.tags.iter().map(|name| {
        let (repository, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
            _ => (name.clone(), none()),
        };
        let digest = digests.iter().find(|(from, _)| *from == repository).map(|(_, digest)| (*digest).to_owned());
        Name { repository, tag, digest: digest.unwrap_or_else(none) }
    });
    tags.collect()
}

/// Nanoseconds since 1970; none where its maker does not say, or makes no sense.
fn created(image: &Image) -> Option<i64> {
    let time = OffsetDateTime::parse(&image.created, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

fn none() -> String {
    "<none>".to_owned()
}

// === impl Filter ===

impl Filter {
    fn fits(&self, image: &Image) -> bool {
        match self {
            Self::Dangling(dangling) => image.tags.is_empty() == *dangling,
            Self::Reference(wanted) => image.tags.iter().chain(&image.digests).any(|name| wanted.is_match(name)),
            Self::Label(key, None) => image.labels.contains_key(key),
            Self::Label(key, Some(value)) => image.labels.get(key) == Some(value),
        }
    }
}

impl FromStr for Filter {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text.split_once('=') {
            Some(("dangling", value)) => Self::Dangling(value.parse().context("dangling is true or false")?),
            Some(("reference", value)) => Self::Reference(value.parse().context("reference is a regular expression")?),
            Some(("label", value)) => match value.split_once('=') {
                Some((key, value)) => Self::Label(key.to_owned(), Some(value.to_owned())),
                None => Self::Label(value.to_owned(), None),
            },
            _ => bail!("not dangling=…, reference=… or label=…"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(tags: &[&str], digests: &[&str]) -> Image {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let labels = [("tier".to_owned(), "web".to_owned())].into();
        Image { id: "sha256:1".into(), tags: owned(tags), digests: owned(digests), labels, ..Image::default() }
    }

    #[test]
    fn a_tag_has_the_digest_of_its_own_repository() {
        let both = image(&["host:5000/a:1", "b:2"], &["b@sha256:bb", "host:5000/a@sha256:aa"]);
        let listed: Vec<_> =
            names(&both).into_iter().map(|n| format!("{} {} {}", n.repository, n.tag, n.digest)).collect();
        assert_eq!(listed, ["host:5000/a 1 sha256:aa", "b 2 sha256:bb"]);
        let untagged = names(&image(&[], &["a@sha256:aa"])).remove(0);
        assert_eq!(untagged, Name { repository: "a".into(), tag: none(), digest: "sha256:aa".into() });
        assert_eq!(names(&image(&[], &[]))[0].repository, none());
    }

    #[test]
    fn filters_are_read_and_judged() {
        let tagged = image(&["docker.io/library/busybox:1"], &[]);
        let fits = |filter: &str| filter.parse::<Filter>().unwrap().fits(&tagged);
        for yes in ["dangling=false", "reference=busybox", "reference=^docker.io/.*:1$", "label=tier", "label=tier=web"]
        {
            assert!(fits(yes), "{yes}");
        }
        for no in ["dangling=true", "reference=alpine", "label=other", "label=tier=db"] {
            assert!(!fits(no), "{no}");
        }
        for bad in ["dangling=maybe", "reference=(", "since=x", "busybox", ""] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn when_it_was_made_is_its_makers_word() {
        let made = |created: &str| super::created(&Image { created: created.into(), ..Image::default() });
        assert_eq!(made("1970-01-01T00:00:01Z"), Some(1_000_000_000));
        assert_eq!((made(""), made("yesterday")), (None, None));
    }
}
