use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{client_certificates::ClientCertificates, material::Material};

/// How TLS is spoken with a host: the system's authorities and its own are trusted, or whoever answers where
/// `skip_verify`. With `clear` it is a host of plain http: on a machine without authorities it can still be asked.
/// Blocking: reads the system's authorities.
pub(super) fn config(material: &Material, skip_verify: bool, clear: bool) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let authorities = authorities(material)?;
    let certificates = ClientCertificates::read(material, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .step(|| "choose the versions of TLS".into())?;
    let builder = if skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Whoever(provider)))
    } else {
        match Verifier::new_with_extra_roots(authorities.iter().cloned(), provider) {
            Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
            Err(_) if clear => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(authorities);
                builder.with_root_certificates(roots)
            }
            Err(error) => return Err(error).step(|| "collect the authorities to trust".into()),
        }
    };
    let mut config = match certificates {
        none if !rustls::client::ResolvesClientCert::has_certs(&none) => builder.with_no_client_auth(),
        some => builder.with_client_cert_resolver(Arc::new(some)),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn authorities(material: &Material) -> Result<Vec<CertificateDer<'static>>> {
    let mut authorities = Vec::new();
    for file in &material.ca {
        let step = || format!("read ca {}", file.path.display());
        let list = CertificateDer::pem_slice_iter(&file.bytes).collect::<Result<Vec<_>, _>>();
        let list = list.step_as(Kind::FailedPrecondition, step)?;
        if list.is_empty() {
            return Err(Error::new(Kind::FailedPrecondition, "there is no certificate in it")).step(step);
        }
        authorities.extend(list);
    }
    Ok(authorities)
}

/// `skip_verify`: any certificate is good, so a signature by it proves nothing either.
#[derive(Debug)]
struct Whoever(Arc<CryptoProvider>);

impl ServerCertVerifier for Whoever {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
