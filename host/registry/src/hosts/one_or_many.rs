use serde::{Deserialize, Deserializer};

/// What hosts.toml allows in two forms: a string, or a list of strings.
#[derive(Clone, Debug, Default)]
pub(super) struct OneOrMany(pub Vec<String>);

/// Client certificates: a file with both parts, a list of such files, or a list of pairs.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs(pub Vec<(String, Option<String>)>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a string or a list of strings")]
enum Text {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a file, a list of files, or a list of [certificate, key] pairs")]
enum Files {
    One(String),
    Many(Vec<Text>),
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Text::deserialize(deserializer)? {
            Text::One(one) => vec![one],
            Text::Many(many) => many,
        }))
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pair = |text: Text| match text {
            Text::One(both) => Ok((both, None)),
            Text::Many(pair) => match <[String; 2]>::try_from(pair) {
                Ok([certificate, key]) if key.is_empty() => Ok((certificate, None)),
                Ok([certificate, key]) => Ok((certificate, Some(key))),
                Err(pair) => Err(serde::de::Error::invalid_length(pair.len(), &"a certificate and a key")),
            },
        };
        Ok(Self(match Files::deserialize(deserializer)? {
            Files::One(both) => vec![(both, None)],
            Files::Many(many) => many.into_iter().map(pair).collect::<Result<_, D::Error>>()?,
        }))
    }
}
