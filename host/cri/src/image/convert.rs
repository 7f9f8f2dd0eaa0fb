use wharf_api::cri::{self, Int64Value};
use wharf_images::Image;

/// An image in CRI's words.
pub(super) fn image(image: Image) -> cri::Image {
    let user = image.config.config().as_ref().and_then(|config| config.user().clone()).unwrap_or_default();
    let (uid, username) = user_of(&user);
    cri::Image {
        id: image.id,
        repo_tags: image.names,
        repo_digests: image.digests,
        size: image.size,
        uid,
        username,
        pinned: image.pinned,
        ..cri::Image::default()
    }
}

/// A number or a name, without the group: what decides whether `runAsNonRoot` lets the image run.
fn user_of(user: &str) -> (Option<Int64Value>, String) {
    let user = user.split(':').next().unwrap_or_default();
    match user.parse() {
        Ok(value) => (Some(Int64Value { value }), String::new()),
        Err(_) => (None, user.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_number_or_a_name() {
        assert_eq!(user_of(""), (None, String::new()));
        assert_eq!(user_of("1000:1000"), (Some(Int64Value { value: 1000 }), String::new()));
        assert_eq!(user_of("www-data:33"), (None, "www-data".to_owned()));
    }
}
