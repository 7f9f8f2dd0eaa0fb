use std::sync::Arc;

use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use wharf_error::{Error, Kind, Result, ResultExt as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::material::{File, Material};

/// The certificates that a host may be shown. It says which authorities it knows and which signatures it can check; the
/// first certificate that fits is shown, as Go's TLS does it for containerd, and none where none fits.
#[derive(Debug)]
pub(super) struct ClientCertificates(Vec<Pair>);

#[derive(Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    /// Who signed each certificate of the chain.
    issuers: Vec<Vec<u8>>,
}

// === impl ClientCertificates ===

impl ClientCertificates {
    /// # Errors
    /// `FailedPrecondition`, with the file's name: what it holds is no certificate, no key, or not its key.
    pub fn read(material: &Material, provider: &CryptoProvider) -> Result<Self> {
        let pairs = material.client.iter().map(|(certificate, key)| {
            let step = || format!("read client certificate {}", certificate.path.display());
            Pair::read(certificate, key.as_ref(), provider).step(step)
        });
        pairs.collect::<Result<_>>().map(Self)
    }
}

impl ResolvesClientCert for ClientCertificates {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let fits = |pair: &&Pair| {
            let known = authorities.is_empty() || pair.issuers.iter().any(|one| authorities.contains(&one.as_slice()));
            known && pair.key.key.choose_scheme(schemes).is_some()
        };
        self.0.iter().find(fits).map(|pair| pair.key.clone())
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

// === impl Pair ===

impl Pair {
    fn read(certificate: &File, key: Option<&File>, provider: &CryptoProvider) -> Result<Self> {
        let bad = |text: &str| Error::new(Kind::FailedPrecondition, text);
        let chain = CertificateDer::pem_slice_iter(&certificate.bytes).collect::<Result<Vec<_>, _>>();
        let chain = chain.step_as(Kind::FailedPrecondition, || "read it as PEM".into())?;
        if chain.is_empty() {
            return Err(bad("there is no certificate in it"));
        }
        let file = key.unwrap_or(certificate);
        let step = || format!("read its key in {}", file.path.display());
        let key = PrivateKeyDer::from_pem_slice(&file.bytes).step_as(Kind::FailedPrecondition, step)?;
        let key = provider.key_provider.load_private_key(key).step_as(Kind::FailedPrecondition, step)?;
        let mut issuers = Vec::with_capacity(chain.len());
        for (position, der) in chain.iter().enumerate() {
            let (_, certificate) = X509Certificate::from_der(der.as_ref())
                .step_as(Kind::FailedPrecondition, || format!("read certificate {position} in it"))?;
            issuers.push(certificate.issuer().as_raw().to_owned());
            let own = certificate.public_key().raw;
            if position == 0 && key.public_key().is_some_and(|public| public.as_ref() != own) {
                return Err(bad("the key is not the certificate's")).step(step);
            }
        }
        // Not by rustls's own check of the two: it would refuse certificates of version 1, which servers take.
        Ok(Self { key: Arc::new(CertifiedKey::new(chain, key)), issuers })
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring;

    use super::*;

    /// `openssl x509 -req` without extensions: what people have who made their certificates by hand.
    const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBFDCBuwIUYQdZ/7Re7+uegHk/ddl6Ju5F0LkwCgYIKoZIzj0EAwIwDDEKMAgG\n\
A1UEAwwBbjAgFw0yNjExMzAxNzQ5MjlaGA8yMDU0MDQxNzE3NDkyOVowDDEKMAgG\n\
A1UEAwwBbjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABL7ubT5pJf/plalsSYG0\n\
I/jTVnxT1gg7/6zsXNvXR17yVr1kHHzDcORZt3aDTsSftQbNkFMNLPoYsJit3tIS\n\
/zQwCgYIKoZIzj0EAwIDSAAwRQIgOdgoUgznUwvVLZ0dBLhFUpBLPUhuLDjovuj/\n\
Bxx9TSgCIQDXwOr1f0o0gAbrpMtKnu/fVGvYnoUSSDNPORblk2ATkA==\n\
-----END CERTIFICATE-----\n\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrtS2PMYK/YV7aYah\n\
V6gHp+nwmV/uBgTpz9b0P6NlFZahRANCAAS+7m0+aSX/6ZWpbEmBtCP401Z8U9YI\n\
O/+s7Fzb10de8la9ZBx8w3DkWbd2g07En7UGzZBTDSz6GLCYrd7SEv80\n\
-----END PRIVATE KEY-----\n\
";

    #[test]
    fn a_certificate_of_version_1_is_shown_to_who_knows_its_authority() {
        let file = || File { path: "v1.pem".into(), bytes: VERSION_1.into() };
        let material = Material { ca: Vec::new(), client: vec![(file(), None)] };
        let certificates = ClientCertificates::read(&material, &ring::default_provider()).unwrap();
        let issuer = certificates.0[0].issuers[0].clone();
        let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let shown = |authorities: &[&[u8]], schemes: &[SignatureScheme]| {
            ResolvesClientCert::resolve(&certificates, authorities, schemes).is_some()
        };
        assert!(shown(&[], &schemes) && shown(&[b"another", &issuer], &schemes));
        assert!(!shown(&[b"another"], &schemes) && !shown(&[], &[SignatureScheme::ED25519]));
    }
}
