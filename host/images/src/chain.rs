use oci_spec::image::Digest;
use wharf_error::Result;
use wharf_registry::digest_of;

/// The chain IDs of layers by their diffIDs, bottom first: each names a layer together with all below it.
pub(crate) fn chain_ids(diff_ids: &[Digest]) -> Result<Vec<String>> {
    let mut chain: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = match chain.last() {
            None => diff_id.to_string(),
            Some(below) => digest_of(format!("{below} {diff_id}").as_bytes())?.to_string(),
        };
        chain.push(next);
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_those_of_the_image_specification() {
        let digest = |byte: &str| format!("sha256:{}", byte.repeat(64)).parse::<Digest>().unwrap();
        assert!(chain_ids(&[]).unwrap().is_empty());
        let (a, b) = (digest("a"), digest("b"));
        let chain = chain_ids(&[a.clone(), b.clone(), b.clone()]).unwrap();
        assert_eq!(chain[0], a.to_string(), "the lowest is its own diffID");
        assert_eq!(chain[1], digest_of(format!("{a} {b}").as_bytes()).unwrap().to_string());
        assert_eq!(chain[2], digest_of(format!("{} {b}", chain[1]).as_bytes()).unwrap().to_string());
    }
}
