use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::hosts::is_loopback;

/// `skip_verify`: any certificate is good, so a signature by it proves nothing either.
#[derive(Debug)]
pub(super) struct Whoever(pub Arc<CryptoProvider>);

/// Any certificate is good of this machine itself. Where that sends us elsewhere, to a token server or for a blob, those
/// there are verified; `others` is none on a machine that knows no authorities.
#[derive(Debug)]
pub(super) struct Here {
    pub provider: Arc<CryptoProvider>,
    pub others: Option<Arc<dyn ServerCertVerifier>>,
}

// === impl Whoever ===

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

// === impl Here ===

impl ServerCertVerifier for Here {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        match &self.others {
            _ if is_loopback(&name.to_str()) => Ok(ServerCertVerified::assertion()),
            Some(others) => others.verify_server_cert(certificate, intermediates, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_needs_no_certificate_that_is_known() {
        let verifier = Here { provider: Arc::new(rustls::crypto::ring::default_provider()), others: None };
        let taken = |name: &'static str| {
            let name = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&CertificateDer::from(vec![0]), &[], &name, &[], UnixTime::now()).is_ok()
        };
        for name in ["localhost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(taken(name), "{name}");
        }
        for name in ["registry.example", "localhost.example", "10.0.0.1", "fe80::1"] {
            assert!(!taken(name), "{name}");
        }
    }
}
