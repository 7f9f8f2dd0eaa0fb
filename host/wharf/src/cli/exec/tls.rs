//! TLS to the daemon's streams.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

#[derive(clap::Args, Clone)]
pub(super) struct Flags {
    /// Trust the authorities in this file about the daemon's certificate; else just the certificate that the daemon names on
    /// its socket
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Show this certificate, for a daemon that has `tls_client_ca` in its configuration
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// One certificate is trusted and no other, whoever signed it and whatever names it has: the daemon itself, on a socket
/// that is root's alone, has said that it is its own.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

// === impl Flags ===

impl Flags {
    /// Whether the daemon has to be asked for its certificate.
    pub(super) fn trusts_the_daemon(&self) -> bool {
        self.tls_ca.is_none()
    }

    pub(super) fn has_certificate(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// The client's side of TLS; `daemon` is the certificate that the daemon says it has.
    pub(super) async fn secure(
        &self,
        connection: TcpStream,
        address: SocketAddr,
        daemon: Vec<u8>,
    ) -> Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::new(self.config(daemon)?));
        let name = ServerName::IpAddress(address.ip().into());
        connector.connect(name, connection).await.with_context(|| format!("speak TLS with {address}"))
    }

    fn config(&self, daemon: Vec<u8>) -> Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.context("set up TLS")?;
        let builder = match &self.tls_ca {
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).with_context(|| format!("use the authorities {}", path.display()))?;
                }
                builder.with_root_certificates(roots)
            }
            None => {
                let pinned = Pinned { certificate: daemon.into(), provider };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
            }
        };
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("read the key {}", key.display()))?;
        let config = builder.with_client_auth_cert(chain, key);
        config.with_context(|| format!("use the certificate {}", certificate.display()))
    }
}

// === impl Pinned ===

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match *shown == self.certificate {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let list = read.with_context(|| format!("read the certificates {}", path.display()))?;
    ensure!(!list.is_empty(), "{}: there is no certificate in it", path.display());
    Ok(list)
}
